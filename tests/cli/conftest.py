"""The command line as a user has it: through its entry point, in a folder and with a store of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = str(Path(sys.executable).parent / "bench")
TOYS = Path(__file__).resolve().parent.parent / "toys"


def hear_interrupts():
    """For a child: a test run that was started in the background ignores Ctrl-C, and its children would too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Bench:
    """Runs `bench` in a folder."""

    def __init__(self, folder: Path):
        self.folder, self.path = folder, BENCH
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("SFTBENCH_")}
        self.environment |= {"SFTBENCH_STORE": str(folder / "store"), "OMP_NUM_THREADS": "1"}

    def __call__(self, *arguments, **environment):
        return subprocess.run(
            [BENCH, *map(str, arguments)], cwd=self.folder, capture_output=True, text=True,
            env={**self.environment, **environment},
        )  # fmt: skip

    def start(self, *arguments, **environment):
        return subprocess.Popen(
            [BENCH, *map(str, arguments)], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**self.environment, **environment}, preexec_fn=hear_interrupts,
        )  # fmt: skip

    def refused(self, code, *arguments, **environment):
        """The message of a command that is refused with this exit code: one line, and no traceback."""
        done = self(*arguments, **environment)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        (message,) = [line for line in done.stderr.splitlines() if line.startswith("bench")]
        return message

    def write(self, name, rows):
        """A file of JSON lines."""
        path = self.folder / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def shared_bench(tmp_path_factory):
    """One folder and store for a whole module: what one test made, the next one finds."""
    return Bench(tmp_path_factory.mktemp("bench"))

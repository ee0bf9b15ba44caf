"""The command line answers at once: nothing heavy is imported before a step is done."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(sys.executable).parent / "bench"
HEAVY = ("torch", "transformers", "datasets", "sklearn", "scipy", "sentence_transformers", "peft", "accelerate")


def cpu_seconds(*arguments):
    """Processor time of one command. Unlike wall time it does not grow when the machine has other things to do."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(BENCH), *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(("arguments", "limit"), [(["--help"], 0.5), (["list"], 1.5)], ids=["help", "list"])
def test_the_command_line_answers_at_once(arguments, limit):
    assert statistics.median(cpu_seconds(*arguments) for _ in range(3)) < limit


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["list", "-o", "json"], ["show", "tshirt"], ["run", "--help"], ["judge", "score", "--help"]],
)
def test_nothing_heavy_is_imported_to_answer(arguments):
    code = (
        "import sys, contextlib; from sftbench.cli import main\n"
        "with contextlib.suppress(SystemExit): main(sys.argv[1:])\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True, env={**os.environ}
    )
    assert done.stderr.strip().splitlines()[-1] == "[]"

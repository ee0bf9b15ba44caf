"""Several programs of a model at a time, as many as this process has cores."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sftbench.devices import own_threads
from sftbench.sandbox.confine import CodeLimits, CodeOutcome, run_code


def run_codes(
    codes: Iterable[str], *, limits: CodeLimits | None = None, scratch: Path | None = None
) -> list[CodeOutcome]:
    """How each program ended, in their order; `run_code` for each.

    At most `own_threads()` run at a time: of the processes of a run each has its share of the cores, and programs that
    wait for one run into their limit of wall-clock time.
    """
    with ThreadPoolExecutor(max_workers=own_threads()) as pool:
        return list(pool.map(lambda code: run_code(code, limits=limits, scratch=scratch), codes))

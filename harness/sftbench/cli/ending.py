"""How a run ends on the command line: what failed or is missing, in words and as an exit code."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from sftbench.chat import REFUSED
from sftbench.compare import Comparison
from sftbench.plan import Ref
from sftbench.runner import Run, exit_code_of


def ended(planned: Run, compared: Comparison) -> int:
    """Tell what the judges' cards have cost, how many pairs and grades their servers failed over, and which of the
    planned cells failed, are not done, or are without the diversity that was asked for.

    Returns 0 when there are none, what the failure asks for when all cells failed for one kind of reason, else 1.
    """
    for line in compared.told:
        print(line, file=sys.stderr)
    num_refused = sum(map(_num_refused, compared.cells))
    if num_refused:
        print(
            f"bench: {num_refused} pairs have no whole verdict because a judge's server refused or failed over them; "
            "'--redo failed' asks these again",
            file=sys.stderr,
        )
    num_ungraded = sum(_num_requests_refused(planned, ref) for ref, end in compared.outcomes.items() if end == "done")
    if num_ungraded:
        print(
            f"bench: {num_ungraded} requests of evaluators were refused by their server, or it failed over them, and "
            "are without a grade; '--redo failed' asks these again",
            file=sys.stderr,
        )
    num_failed = sum(cell["status"] == "failed" for cell in compared.cells)
    num_missing = len(planned.plan.cells) - len(compared.cells)
    num_undescribed = sum(bool(cell["undescribed"]) for cell in compared.cells)
    again = "'--redo failed' tries again"
    for number, what in (
        (num_failed, f"failed; {again}"),
        (num_missing, "are not done"),
        (num_undescribed, f"are without a measure of their diversity; {again}"),
    ):
        if number:
            print(f"bench: {number} of {len(planned.plan.cells)} cells {what}", file=sys.stderr)
    return exit_code_of(planned, compared.outcomes, num_failed=num_failed) or int(num_missing + num_undescribed > 0)


def _num_requests_refused(planned: Run, ref: Ref) -> int:
    """Of an evaluation, by what its record tells of whom it asked."""
    record = planned.store.record_of(ref) if ref.startswith("evaluation/") else None
    told: list[Any] = list(record.payload.values()) if record is not None else []
    return sum(int(each.get(REFUSED, 0)) for each in told if isinstance(each, Mapping))


def _num_refused(cell: Mapping[str, Any]) -> int:
    judged = [each for each in (cell.get("verdicts"), *cell.get("further_verdicts", ())) if each]
    return sum("model_error" in (flags or ()) for each in judged for flags in each["columns"].get("flags", ()))

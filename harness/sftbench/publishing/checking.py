"""All checks of a bundle that were asked for, one after the other: itself, its judgements, one of its rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sftbench.board.reading import read_cells
from sftbench.errors import UsageError
from sftbench.plugins import Plugins
from sftbench.publishing.agreement import Agreement
from sftbench.publishing.allowance import TOLERANCE
from sftbench.publishing.archive import opened
from sftbench.publishing.layout import RECORDS, Discrepancy
from sftbench.publishing.levels import write_attestation
from sftbench.publishing.own import Own
from sftbench.publishing.rejudge import Rejudged, RejudgedPart, rejudge
from sftbench.publishing.reproduce import Reproduction, reproduce
from sftbench.publishing.verify import Verification, verify_folder
from sftbench.runner import Watcher


@dataclass(frozen=True, kw_only=True)
class ChecksWanted:
    """What is to be checked besides the bundle itself; `own` says where things lie and who judges here.

    `rejudge` is a share of the verdicts of the judge `of`, the first of the bundle where none is named. Raises
    `UsageError` for a tolerance that is none.
    """

    seal: str | None = None
    rejudge: float | None = None
    of: str | None = None
    seed: int = 0
    reproduce: str | None = None
    tolerance: float | None = None
    name: str = ""
    own: Own = field(default_factory=Own)

    def __post_init__(self) -> None:
        if self.tolerance is not None and not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise UsageError(f"--tolerance is {self.tolerance}; it is a distance: 0 or more, and finite")

    @property
    def runs_something(self) -> bool:
        return self.rejudge is not None or self.reproduce is not None


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What all checks found. Where a row was reproduced, `attested` is the file that says so."""

    verification: Verification
    rejudged: Rejudged | None = None
    reproduced: Reproduction | None = None
    attested: Path | None = None

    @property
    def findings(self) -> tuple[Discrepancy, ...]:
        parts = (self.verification, self.rejudged, self.reproduced)
        return tuple(finding for part in parts if part is not None for finding in part.findings)

    @property
    def holds(self) -> bool:
        return not self.findings

    @property
    def notes(self) -> tuple[str, ...]:
        more = self.reproduced.notes if self.reproduced is not None else ()
        return (*self.verification.notes, *more)

    def lines(self) -> Iterator[str]:
        """What was found, in words."""
        if self.rejudged is not None:
            yield from _told_again(self.rejudged)
        if self.reproduced is not None:
            yield from _run_again(self.reproduced)
        if self.attested is not None:
            yield f"attested: {self.attested}"
        if not self.verification.holds:
            found = len(self.verification.findings)
            yield (
                f"the bundle does not verify: {found} finding{'s' if found > 1 else ''}; get it anew from whoever "
                "published it, and compare the seal"
            )
        elif self.verification.compared_all:
            yield "the bundle verifies: every number of the board follows from its records"
        else:
            yield (
                "the bundle verifies in what was compared; it names another version of sftbench, and what the notes "
                "list was not held to the records"
            )


def _run_again(made: Reproduction) -> Iterator[str]:
    """What came of running a row again, in words."""
    for metric, found in made.differences.items():
        if not found["num_items"]:
            yield f"{made.row}, {metric}: no item has a value on both sides"
            continue
        yield (
            f"{made.row}, {metric}: mean {found['mean_told']:.6g} told, {found['mean_here']:.6g} here; "
            f"{found['num_differing']} of {found['num_items']} items differ, at most by {found['largest']:.3g}"
        )
    if made.attestation is None:
        yield f"{made.row}: not reproduced"
    else:
        yield ", ".join((f"{made.row}: reproduced ({made.attestation.outcome})", *made.attestation.reservations))


def _told_again(found: Rejudged) -> Iterator[str]:
    """What came of judging again, in words."""
    error = f"{found.standard_error:.4f}" if math.isfinite(found.standard_error) else "unknown, one item"
    yield (
        f"verdicts of {found.published_judge}, judged again by {found.judge}: {found.num_pairs} of {found.num_of} "
        f"pairs; same winner in {_interval(found.agreement)}; mean difference {found.mean_difference:+.4f} (standard "
        f"error {error})"
    )
    for each in found.orders:
        yield f"  {each.order}: same winner in {_interval(each.agreement)} of {each.agreement.num} pairs"
    if not found.orders:
        yield "  single orders were not compared: one of the two judges does not tell them"
    if found.num_unjudged:
        yield f"  {found.num_unjudged} further pairs got no verdict here"
    if found.num_without_text:
        yield f"  {found.num_without_text} further pairs cannot be judged again: the bundle has no texts of them"


def _interval(found: Agreement) -> str:
    return f"{found.value:.1%} [{found.low:.1%}, {found.high:.1%}]"


def check(
    bundle: Path, asked: ChecksWanted, *, plugins: Plugins | None = None, watcher: Watcher | None = None
) -> Checked:
    """Verify a bundle; if it holds, judge again and run again what is asked for, and attest a row that is the same.

    An archive is not written into: what was reproduced from one is told and not attested.
    """
    with opened(bundle) as folder:
        verification = verify_folder(folder, seal=asked.seal, name=str(bundle))
        if not verification.holds or not asked.runs_something:
            return Checked(verification=verification)
        if plugins is None or watcher is None:
            raise UsageError("judging or running again needs plugins")
        cells = read_cells(folder / RECORDS)
        judged = reproduced = attested = None
        if asked.rejudge is not None:
            part = RejudgedPart(share=asked.rejudge, seed=asked.seed, of=asked.of)
            judged = rejudge(folder, cells, part, own=asked.own, plugins=plugins, watcher=watcher)
        if asked.reproduce is not None:
            tolerance = TOLERANCE if asked.tolerance is None else asked.tolerance
            reproduced = reproduce(
                folder, asked.reproduce, cells, own=asked.own, plugins=plugins, watcher=watcher, tolerance=tolerance,
                name=asked.name,
            )  # fmt: skip
            if reproduced.attestation is not None and bundle.is_dir():
                attested = write_attestation(folder, reproduced.attestation)
                verification = verify_folder(folder, seal=asked.seal, name=str(bundle))
        return Checked(verification=verification, rejudged=judged, reproduced=reproduced, attested=attested)

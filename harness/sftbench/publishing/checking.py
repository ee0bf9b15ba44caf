"""All checks of a bundle that were asked for, one after the other: itself, its judgements, one of its rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sftbench.board.reading import read_cells
from sftbench.errors import UsageError
from sftbench.plugins import Plugins
from sftbench.publishing.again import Own
from sftbench.publishing.archive import opened
from sftbench.publishing.layout import RECORDS, Finding
from sftbench.publishing.levels import write_attestation
from sftbench.publishing.rejudge import Rejudged, rejudge
from sftbench.publishing.reproduce import TOLERANCE, Reproduction, reproduce
from sftbench.publishing.verify import Verification, verify_folder
from sftbench.runner import Watcher


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be checked besides the bundle itself; `own` says where things lie here."""

    seal: str | None = None
    rejudge: float | None = None
    judge: str | None = None
    seed: int = 0
    reproduce: str | None = None
    tolerance: float | None = None
    name: str = ""
    own: Own = field(default_factory=Own)

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
    def findings(self) -> tuple[Finding, ...]:
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
            each = self.rejudged
            yield (
                f"judged again by {each.judge}: {each.num_pairs} of {each.num_of} pairs; same side in "
                f"{each.agreement:.1%}; mean difference {each.mean_difference:+.4f} (standard error "
                f"{each.standard_error:.4f})"
            )
        if self.reproduced is not None:
            for metric, found in self.reproduced.differences.items():
                yield (
                    f"{self.reproduced.row}, {metric}: mean {found['mean_told']:.6g} told, {found['mean_here']:.6g} "
                    f"here; {found['num_differing']} of {found['num_items']} items differ, at most by "
                    f"{found['largest']:.3g}"
                )
            made = self.reproduced.attestation
            yield f"{self.reproduced.row}: " + (f"reproduced ({made.outcome})" if made else "not reproduced")
        if self.attested is not None:
            yield f"attested: {self.attested}"
        if not self.verification.holds:
            yield f"the bundle does not verify: {len(self.verification.findings)} findings"
        elif self.verification.compared_all:
            yield "the bundle verifies: every number of the board follows from its records"
        else:
            yield (
                "the bundle verifies in what was compared; it names another version of sftbench, and what the notes "
                "list was not held to the records"
            )


def check(bundle: Path, asked: Asked, *, plugins: Plugins | None = None, watcher: Watcher | None = None) -> Checked:
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
            judged = rejudge(
                folder, cells, share=asked.rejudge, seed=asked.seed, judge=asked.judge, own=asked.own,
                plugins=plugins, watcher=watcher,
            )  # fmt: skip
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

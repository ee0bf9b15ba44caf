"""How much is known of each row of a board: self-reported, recomputed, reproduced by n; and what others attested."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sftbench.board.cells import Cell, StrictData
from sftbench.errors import SftbenchError, VerificationError
from sftbench.fingerprint import key_of
from sftbench.publishing.allowance import EXACT, TOLERANCE
from sftbench.publishing.layout import REPRODUCTIONS, SCHEMA, Discrepancy, check_schema, files_below, json_in, json_text
from sftbench.publishing.manifest import seal_of
from sftbench.store import write_atomically

if TYPE_CHECKING:
    from pydantic import TypeAdapter

KIND = "reproduction"
ANONYMOUS = ""
SELF_REPORTED = "self-reported"
RECOMPUTED = "recomputed"


@dataclass(frozen=True, kw_only=True)
class RowLevel:
    """What is known of one row. `names` are of those who reproduced some seed of it; who gave none count as one."""

    label: str
    budget: str
    level: str
    seeds_reproduced: tuple[int, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Attestation(StrictData):
    """What came of running one cell again: `outcome` is `exact` or `close`, `differences` tell how close per metric.

    `left_out` names judges and evaluators whose numbers were not compared, `other_judges` by published judge whose
    verdicts its own were held to in its place.
    """

    row: str
    label: str
    budget: str
    seed: int
    outcome: Literal["exact", "close"]
    tolerance: float
    differences: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    made_with: Mapping[str, Any] = field(default_factory=dict)
    name: str = ANONYMOUS
    left_out: Sequence[str] = ()
    other_judges: Mapping[str, str] = field(default_factory=dict)

    @property
    def reservations(self) -> Iterator[str]:
        """What of the row was not reproduced, or not as closely as is usual, in words."""
        if self.tolerance > TOLERANCE:
            yield f"with a tolerance of {self.tolerance:g} in the place of {TOLERANCE:g}"
        if self.left_out:
            yield f"without the numbers of {' and '.join(self.left_out)}"
        for published, other in self.other_judges.items():
            yield f"with {other} in the place of {published}"


def write_attestation(bundle: Path, attestation: Attestation) -> Path:
    """Beside what others found; it names the bundle by its seal and carries a hash of itself. Returns its file."""
    told = {"schema": SCHEMA, "kind": KIND, "seal": seal_of(bundle), **vars(attestation)}
    digest = key_of(told)
    path = bundle / REPRODUCTIONS / f"{digest[:16]}.json"
    write_atomically(path, json_text({**told, "digest": digest}))
    return path


def attestations(bundle: Path, cells: Collection[Cell] | None = None) -> tuple[list[Attestation], list[Discrepancy]]:
    """Those that hold for this very bundle, and what is wrong with others; also of rows that none of `cells` is."""
    folder = bundle / REPRODUCTIONS
    found: list[Attestation] = []
    findings: list[Discrepancy] = []
    seal = seal_of(bundle)
    rows = None if cells is None else {_row(cell) for cell in cells if cell.status == "done"}
    for name, path in files_below(folder).items() if folder.is_dir() else ():
        where = f"{REPRODUCTIONS}/{name}"
        try:
            made = _attestation(json_in(path, where), where, seal)
        except SftbenchError as problem:
            findings.append(Discrepancy(where=where, what=problem.what))
            continue
        except RecursionError:
            findings.append(Discrepancy(where=where, what="is nested too deeply"))
            continue
        wrong = _untrue(made, rows)
        if wrong:
            findings.append(Discrepancy(where=where, what=wrong))
        else:
            found.append(made)
    return found, findings


def _row(told: Cell | Attestation) -> str:
    return f"{told.label}@{told.budget}/{told.seed}"


def _attestation(told: dict[str, Any], where: str, seal: str) -> Attestation:
    from pydantic import ValidationError

    check_schema(told, where)
    digest = told.pop("digest", None)
    if digest != key_of(told):
        raise VerificationError("was changed after it was written")
    if told.pop("seal", None) != seal:
        raise VerificationError("is of another bundle")
    if told.pop("kind", None) != KIND:
        raise VerificationError("is no attestation")
    del told["schema"]
    try:
        return _form().validate_json(json.dumps(told), strict=True)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise VerificationError(f"is no attestation of this version ({place}: {first['msg']})") from None


@cache
def _form() -> TypeAdapter[Attestation]:
    from pydantic import TypeAdapter

    return TypeAdapter(Attestation)


def _untrue(made: Attestation, rows: Collection[str] | None) -> str | None:
    """What in a well-formed attestation no reproduction can have found, or None."""
    if made.row != _row(made):
        return f"is of {made.row[:80]} and names {_row(made)[:80]}"
    if rows is not None and made.row not in rows:
        return f"names {made.row[:80]}, which is no finished row of the bundle"
    if made.tolerance < 0:
        return f"tells a tolerance of {made.tolerance:g}"
    largest = max((each.get("largest", 0.0) for each in made.differences.values()), default=0.0)
    if made.outcome == "exact" and largest > EXACT:
        return f"is exact with a difference of {largest:g}"
    return None


def levels_of(cells: Sequence[Cell], attested: Iterable[Attestation], *, holds: bool) -> tuple[RowLevel, ...]:
    """A level per row; `holds` says whether all of the board could be recomputed."""
    listed = list(attested)
    rows = sorted({(cell.budget, cell.label) for cell in cells})
    return tuple(_level(label, budget, listed, holds=holds) for budget, label in rows)


def _level(label: str, budget: str, attested: list[Attestation], *, holds: bool) -> RowLevel:
    mine = [each for each in attested if (each.label, each.budget) == (label, budget)]
    if not holds or not mine:
        return RowLevel(label=label, budget=budget, level=RECOMPUTED if holds else SELF_REPORTED)
    names = sorted({each.name for each in mine})
    return RowLevel(
        label=label,
        budget=budget,
        level=f"reproduced by {len(names)}",
        seeds_reproduced=tuple(sorted({each.seed for each in mine})),
        names=tuple(each or "anonymous" for each in names),
    )

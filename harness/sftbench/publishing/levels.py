"""How much is known of each row of a board: self-reported, recomputed, reproduced by n; and what others attested."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sftbench.board.cells import Cell
from sftbench.errors import SftbenchError, VerificationError
from sftbench.fingerprint import key_of
from sftbench.publishing.layout import REPRODUCTIONS, SCHEMA, Discrepancy, check_schema, files_below, json_in, json_text
from sftbench.publishing.manifest import seal_of
from sftbench.store import write_atomically

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
class Attestation:
    """What came of running one cell again: `outcome` is `exact` or `close`, `differences` tell how close per metric.

    `left_out` names judges and evaluators whose numbers were not compared, `other_judges` by published judge whose
    verdicts its own were held to in its place.
    """

    row: str
    label: str
    budget: str
    seed: int
    outcome: str
    tolerance: float
    differences: Mapping[str, Any] = field(default_factory=dict)
    made_with: Mapping[str, Any] = field(default_factory=dict)
    name: str = ANONYMOUS
    left_out: Sequence[str] = ()
    other_judges: Mapping[str, str] = field(default_factory=dict)

    @property
    def reservations(self) -> Iterator[str]:
        """What of the row was not reproduced, in words."""
        if self.left_out:
            yield f"without the numbers of {' and '.join(self.left_out)}"
        for published, other in self.other_judges.items():
            yield f"with {other} in the place of {published}"


def write_attestation(bundle: Path, attestation: Attestation) -> Path:
    """Beside what others found; it names the bundle by its seal and carries a hash of itself. Returns its file."""
    told = {"schema": SCHEMA, "kind": "reproduction", "seal": seal_of(bundle), **vars(attestation)}
    digest = key_of(told)
    path = bundle / REPRODUCTIONS / f"{digest[:16]}.json"
    write_atomically(path, json_text({**told, "digest": digest}))
    return path


def attestations(bundle: Path) -> tuple[list[Attestation], list[Discrepancy]]:
    """Those that hold for this very bundle, and what is wrong with others."""
    folder = bundle / REPRODUCTIONS
    found: list[Attestation] = []
    findings: list[Discrepancy] = []
    seal = seal_of(bundle)
    for name, path in files_below(folder).items() if folder.is_dir() else ():
        where = f"{REPRODUCTIONS}/{name}"
        try:
            found.append(_attestation(json_in(path, where), where, seal))
        except SftbenchError as problem:
            findings.append(Discrepancy(where=where, what=str(problem)))
    return found, findings


def _attestation(told: dict[str, Any], where: str, seal: str) -> Attestation:
    check_schema(told, where)
    digest = told.pop("digest", None)
    if digest != key_of(told):
        raise VerificationError("was changed after it was written")
    if told.pop("seal", None) != seal:
        raise VerificationError("is of another bundle")
    fields = {"left_out": [], "other_judges": {}, **told}
    fields = {name: value for name, value in fields.items() if name not in ("schema", "kind")}
    try:
        made = Attestation(**fields)
    except TypeError:
        raise VerificationError("is no attestation of this version") from None
    texts = (made.row, made.label, made.budget, made.name)
    if not all(isinstance(each, str) for each in texts):
        raise VerificationError("names no row")
    if not isinstance(made.left_out, list) or not isinstance(made.other_judges, dict):
        raise VerificationError("does not tell what was left out")
    if made.outcome not in ("exact", "close") or not isinstance(made.seed, int):
        raise VerificationError("tells no outcome that counts")
    return made


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

"""Checking a bundle: hashes first, then every number of the board from the records, and the records by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sftbench.errors import SftbenchError, UsageError, VerificationError
from sftbench.publishing.archive import opened
from sftbench.publishing.crosscheck import check_records, check_sealed
from sftbench.publishing.layout import ABOUT, KIND, LEVELS, RECORDS, Discrepancy, check_schema, json_in
from sftbench.publishing.levels import RowLevel, attestations, levels_of
from sftbench.publishing.lock import own_version
from sftbench.publishing.manifest import check_files, read_manifest, seal_of
from sftbench.publishing.recompute import Recomputed, recompute

MOST_NAMED = 5
_RUN = (".html", ".htm", ".xhtml", ".js", ".mjs", ".svg")
LIMIT = (
    "what this cannot show: that whoever published ran it at all. Records that were made up as a whole, with board, "
    "bundle.json and manifest to match, recompute; --seal with a seal from elsewhere shows later changes, "
    "--reproduce and --rejudge show invented results"
)


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was found. `findings` is empty where all holds; `levels` has a line per row of the board."""

    bundle: str
    seal: str
    findings: tuple[Discrepancy, ...]
    levels: tuple[RowLevel, ...]
    notes: tuple[str, ...]
    compared_all: bool = True
    """Whether all of the board was compared with what the records give; not so for one of another version."""

    @property
    def holds(self) -> bool:
        return not self.findings


def verify(bundle: Path, *, seal: str | None = None) -> Verification:
    """Check a bundle, a folder or an archive, against itself and against a `seal` known from elsewhere.

    Raises `UsageError` where there is no bundle or one of another schema, and `VerificationError` where it is too
    damaged or too dangerous to be looked into; everything else is a finding.
    """
    with opened(bundle) as folder:
        return verify_folder(folder, seal=seal, name=str(bundle))


def verify_folder(folder: Path, *, seal: str | None = None, name: str = "") -> Verification:
    """`verify` for a bundle that is unpacked."""
    manifest = read_manifest(folder)
    found = seal_of(folder)
    findings = []
    if seal is not None and not (len(seal) >= 16 and found.startswith(seal.lower())):
        what = "is not the one with the given seal"
        findings.append(Discrepancy(where="manifest.json", what=what, told=seal, recomputed=found))
    findings += check_files(folder, manifest["files"])
    about = about_of(folder)
    findings += check_sealed(folder, about)
    cells: list[Any] = []
    notes: list[str] = []
    compared_all = True
    try:
        cells, wrong = check_records(folder, about)
        made = recompute(folder, about)
        findings += [*wrong, *made.findings]
        compared_all = not made.uncompared
        notes += _notes(made, about)
    except (UsageError, VerificationError) as problem:
        findings.append(_of_records(problem, folder))
    except (ArithmeticError, RecursionError) as problem:
        # What no bound was set to: a stranger's numbers are no reason for a traceback.
        what = f"no board can be made of them ({type(problem).__name__}: {problem})"
        findings.append(Discrepancy(where=RECORDS, what=what))
    if (folder / RECORDS / LEVELS).is_file():
        notes.append(f"a merged bundle: {RECORDS}/{LEVELS} tells what was known of its rows in the bundles before")
    attested, wrong = attestations(folder, cells or None)
    findings += wrong
    notes += [
        f"{each.row} was reproduced by {each.name or 'somebody'} {', '.join(each.reservations)}"
        for each in attested
        if any(each.reservations)
    ]
    return Verification(
        bundle=name or str(folder),
        seal=found,
        findings=tuple(findings),
        levels=levels_of(cells, attested, holds=not findings),
        notes=(*notes, LIMIT),
        compared_all=compared_all,
    )


def _notes(made: Recomputed, about: Mapping[str, Any]) -> Iterator[str]:
    """What of the board was not held to the records."""
    if made.unproven:
        yield _beside(made.unproven)
    if made.uncompared:
        yield (
            f"bundle.json says that the board was made with sftbench {str(about['made_with'].get('sftbench'))[:40]}, "
            f"this is {own_version()}: what only one of the two tells was not compared"
        )
    yield from made.uncompared


def _beside(names: Sequence[str]) -> str:
    """Of files that no record is behind: how many, which, and which of them a browser runs."""
    told, are = (f"{len(names)} files", "follow") if len(names) > 1 else ("1 file", "follows")
    checked = f"{told} beside the board {are} from no record, checked by hash alone: {_listed(names)}"
    run = [name for name in names if PurePosixPath(name).suffix.lower() in _RUN]
    if not run:
        return checked
    pages = "pages or scripts" if len(run) > 1 else "a page or script"
    return f"{checked}; among them {pages} that sftbench did not make and a browser runs: {_listed(run)}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(name[:120] for name in names[:MOST_NAMED]) + more


def about_of(folder: Path) -> dict[str, Any]:
    """`bundle.json`. Raises `VerificationError` where it is missing or no such file."""
    about = json_in(folder / ABOUT, ABOUT)
    check_schema(about, ABOUT)
    if about.get("kind") != KIND:
        raise VerificationError(f"{ABOUT} is not that of a bundle")
    for name in ("made_with", "pool", "base", "board", "sealed"):
        if not isinstance(about.get(name), dict):
            raise VerificationError(f"{ABOUT} does not tell its {name}")
    return about


def _of_records(problem: SftbenchError, folder: Path) -> Discrepancy:
    """What is wrong with a record, under its file where that is named."""
    what = _short(problem.what, folder)
    return Discrepancy(where=_short(problem.where, folder) or RECORDS, what=what)


def _short(message: str, folder: Path) -> str:
    """A message with names inside of the bundle; its folder may be called like the end of another's name."""
    return re.sub(rf"(?<![\w.~/-]){re.escape(str(folder))}/", "", message)


def verified_folder(folder: Path, *, name: str) -> Verification:
    """A bundle that holds. Raises `VerificationError` with the first findings of one that does not."""
    found = verify_folder(folder, name=name)
    if not found.holds:
        first = "; ".join(map(str, found.findings[:3]))
        raise VerificationError(f"{name} does not verify: {first}")
    return found

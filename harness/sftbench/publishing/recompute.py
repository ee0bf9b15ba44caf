"""Making the board of a bundle again from its records, and saying where it differs: row, column, both values."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sftbench.board.build import build_board
from sftbench.board.render import write_board
from sftbench.errors import VerificationError
from sftbench.publishing.layout import BOARD, RECORDS, Finding, files_below
from sftbench.publishing.lock import own_version

AT_MOST = 20
"""Differences told per file; one wrong record moves many numbers."""
MOST_RESAMPLES = 100_000
"""More would keep whoever verifies busy for a stranger's pleasure."""


def recompute(bundle: Path, about: Mapping[str, Any]) -> tuple[list[Finding], list[str]]:
    """What of the board does not follow from the records; and files beside it that no record is behind.

    Raises `UsageError` for records from which no board can be made.
    """
    board = build_board(bundle / RECORDS, **_terms(about))
    same_version = about.get("made_with", {}).get("sftbench") == own_version()
    there = files_below(bundle / BOARD) if (bundle / BOARD).is_dir() else {}
    with tempfile.TemporaryDirectory(prefix="sftbench-board-") as place:
        write_board(board, Path(place))
        fresh = files_below(Path(place))
        findings: list[Finding] = []
        for name, path in fresh.items():
            where = f"{BOARD}/{name}"
            if name not in there:
                findings.append(Finding(where=where, what="is missing"))
            elif there[name].read_bytes() != path.read_bytes():
                differences = list(_differences(where, _text(there[name]), _text(path), same_version=same_version))
                findings += differences[:AT_MOST]
                if len(differences) > AT_MOST:
                    findings.append(Finding(where=where, what=f"has {len(differences) - AT_MOST} more differences"))
    return findings, sorted(f"{BOARD}/{name}" for name in set(there) - set(fresh))


def _terms(about: Mapping[str, Any]) -> dict[str, Any]:
    told = about.get("board")
    metric, resamples = (told.get("sort_metric"), told.get("num_resamples")) if isinstance(told, dict) else (None, None)
    if not isinstance(metric, str) or not isinstance(resamples, int) or not 0 < resamples <= MOST_RESAMPLES:
        raise VerificationError("bundle.json does not tell how the board was ordered and resampled")
    return {"sort_metric": metric, "num_resamples": resamples}


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def _differences(where: str, told: str, fresh: str, *, same_version: bool) -> Iterator[Finding]:
    """Value by value where both can be read, else line by line.

    A board of another version of `sftbench` may be laid out otherwise, and is then held to its values alone.
    """
    compare = {".json": _json_values, ".csv": _csv_values}.get(Path(where).suffix)
    try:
        found = list(compare(where, told, fresh)) if compare else []
    except (ValueError, KeyError, TypeError, RecursionError, csv.Error):
        found = []
    if found:
        yield from found
    elif same_version or compare is None:
        yield from _lines(where, told, fresh, same_version=same_version)


def _json_values(where: str, told: str, fresh: str) -> Iterator[Finding]:
    yield from _walk(where, json.loads(told), json.loads(fresh), ())


def _walk(where: str, told: Any, fresh: Any, path: tuple[str, ...]) -> Iterator[Finding]:
    if isinstance(told, dict) and isinstance(fresh, dict):
        for name in told:
            if name in fresh:
                yield from _walk(where, told[name], fresh[name], (*path, str(name)))
    elif isinstance(told, list) and isinstance(fresh, list) and len(told) == len(fresh):
        for index, (mine, theirs) in enumerate(zip(told, fresh, strict=True)):
            yield from _walk(where, mine, theirs, (*path, _row_name(theirs, index)))
    elif told != fresh or isinstance(told, bool) != isinstance(fresh, bool):
        what = " ".join(path).replace("rows row ", "row ") or "the file"
        yield Finding(where=where, what=what, told=_brief(told), recomputed=_brief(fresh))


def _row_name(value: Any, index: int) -> str:
    if isinstance(value, dict) and "label" in value and "budget" in value:
        return f"row '{value['label']}' at {value['budget']}, column"
    return str(index)


def _brief(value: Any) -> Any:
    return value if isinstance(value, int | float | None) else f"'{str(value)[:120]}'"


def _csv_values(where: str, told: str, fresh: str) -> Iterator[Finding]:
    mine, theirs = (list(csv.DictReader(io.StringIO(text), strict=True)) for text in (told, fresh))
    if len(mine) != len(theirs):
        yield Finding(where=where, what="number of rows", told=len(mine), recomputed=len(theirs))
        return
    for row, other in zip(mine, theirs, strict=True):
        for column in row:
            if column in other and row[column] != other[column]:
                what = f"row '{other['label']}' at {other['budget']}, column {column}"
                yield Finding(where=where, what=what, told=_brief(row[column]), recomputed=_brief(other[column]))


def _lines(where: str, told: str, fresh: str, *, same_version: bool) -> Iterator[Finding]:
    mine, theirs = told.splitlines(), fresh.splitlines()
    if not same_version:
        return
    for number in range(max(len(mine), len(theirs))):
        pair = [lines[number] if number < len(lines) else "" for lines in (mine, theirs)]
        if pair[0] != pair[1]:
            start = next((i for i, (a, b) in enumerate(zip(*pair, strict=False)) if a != b), min(map(len, pair)))
            told_there, is_there = (each[max(0, start - 30) : start + 50] for each in pair)
            what = f"line {number + 1}, from '{pair[1][:40]}'"
            yield Finding(where=where, what=what, told=f"'…{told_there}…'", recomputed=f"'…{is_there}…'")
    if told != fresh and mine == theirs:
        yield Finding(where=where, what="differs in its line ends")

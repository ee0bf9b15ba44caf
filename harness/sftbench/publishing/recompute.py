"""Making the board of a bundle again from its records, and saying where it differs: row, column, both values."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftbench.board.build import build_board
from sftbench.board.reading import told_once
from sftbench.board.site.files import own_files, site_files
from sftbench.errors import VerificationError
from sftbench.publishing.layout import BOARD, RECORDS, Discrepancy, files_below
from sftbench.publishing.lock import own_version

AT_MOST = 20
"""Differences told per file; one wrong record moves many numbers."""
BOARD_FILES = ("board.json", "board.csv", "README.md")
MOST_RESAMPLES = 100_000
"""More would keep whoever verifies busy for a stranger's pleasure."""


@dataclass(frozen=True, kw_only=True)
class Recomputed:
    """What of a board does not follow from the records, and what could not be held to them.

    `unproven` are files that no record is behind. `uncompared` says, for a board of another version of `sftbench`, what
    was not compared; it is empty for one of this version, all of which is.
    """

    findings: tuple[Discrepancy, ...]
    unproven: tuple[str, ...]
    uncompared: tuple[str, ...]


def recompute(bundle: Path, about: Mapping[str, Any]) -> Recomputed:
    """Make board and pages again, where those of the bundle lie, and compare.

    Raises `UsageError` for records from which no board can be made.
    """
    board = build_board(bundle / RECORDS, **_terms(about))
    same_version = about.get("made_with", {}).get("sftbench") == own_version()
    there = files_below(bundle / BOARD) if (bundle / BOARD).is_dir() else {}
    fresh = site_files(board, bundle / RECORDS, bundle / BOARD)
    findings: list[Discrepancy] = []
    uncompared: list[str] = []
    # What has the numbers by row and column comes first: pages repeat them.
    for name in [*BOARD_FILES, *(name for name in fresh if name not in BOARD_FILES)]:
        text = fresh[name]
        where = f"{BOARD}/{name}"
        if name not in there:
            if same_version or name in BOARD_FILES:
                findings.append(Discrepancy(where=where, what="is missing"))
        elif there[name].read_bytes() != text.encode():
            if same_version or Path(name).suffix in _COMPARE:
                found = list(_differences(where, _text(there[name]), text, same_version=same_version))
            else:
                found = [_Difference(of=Discrepancy(where=where, what="its text"), one_sided=True)]
            wrong = [each.of for each in found if same_version or not each.one_sided]
            findings += wrong[:AT_MOST]
            if len(wrong) > AT_MOST:
                findings.append(Discrepancy(where=where, what=f"has {len(wrong) - AT_MOST} more differences"))
            uncompared += [_not_compared(each.of) for each in found if each.of not in wrong]
    left = sorted(set(there) - set(fresh))
    own = own_files(bundle / BOARD) if same_version else set()
    findings += [Discrepancy(where=f"{BOARD}/{name}", what="is no page of this board") for name in left if name in own]
    return Recomputed(
        findings=tuple(findings),
        unproven=tuple(f"{BOARD}/{name}" for name in left if name not in own),
        uncompared=tuple(_shortened(list(dict.fromkeys(uncompared)))),
    )


def _not_compared(finding: Discrepancy) -> str:
    """In words; a key that rows lack is said once for all of them."""
    what = re.sub(r"^row '.*?' at [^,]*, column ", "of rows, ", finding.what, flags=re.DOTALL)
    return f"{finding.where}: {what} was not compared"


def _shortened(told: list[str], most: int = 2 * AT_MOST) -> list[str]:
    return told[:most] + ([f"{len(told) - most} more files or keys were not compared"] if len(told) > most else [])


def _terms(about: Mapping[str, Any]) -> dict[str, Any]:
    told = about.get("board")
    metric, resamples = (told.get("sort_metric"), told.get("num_resamples")) if isinstance(told, dict) else (None, None)
    if not isinstance(metric, str) or not isinstance(resamples, int) or not 0 < resamples <= MOST_RESAMPLES:
        raise VerificationError("bundle.json does not tell how the board was ordered and resampled")
    return {"sort_metric": metric, "num_resamples": resamples}


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


@dataclass(frozen=True, kw_only=True)
class _Difference:
    """A difference; a `one_sided` one is in what this version and that of the bundle do not both tell."""

    of: Discrepancy
    one_sided: bool = False


def _differences(where: str, told: str, fresh: str, *, same_version: bool) -> Iterator[_Difference]:
    """Value by value where both can be read, else line by line.

    A board of another version of `sftbench` may be laid out otherwise, and is then held to the values that both tell.
    """
    compare = (_COMPARE | (_OF_THIS_VERSION if same_version else {})).get(Path(where).suffix)
    try:
        found = list(compare(where, told, fresh)) if compare else []
    except (ValueError, KeyError, TypeError, RecursionError, csv.Error) as problem:
        found = [] if same_version else [_Difference(of=Discrepancy(where=where, what=f"cannot be read ({problem})"))]
    yield from found or ([_Difference(of=each) for each in _lines(where, told, fresh)] if same_version else [])


def _json_values(where: str, told: str, fresh: str) -> Iterator[_Difference]:
    mine, theirs = (json.loads(text, object_pairs_hook=told_once) for text in (told, fresh))
    yield from _walk(where, mine, theirs, ())


def _script_values(where: str, told: str, fresh: str) -> Iterator[_Difference]:
    """Of scripts that hand JSON to a function, as those in `data/` do; nothing of any other."""
    mine, theirs = (_HANDS_JSON.fullmatch(text) for text in (told, fresh))
    if mine and theirs and mine[1] == theirs[1]:
        yield from _json_values(where, mine[2], theirs[2])


def _walk(where: str, told: Any, fresh: Any, path: tuple[str, ...]) -> Iterator[_Difference]:
    if isinstance(told, dict) and isinstance(fresh, dict):
        for name in (*told, *(name for name in fresh if name not in told)):
            inner = (*path, str(name))
            if name in told and name in fresh:
                yield from _walk(where, told[name], fresh[name], inner)
            else:
                yield _alone(where, _named(inner), told.get(name), fresh.get(name), is_told=name in told)
    elif isinstance(told, list) and isinstance(fresh, list) and len(told) == len(fresh):
        for index, (mine, theirs) in enumerate(zip(told, fresh, strict=True)):
            yield from _walk(where, mine, theirs, (*path, _row_name(theirs, index)))
    elif told != fresh or isinstance(told, bool) != isinstance(fresh, bool):
        yield _Difference(of=Discrepancy(where=where, what=_named(path), told=_brief(told), recomputed=_brief(fresh)))


def _alone(where: str, what: str, told: Any, fresh: Any, *, is_told: bool) -> _Difference:
    """Something that one side has alone."""
    if is_told:
        finding = Discrepancy(where=where, what=f"{what}, which follows from no record,", told=_brief(told))
    else:
        finding = Discrepancy(where=where, what=f"{what}, which is not told,", recomputed=_brief(fresh))
    return _Difference(of=finding, one_sided=True)


def _named(path: tuple[str, ...]) -> str:
    return " ".join(path).replace("rows row ", "row ") or "the file"


def _row_name(value: Any, index: int) -> str:
    if isinstance(value, dict) and "label" in value and "budget" in value:
        return f"row '{value['label']}' at {value['budget']}, column"
    if isinstance(value, dict) and "seed" in value and "budget" in value:
        return f"seed {value['seed']} at {value['budget']},"
    if isinstance(value, dict) and "metric" in value:
        return f"{value['metric']},"
    return str(index)


def _brief(value: Any) -> Any:
    return value if isinstance(value, int | float | None) else f"'{str(value)[:120]}'"


def _csv_values(where: str, told: str, fresh: str) -> Iterator[_Difference]:
    mine, theirs = (csv.DictReader(io.StringIO(text), strict=True) for text in (told, fresh))
    columns = list(mine.fieldnames or ())
    if len(set(columns)) < len(columns):
        raise ValueError("a column occurs twice")
    listed, others = list(mine), list(theirs)
    if len(listed) != len(others):
        yield _Difference(of=Discrepancy(where=where, what="number of rows", told=len(listed), recomputed=len(others)))
        return
    both = [column for column in columns if column in (theirs.fieldnames or ())]
    for column in (*columns, *(theirs.fieldnames or ())):
        if column not in both:
            yield _alone(where, f"column {column}", None, None, is_told=column in columns)
    for row, other in zip(listed, others, strict=True):
        if None in row:
            raise ValueError("a line has more fields than the first")
        for column in both:
            if row[column] != other[column]:
                what = f"row '{other['label']}' at {other['budget']}, column {column}"
                finding = Discrepancy(
                    where=where, what=what, told=_brief(row[column]), recomputed=_brief(other[column])
                )
                yield _Difference(of=finding)


_COMPARE = {".json": _json_values, ".csv": _csv_values}
_OF_THIS_VERSION = {".js": _script_values}
_HANDS_JSON = re.compile(r"(\w+)\((.*)\);\n", re.DOTALL)


def _lines(where: str, told: str, fresh: str) -> Iterator[Discrepancy]:
    mine, theirs = told.splitlines(), fresh.splitlines()
    for number in range(max(len(mine), len(theirs))):
        pair = [lines[number] if number < len(lines) else "" for lines in (mine, theirs)]
        if pair[0] != pair[1]:
            start = next((i for i, (a, b) in enumerate(zip(*pair, strict=False)) if a != b), min(map(len, pair)))
            told_there, is_there = (each[max(0, start - 30) : start + 50] for each in pair)
            what = f"line {number + 1}, from '{pair[1][:40]}'"
            yield Discrepancy(where=where, what=what, told=f"'…{told_there}…'", recomputed=f"'…{is_there}…'")
    if told != fresh and mine == theirs:
        yield Discrepancy(where=where, what="differs in its line ends")

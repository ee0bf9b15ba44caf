"""A page of two selections with the texts of their rows: made on request from what `bench compare` tells, and apart
from the pages that records alone give."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sftbench.board.files import read_board
from sftbench.board.site.data import as_script
from sftbench.board.site.files import WITH_TEXTS
from sftbench.board.site.hostile import LONGEST, file_name, visible
from sftbench.board.site.pages import Site
from sftbench.board.site.pictures import Bar, Scale, bar
from sftbench.board.site.records import read_records
from sftbench.board.site.rendering import render
from sftbench.board.site.tables import digits_of
from sftbench.board.statistics import Estimate
from sftbench.board.table import BoardRow
from sftbench.errors import UsageError
from sftbench.store import write_atomically

LIST = "list.js"
_RECEIVER = "sftbenchComparisons"
_IGNORED = "# Texts of the pool: whoever may pass them on removes this file.\n*\n"
_TITLES = {
    "response_words": "Words of the response",
    "instruction_words": "Words of the instruction",
    "source": "Where rows are from",
    "bands": "Response tokens by how often the pool has them",
    "cluster": "Clusters of instructions",
}


def write_comparison(told: Mapping[str, Any], *, results: Path, out: Path) -> Path:
    """The page of what `sftbench.anatomy` tells of two methods, in the folder `compare` of the site `out`.

    Texts of rows lie in a file of their own, which the page loads on demand. Returns the page. Raises `UsageError`
    where `out` is no site of a board, or of another run.
    """
    site = _site(results, out)
    sides = {side: _row(site, told[side]) for side in ("a", "b")}
    about = told["a"]
    place = f"{about['name']}--{told['b']['name']}--{about['budget'].replace('%', 'pct')}--seed-{about['seed']}"
    name = file_name(place)
    title = f"{about['name']} and {told['b']['name']} at {about['budget']}, seed {about['seed']}"
    folder = out / WITH_TEXTS
    page = render(
        "compared.html",
        site=site,
        root="../",
        title=title,
        told={"near_duplicates": None, "nearest_heldout": None, **told},
        rows=sides,
        parts=_parts(told["overlap"]),
        metrics=[(each, _difference(each)) for each in told["metrics"]],
        histograms=[(_TITLES[name], found) for name, found in (told.get("histograms") or {}).items() if found],
        digits=lambda metric: digits_of(site.board, metric),
        texts=f"{name}.js",
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / ".gitignore", _IGNORED)
    write_atomically(folder / f"{name}.js", as_script("sftbenchTexts", _texts(told)))
    write_atomically(folder / f"{name}.html", page)
    entry = {"file": f"{name}.html", "title": visible(title, 300)}
    others = [each for each in _listed(folder) if each["file"] != entry["file"]]
    pages = sorted([*others, entry], key=lambda each: each["title"])
    write_atomically(folder / LIST, as_script(_RECEIVER, pages))
    return folder / f"{name}.html"


def _site(results: Path, out: Path) -> Site:
    if not (out / "board.json").is_file() or not (out / "index.html").is_file():
        raise UsageError(f"no site in '{out}'; 'bench board build {results} --out {out}' makes one")
    site = Site.of(read_board(out), read_records(results, out))
    pools = {file.cell.pool.key for files in site.records.cells.values() for file in files}
    if pools != {site.board.pool.key}:
        raise UsageError(f"'{out}' is the board of another run than '{results}': their pools differ")
    return site


def _row(site: Site, about: Mapping[str, Any]) -> BoardRow:
    """The row of the board that a side is. Raises `UsageError` where it has none."""
    for row in site.board.of(str(about.get("budget"))):
        if about["name"] in (row.label, f"{row.label} matched to {row.matched_to}"):
            return row
    raise UsageError(f"{about['name']} is not on the board; build it again")


def _parts(overlap: Mapping[str, Any] | None) -> dict[str, int] | None:
    """Rows of one side alone, of both, and of the other alone."""
    if overlap is None:
        return None
    both = overlap["num_common"]
    return {"a": overlap["num_a"] - both, "both": both, "b": overlap["num_b"] - both}


def _difference(found: Mapping[str, Any]) -> Bar | None:
    """The difference with its interval, on a scale that has 0 in its middle."""
    bounds = [abs(found[name]) for name in ("difference", "low", "high") if found[name] is not None]
    most = max([*bounds, 1e-9])
    estimate = Estimate(
        mean=found["difference"],
        low=found["low"],
        high=found["high"],
        num_seeds=found["num_seeds"],
        num_items=found["num_items"],
        num_failed_items=0,
    )
    return bar(estimate, Scale(low=-most, high=most), 0.0)


def _texts(told: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that is text of a row, with what is hidden in it written out, and cut."""
    examples, near, tokens = (told.get(name) or {} for name in ("examples", "nearest_heldout", "tokens"))
    return {
        "examples": {side: [_shown(row) for row in examples.get(f"only_{side}", {}).get("rows", ())] for side in "ab"},
        "nearest": {side: [_shown(pair) for pair in near.get(side, {}).get("closest", ())] for side in "ab"},
        "tokens": {
            side: [{"id": visible(row["id"], 200), "pieces": _cut(row["pieces"])} for row in tokens.get(side, ())]
            for side in "ab"
        },
    }


def _shown(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: visible(value) if isinstance(value, str) else value for name, value in record.items()}


def _cut(pieces: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Pieces of a text up to its longest length, the last one cut."""
    found: list[list[Any]] = []
    left = LONGEST
    for text, label in pieces:
        if left <= 0:
            return [*found, ["…", None]]
        found.append([visible(text[:left]), label])
        left -= len(text)
    return found


def _listed(folder: Path) -> list[dict[str, str]]:
    """The pages that the list of the folder names and that are there; none where it cannot be read."""
    try:
        text = (folder / LIST).read_text(encoding="utf-8")
        listed = json.loads(text.removeprefix(f"{_RECEIVER}(").removesuffix(");\n"))
        told = [{"file": str(each["file"]), "title": str(each["title"])} for each in listed]
    except (OSError, ValueError, TypeError, KeyError):
        return []
    return [each for each in told if each["file"] == Path(each["file"]).name and (folder / each["file"]).is_file()]

"""The site on disk: written beside the board, compared with what is there, and the study's figures found."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

from sftbench.board.flat import board_csv
from sftbench.board.markdown import board_markdown
from sftbench.board.site.pages import Site, pages_of, study_page
from sftbench.board.site.records import read_records
from sftbench.board.site.rendering import FOLDER
from sftbench.board.table import Board
from sftbench.errors import UsageError
from sftbench.store import write_atomically

OWN = (
    "assets/*.css",
    "assets/*.js",
    "data/*.js",
    "methods/*.html",
    "rows/*.html",
    "compare.html",
    "index.html",
    "run.html",
    "study.html",
)
"""What in the folder of a board belongs to its site; whatever else of these names lies there is left over."""
WITH_TEXTS = "compare"
"""The folder of pages that hold texts of the pool. No record gives these: they are neither checked nor published."""
SLOPES = "slopes.csv"
MOST_LINES = 60
_SIZE = re.compile(r"<svg[^>]*\bviewBox=\"0 0 ([0-9.]+) ([0-9.]+)\"")


def site_files(board: Board, results: Path, out: Path) -> dict[str, str]:
    """Every file of the board and its site, by path in the folder `out`.

    They follow from the records, from where these lie as seen from `out`, and from the figures of a study in
    `out/study`. Nothing is written.
    """
    as_json = board.to_json()
    files = {"README.md": board_markdown(board), "board.csv": board_csv(board), "board.json": as_json}
    # Pages show the numbers of board.json, whose digits are the same on every machine.
    site = Site.of(Board.from_json(as_json, where="board.json"), read_records(results, out))
    files |= pages_of(site)
    if site.has_study:
        files["study.html"] = study_page(
            site, _figures(out / "study"), _tables(out / "study"), slopes=_slopes(out / "study")
        )
    for path in sorted((FOLDER / "assets").iterdir()):
        files[f"assets/{path.name}"] = path.read_text(encoding="utf-8")
    return files


def write_site(board: Board, results: Path, out: Path) -> list[str]:
    """Write board and site into the folder `out`, and remove pages of what is no longer on the board.

    Files that are as they should be are left alone. Returns the paths that were written or removed.
    """
    files = site_files(board, results, out)
    changed = stale_files(files, out)
    for name in changed:
        if name in files:
            write_atomically(out / name, files[name])
        else:
            (out / name).unlink()
    return changed


def stale_files(files: dict[str, str], out: Path) -> list[str]:
    """Which files of a site lack in the folder `out`, differ there, or are left over; sorted."""
    differing = [name for name, text in files.items() if _bytes(out / name) != text.encode()]
    return sorted([*differing, *(own_files(out) - set(files))])


def own_files(out: Path) -> set[str]:
    """The files in a folder whose names are those of a site's."""
    return {path.relative_to(out).as_posix() for pattern in OWN for path in out.glob(pattern)}


def require_own_folder(out: Path) -> None:
    """Refuse a folder whose README or index is not a board's: it would be overwritten."""
    if not (out / "board.json").exists() and any((out / name).exists() for name in ("README.md", "index.html")):
        raise UsageError(f"'{out}' holds pages and no board.json: choose an empty folder, or that of a board")


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _figures(folder: Path) -> list[dict[str, Any]]:
    """The drawings of a study, with their sizes so that nothing moves when they appear."""
    figures = []
    for path in sorted(folder.glob("*.svg")):
        size = _SIZE.search(path.read_text(encoding="utf-8", errors="replace")[:4000])
        width, height = (round(float(each)) for each in size.groups()) if size else (800, 500)
        figures.append({"file": f"study/{path.name}", "name": path.stem, "width": width, "height": height})
    return figures


def _slopes(folder: Path) -> list[dict[str, str]]:
    """The lines of a study's table of slopes; none where there is no such table."""
    try:
        return list(csv.DictReader(io.StringIO((folder / SLOPES).read_text(encoding="utf-8", errors="replace"))))
    except (OSError, csv.Error):
        return []


def _tables(folder: Path) -> list[dict[str, Any]]:
    """The tables of a study; of long ones the beginning."""
    tables = []
    for path in sorted(folder.glob("*.csv")):
        try:
            lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8", errors="replace"))))
        except csv.Error:
            lines = []
        if lines and len(lines[0]) <= 20:
            told = {"head": lines[0], "rows": lines[1 : 1 + MOST_LINES], "num_rows": len(lines) - 1}
        else:
            told = {"head": [], "rows": [], "num_rows": max(len(lines) - 1, 0)}
        tables.append({"file": f"study/{path.name}", "name": path.stem, **told})
    return tables

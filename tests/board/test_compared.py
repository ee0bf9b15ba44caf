"""The page of two selections with texts: apart from what records give, kept out of git, refused where it is wrong."""

from __future__ import annotations

import json

import pytest

from sftbench.board.build import build_board
from sftbench.board.site.compared import write_comparison
from sftbench.board.site.files import own_files, site_files, stale_files, write_site
from sftbench.board.site.hostile import LONGEST
from sftbench.errors import UsageError

from .conftest import anatomy


@pytest.fixture
def site(results, tmp_path):
    for label in ("one", "two", "three"):
        results.add(label)
    out = tmp_path / "leaderboards" / "x"
    write_site(build_board(results.folder, num_resamples=20), results.folder, out)
    return out


def data_of(page):
    text = page.with_suffix(".js").read_text(encoding="utf-8")
    assert text.startswith("sftbenchTexts(")
    return json.loads(text.partition("(")[2].rpartition(")")[0])


def test_texts_of_rows_are_in_the_data_and_not_on_the_page(results, site):
    page = write_comparison(anatomy("one", "two", text="a text of a row"), results=results.folder, out=site)
    assert page.name == "one--two--10pct--seed-0.html"
    data = data_of(page)
    assert data["examples"]["a"][0]["instruction"] == "a text of a row"
    assert data["nearest"]["b"][0]["item_text"] == "a text of a row"
    assert [label for _, label in data["tokens"]["a"][0]["pieces"]] == [0, None, 1, 2, 1, None]
    shown = page.read_text(encoding="utf-8").replace("a text of a row", "", 3)
    assert "a text of a row" not in shown, "it names a defect, a cluster and what is missing, and nothing else"
    assert "This page holds texts of the pool" in shown


def test_long_texts_are_cut(results, site):
    told = anatomy("one", "two", text="z" * 50_000)
    data = data_of(write_comparison(told, results=results.folder, out=site))
    assert len(data["examples"]["a"][0]["response"]) < LONGEST + 40
    assert sum(len(text) for text, _ in data["tokens"]["a"][0]["pieces"]) <= LONGEST + 1


def test_pages_are_listed_once_and_a_list_that_cannot_be_read_begins_anew(results, site):
    def listed():
        text = (site / "compare" / "list.js").read_text(encoding="utf-8")
        return [each["file"] for each in json.loads(text.partition("(")[2].rpartition(")")[0])]

    def write(a, b, **about):
        return write_comparison(anatomy(a, b, **about), results=results.folder, out=site).name

    first, second = write("one", "two"), write("one", "three")
    write("one", "two")
    assert sorted(listed()) == sorted([first, second])
    (site / "compare" / second).unlink()
    third = write("two", "three")
    assert sorted(listed()) == sorted([first, third])
    (site / "compare" / "list.js").write_text("sftbenchComparisons([3]);\n")
    assert [write("one", "three")] == listed()


def test_such_pages_are_neither_checked_nor_removed_nor_in_git(results, site):
    board = build_board(results.folder, num_resamples=20)
    page = write_comparison(anatomy("one", "two"), results=results.folder, out=site)
    assert stale_files(site_files(board, results.folder, site), site) == []
    assert write_site(board, results.folder, site) == []
    assert page.is_file()
    assert not [name for name in own_files(site) if name.startswith("compare/")]
    assert (page.parent / ".gitignore").read_text(encoding="utf-8").splitlines()[-1] == "*"


def test_what_is_no_site_of_this_run_is_refused(results, new_results, site, tmp_path):
    told = anatomy("one", "two")
    with pytest.raises(UsageError, match="bench board build"):
        write_comparison(told, results=results.folder, out=tmp_path / "nothing")
    with pytest.raises(UsageError, match="four is not on the board"):
        write_comparison(anatomy("one", "four"), results=results.folder, out=site)
    other = new_results("other")
    cell = other.cell("one")
    other.write(cell | {"pool": cell["pool"] | {"key": "another"}})
    with pytest.raises(UsageError, match="another run"):
        write_comparison(told, results=other.folder, out=site)


def test_records_alone_make_a_page_too(results, site):
    told = {name: value for name, value in anatomy("one", "two").items() if name not in (
        "histograms", "examples", "near_duplicates", "nearest_heldout"
    )} | {"overlap": None, "metrics": [], "tokens": {}}  # fmt: skip
    told["planted"] = {"a": None, "b": None}
    page = write_comparison(told, results=results.folder, out=site)
    assert "Which rows both took is not known" in page.read_text(encoding="utf-8")
    assert data_of(page) == {name: {"a": [], "b": []} for name in ("examples", "nearest", "tokens")}

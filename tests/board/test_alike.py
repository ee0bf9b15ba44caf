"""Entries that took the same rows in every seed are told to have done so, and others are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from sftbench.board.build import build_board
from sftbench.board.site.alike import Alike, groups_of, listed
from sftbench.board.site.files import site_files
from sftbench.board.site.records import read_records

OUT = Path("out")


@pytest.fixture
def write(results):
    """Adds a row whose selection under each seed is named; the share of tokens that it trains on is given."""

    def add(label, names, share=1.0, **about):
        for seed, name in enumerate(names):
            cell = results.cell(label, seed=seed, **about)
            cell["selection"] |= {"ids_hash": name, "trained_share": share}
            results.write(cell)

    return add


def board_of(results):
    return build_board(results.folder, num_resamples=20), read_records(results.folder, OUT)


@pytest.fixture
def several(results, write):
    write("random", "rst", kind="control", method="random")
    write("rho", "rst", share=0.8)
    write("gated", "rst", share=0.9)
    write("ppl", "xyz")
    write("entropy", "xyz")
    write("nearly", "xyq")
    write("fewer", "xy")
    write("lengths(ppl)", "xyz", kind="control", matched_to="ppl", method="lengths")
    return board_of(results)


def test_the_same_rows_in_every_seed_make_a_group_with_the_control_first(several):
    groups = [[row.label for row in group] for group in groups_of(*several, "10%")]
    assert sorted(groups) == [["entropy", "ppl"], ["random", "gated", "rho"]]


def test_whose_rows_an_entry_takes_is_said_and_that_it_chooses_tokens(several):
    board, records = several
    alike = Alike(board, records)
    words = {row.label: alike.words(row) for row in board.rows}
    assert words == {
        "random": "gated and rho take its rows",
        "rho": "takes the rows of random; chooses tokens",
        "gated": "takes the rows of random; chooses tokens",
        "ppl": "takes the rows of entropy",
        "entropy": "takes the rows of ppl",
        "nearly": "", "fewer": "", "lengths(ppl)": "",
    }  # fmt: skip
    rho = next(row for row in board.rows if row.label == "rho")
    assert alike.sentence(rho) == (
        "It took the same rows as random in every seed. It chooses among their tokens: 80% of the response tokens are "
        "trained."
    )


def test_the_board_and_the_pages_of_the_rows_say_so(results, several):
    board, _ = several
    files = site_files(board, results.folder, OUT)
    assert (
        "At 10%, entropy and ppl took the same rows in every seed: no choice of rows tells them apart."
        in files["index.html"]
    )
    assert "gated and rho choose among the tokens of these rows." in files["index.html"]
    assert "It took the same rows as entropy in every seed." in files["rows/ppl.html"]
    assert "It took the same rows" not in files["rows/nearly.html"]


def test_a_generator_that_wrote_nothing_is_told(results, write):
    for label in ("a[share=0]", "b[share=0]"):
        write(label, "xyz", generated={"num_new": 0, "num_rows": 500})
    for label in ("c", "d"):
        write(label, "uvw", generated={"num_new": 9, "num_rows": 500})
    board, records = board_of(results)
    notes = Alike(board, records).notes("10%")
    silent = [note for note in notes if "None of these rows was written by a generator" in note]
    assert len(notes) == 2
    assert len(silent) == 1
    assert silent[0].startswith("At 10%, a[share=0] and b[share=0] took")


def test_of_many_names_the_first_are_listed():
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed([str(each) for each in range(9)]) == "0, 1, 2, 3, 4, 5 and 3 more"

"""What selections share, against sets counted one by one; the plan of a run, against its steps."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from sftbench.board.build import build_board
from sftbench.board.site.files import site_files
from sftbench.board.site.plan import plan_of
from sftbench.board.site.records import read_records
from sftbench.board.site.selections import MOST_ROWS, SHADES, has_selections, overlaps_of, shade
from sftbench.positions import positions_as_text

OUT = Path("out")
NUM_ROWS = 720


@pytest.fixture
def write(results):
    """Adds a cell that chose the rows at some positions."""

    def add(label, seed, positions, **about):
        cell = results.cell(label, seed=seed, **about)
        cell["selection"] |= {"num_rows": len(positions), "key": f"s-{label}-{seed}"}
        cell["selection"]["positions"] = positions_as_text(positions)
        results.write(cell)
        return set(positions)

    return add


def told(results, budget="10%"):
    return overlaps_of(build_board(results.folder, num_resamples=20), read_records(results.folder, OUT), budget)


def test_every_pair_is_what_sets_say_on_the_seeds_that_both_have(results, write):
    rng = np.random.default_rng(3)
    sizes, seeds = {"a": 50, "b": 80, "c": 1}, {"a": (0, 1, 2), "b": (1, 2), "c": (0, 2)}
    chosen = {
        (label, seed): write(label, seed, sorted(rng.permutation(NUM_ROWS)[:size].tolist()))
        for label, size in sizes.items()
        for seed in seeds[label]
    }
    found = told(results)
    places = {row.label: at for at, row in enumerate(found.rows)}
    for one, other in combinations(sizes, 2):
        common = sorted(set(seeds[one]) & set(seeds[other]))
        pairs = [(chosen[one, seed], chosen[other, seed]) for seed in common]
        expected = np.mean([len(x & y) / len(x | y) for x, y in pairs])
        assert found.jaccard[places[one]][places[other]] == pytest.approx(expected)
        assert found.jaccard[places[other]][places[one]] == pytest.approx(expected)


def test_the_nearest_row_and_chance_are_told(results, write):
    write("a", 0, range(60))
    write("b", 0, range(30, 90))
    write("c", 0, range(80, 140))
    found = told(results)
    near = {row.label: each for row, each in zip(found.rows, found.nearest, strict=True)}
    assert (near["a"].row.label, near["b"].row.label, near["c"].row.label) == ("b", "a", "b")
    assert near["a"].jaccard == pytest.approx(30 / 90)
    draws = np.random.default_rng(0)
    common = [len({*draws.permutation(NUM_ROWS)[:60]} & {*draws.permutation(NUM_ROWS)[:60]}) for _ in range(2000)]
    assert near["a"].by_chance == pytest.approx(np.mean([each / (120 - each) for each in common]), abs=0.002)
    assert found.by_chance[0] <= near["a"].by_chance <= found.by_chance[1]


def test_what_took_the_whole_pool_is_nobody_s_nearest(results, write):
    write("full", 0, range(NUM_ROWS), kind="control")
    write("large", 0, range(700))
    write("small", 0, range(690, 720))
    found = told(results)
    near = {row.label: each and each.row.label for row, each in zip(found.rows, found.nearest, strict=True)}
    assert near == {"full": None, "large": "small", "small": "large"}


def test_rows_whose_selections_are_not_compared_are_told_with_the_reason(results, write):
    write("a", 0, [1, 2])
    write("b", 0, [1, 3])
    results.write(results.cell("topics", generated={"num_new": 9}))

    def page():
        files = site_files(build_board(results.folder, num_resamples=20), results.folder, OUT)
        return files["compare.html"]

    assert told(results).num_generated == 1
    assert "1 more trained row is not in this table: what was trained on was written by a generator" in page()
    results.write(results.cell("old"))
    assert told(results).num_generated == 1
    assert "of 1 what was trained on was written by a generator" in page()
    assert "the records of the others do not tell positions" in page()


def test_who_takes_the_rows_of_random_and_chooses_tokens_says_so(results, write):
    for label in ("random", "rho"):
        write(label, 0, range(72), kind="control" if label == "random" else "method")
    write("other", 0, range(30, 102))
    files = site_files(build_board(results.folder, num_resamples=20), results.folder, OUT)
    assert "takes the rows of random; chooses tokens" in files["compare.html"]
    assert "rho takes its rows" in files["compare.html"]


def test_rows_without_a_common_seed_and_of_unknown_positions_are_told_apart(results, write):
    write("a", 0, [1, 2])
    write("b", 1, [1, 2])
    results.write(results.cell("generated"))
    write("lengths(a)", 0, [5, 6], kind="control", matched_to="a", method="lengths")
    found = told(results)
    assert {row.label for row in found.rows} == {"a", "b"}
    assert found.jaccard[0][1] is None
    assert found.nearest == (None, None)
    assert [row.label for row in found.unknown] == ["generated"]
    assert found.by_chance is None


def test_no_more_rows_are_compared_than_can_be_read(results, write):
    for index in range(MOST_ROWS + 3):
        write(f"m{index}", 0, [index, index + 1])
    found = told(results)
    assert (len(found.rows), found.num_left_out) == (MOST_ROWS, 3)


def test_without_positions_there_is_no_page_of_selections(results, write):
    results.add("a")
    results.add("b")
    assert not has_selections(read_records(results.folder, OUT))
    board = build_board(results.folder, num_resamples=20)
    files = site_files(board, results.folder, OUT)
    assert "compare.html" not in files
    assert "compare.html" not in files["index.html"]
    write("a", 0, [1, 2])
    assert told(results) is None, "one row alone has no pair"


def test_shades_rise_with_overlap():
    assert [shade(value) for value in (0.0, *SHADES, 1.0)] == [0, *range(1, len(SHADES) + 1), len(SHADES)]


def test_the_plan_counts_each_step_once_and_tells_which_are_shared(results):
    pool = {"room": "pool", "part": "", "key": "p"}
    for seed in range(3):
        own = {"room": "model", "part": "sft@1", "key": f"m{seed}"}
        results.write(results.cell("a", seed=seed, steps=[pool, own, own]))
    results.write(results.cell("b", steps=[pool, {"room": "model", "part": "gated@1", "key": "g"}]))
    records = read_records(results.folder, OUT)
    found = {each.room: each for each in plan_of(file.cell for files in records.cells.values() for file in files)}
    assert list(found) == ["pool", "model"]
    assert (found["pool"].num_steps, found["pool"].num_shared, found["pool"].num_uses) == (1, 1, 4)
    assert (found["model"].num_steps, found["model"].num_shared, found["model"].num_uses) == (4, 0, 4)
    assert found["model"].parts == (("sft@1", 3), ("gated@1", 1))
    assert found["pool"].parts == ()


def test_a_matched_control_is_on_the_page_of_its_method_and_else_on_its_own(results):
    results.add("a")
    results.add("lengths(a)", kind="control", matched_to="a", method="lengths")
    results.add("lengths(gone)", kind="control", matched_to="gone", method="lengths")
    files = site_files(build_board(results.folder, num_resamples=20), results.folder, OUT)
    rows = {name for name in files if name.startswith("rows/")}
    assert rows == {"rows/a.html", next(name for name in rows if "gone" in name)}
    (anchor,) = {part.split('"')[0].split(">")[0] for part in files["index.html"].split("rows/a.html#")[1:]}
    assert f"<tbody id={anchor}>" in files["rows/a.html"]
    (data,) = (name for name in files if name.startswith("data/lengths-a"))
    assert f"../{data}" in files["rows/a.html"]
    assert json.loads(files[data].partition("(")[2].rpartition(")")[0])

"""Overlap across seeds: Jaccard by counting, the overlap of chance in closed form, and what boards show of both."""

from __future__ import annotations

import csv
import io
import random
from fractions import Fraction
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from sftbench.board.build import build_board
from sftbench.board.overlap import expected_jaccard, jaccard
from sftbench.board.render import board_csv, board_markdown, read_board, render_rich, write_board
from sftbench.errors import UsageError
from sftbench.positions import positions_as_text

POOL = 720


def test_overlap_is_rows_in_both_over_rows_in_either():
    chance = random.Random(1)
    for _ in range(50):
        one, other = (set(chance.sample(range(30), chance.randint(0, 30))) for _ in range(2))
        expected = len(one & other) / len(one | other) if one | other else 1.0
        assert jaccard(np.array(sorted(one), dtype=int), np.array(sorted(other), dtype=int)) == expected


@pytest.mark.parametrize("num_rows", [1, 4, 6])
def test_the_overlap_of_chance_is_the_mean_over_all_pairs_of_choices(num_rows):
    for size in range(num_rows + 1):
        for other_size in range(num_rows + 1):
            pairs = [
                Fraction(len(set(one) & set(other)), len(set(one) | set(other)) or 1)
                if size + other_size
                else Fraction(1)
                for one in combinations(range(num_rows), size)
                for other in combinations(range(num_rows), other_size)
            ]
            assert expected_jaccard(size, other_size, num_rows) == pytest.approx(float(sum(pairs) / len(pairs)))


@pytest.mark.parametrize(("size", "other_size", "num_rows"), [(72, 72, 720), (60, 41, 500), (300, 400, 500)])
def test_the_overlap_of_chance_is_hypergeometric(size, other_size, num_rows):
    expected = sum(
        Fraction(comb(size, k) * comb(num_rows - size, other_size - k), comb(num_rows, other_size))
        * Fraction(k, size + other_size - k)
        for k in range(max(0, size + other_size - num_rows), min(size, other_size) + 1)
    )
    assert expected_jaccard(size, other_size, num_rows) == pytest.approx(float(expected), rel=1e-12)


def test_the_overlap_of_chance_is_known_for_large_pools():
    # Nearly all choices have about size**2 / n rows in common.
    common = 50_000**2 / 1_000_000
    assert expected_jaccard(50_000, 50_000, 1_000_000) == pytest.approx(common / (100_000 - common), rel=1e-3)


def chosen(results: Any, label: str, choices: list[set[int]], *, key: str | None = None, **about: Any) -> None:
    """A row whose seeds chose these positions."""
    for seed, choice in enumerate(choices):
        cell = results.cell(label, seed=seed, **about)
        cell["selection"] |= {
            "num_rows": len(choice),
            "key": key or f"{label}-{seed}",
            "positions": positions_as_text(sorted(choice)),
        }
        results.write(cell)


def overlaps(results: Any) -> dict[str, Any]:
    return {row.label: row.overlap for row in build_board(results.folder).rows}


CHOICES = [set(range(72)), set(range(36, 108)), set(range(144))]


def test_a_row_has_the_mean_over_all_pairs_of_its_seeds(results: Any) -> None:
    chosen(results, "noisy", CHOICES)
    found = overlaps(results)["noisy"]
    assert found.num_pairs == 3
    assert found.mean == pytest.approx((36 / 108 + 72 / 144 + 72 / 144) / 3)
    by_chance = [expected_jaccard(*sizes, POOL) for sizes in ((72, 72), (72, 144), (72, 144))]
    assert found.by_chance == pytest.approx(np.mean(by_chance))


def test_where_the_seed_plays_no_part_or_only_one_is_finished_there_is_none(results: Any) -> None:
    chosen(results, "steady", CHOICES[:1] * 3, key="one selection")
    chosen(results, "alone", CHOICES[:1])
    results.fail("alone", seed=1)
    results.add("of an older record")
    results.add("base", kind="control", selection=None)
    assert set(overlaps(results).values()) == {None}


def test_random_choices_overlap_as_chance_has_it(results: Any) -> None:
    chance = random.Random(5)
    chosen(results, "random", [set(chance.sample(range(POOL), 72)) for _ in range(12)])
    found = overlaps(results)["random"]
    assert found.mean == pytest.approx(found.by_chance, abs=0.01)


def test_boards_without_several_choices_say_nothing_of_overlap(results: Any, tmp_path: Any) -> None:
    chosen(results, "alone", CHOICES[:1])
    write_board(build_board(results.folder), tmp_path / "out")
    for file in (tmp_path / "out").iterdir():
        assert "verlap" not in file.read_text()


def test_boards_show_overlap_beside_that_of_chance(results: Any, tmp_path: Any) -> None:
    chosen(results, "noisy", CHOICES[:2])
    chosen(results, "steady", CHOICES[:1] * 2, key="one selection")
    board = build_board(results.folder)
    page = board_markdown(board)
    assert "| overlap across seeds: found, by chance |" in page
    assert "| 33%, 5.3% |" in page
    assert "- Overlap across seeds: " in page
    lines = {line["label"]: line for line in csv.DictReader(io.StringIO(board_csv(board)))}
    assert float(lines["noisy"]["overlap"]) == pytest.approx(1 / 3, rel=1e-5)
    assert float(lines["noisy"]["overlap_by_chance"]) == pytest.approx(expected_jaccard(72, 72, POOL), rel=1e-5)
    assert lines["steady"]["overlap"] == ""
    write_board(board, tmp_path / "out")
    assert read_board(tmp_path / "out").to_json() == board.to_json()
    for width in (100, 120):
        stream = io.StringIO()
        Console(file=stream, width=width).print(render_rich(board, width=width))
        assert "33%, 5.3%" in stream.getvalue()
        assert max(len(line) for line in stream.getvalue().splitlines()) <= width


@pytest.mark.parametrize("positions", ["0-3", "0-71,x", "700-771"])
def test_positions_that_cannot_be_are_refused(results: Any, positions: str) -> None:
    cell = results.cell("one")
    cell["selection"]["positions"] = positions
    results.write(cell)
    with pytest.raises(UsageError, match=r"selection\.positions"):
        build_board(results.folder)

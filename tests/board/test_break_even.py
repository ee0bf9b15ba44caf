"""From which size of training on choosing pays: against figures worked out by hand, other formulas, and simulation."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sftbench.board.break_even import CostLine, never_falling, with_break_even
from sftbench.board.build import build_board
from sftbench.board.cells import Base, Cell, Chosen, ItemMetrics, PoolFacts, Spent
from sftbench.board.entries import gather
from sftbench.board.ranking import Elsewhere, Measurements, rank
from sftbench.board.spread import Grid, take_apart
from sftbench.board.statistics import draw_means, estimate_all
from sftbench.board.table import Board, BreakEven

NUM_ITEMS = 120
PRICE = 100.0
"""FLOPs of training on a row."""


def spent(flops: float) -> dict[str, float]:
    return {"flops": flops}


def row(results: Any, label: str, *, right: int, rows: int, before: float = 0.0, **about: Any) -> None:
    """A row that gets `right` of the items in every seed, trained on so many rows for 100 FLOPs each."""
    for seed in range(2):
        cell = results.cell(label, seed=seed, **about)
        cell["evaluations"].pop("nll")
        values = [1.0] * right + [0.0] * (NUM_ITEMS - right)
        cell["evaluations"]["exact-match"]["items"] = {"exact-match": values}
        cell["selection"] |= {"num_rows": rows, "ids_hash": f"{label} {about.get('budget')} {seed}"}
        cell["cost"] = {"selecting": spent(before), "training": spent(PRICE * rows), "evaluating": spent(9.0)}
        results.write(cell)


def two_sizes(results: Any, **about: Any) -> None:
    """Random gets a fifth of the items with 36 rows and three fifths with 72."""
    row(results, "random", right=24, rows=36, kind="control", **about)
    row(results, "random-tokens(x)", right=72, rows=72, kind="control", method="random-tokens", matched_to="x", **about)


def of(board: Board, label: str) -> BreakEven:
    (found,) = [each for each in board.rows if each.label == label]
    assert found.break_even is not None
    return found.break_even


def test_choosing_pays_once_what_trainings_save_is_what_it_cost(results: Any) -> None:
    two_sizes(results)
    # Two fifths stand half way between 36 and 72 rows on a logarithmic axis: 36 * sqrt(2) random rows.
    needed = 36 * math.sqrt(2)
    row(results, "method", right=48, rows=36, before=3 * (needed - 36) * PRICE)
    found = of(build_board(results.folder), "method")
    assert found.is_known
    assert not found.beyond
    assert found.random_rows == pytest.approx(needed)
    assert found.factor == pytest.approx(3)
    assert found.choosing_rows == pytest.approx(3 * (needed - 36))
    assert found.total_rows == pytest.approx(3 * (needed - 36) + 36)


def test_a_budget_lends_its_random_rows_to_another(results: Any) -> None:
    row(results, "random", right=24, rows=36, kind="control", budget="5%")
    row(results, "random", right=72, rows=72, kind="control", budget="10%")
    row(results, "method", right=48, rows=36, before=1000.0, budget="5%")
    found = of(build_board(results.folder), "method")
    assert found.random_rows == pytest.approx(36 * math.sqrt(2))
    assert found.factor == pytest.approx(10 / (36 * math.sqrt(2) - 36))


@pytest.mark.parametrize(
    ("right", "rows", "before", "factor", "random_rows", "beyond"),
    [
        (48, 60, 500.0, None, 36 * math.sqrt(2), False),
        (24, 30, 500.0, None, None, False),
        (72, 36, 1800.0, 0.5, 72.0, False),
        (100, 36, 1800.0, 0.5, 72.0, True),
        (72, 36, 0.0, 0.0, 72.0, False),
        (48, 60, 0.0, None, 36 * math.sqrt(2), False),
    ],
    ids=["saves nothing", "none as bad", "as good as the most", "better than any", "for nothing", "in vain"],
)  # fmt: skip
def test_what_is_saved_decides(
    results: Any, right: int, rows: int, before: float, factor: float | None, random_rows: float | None, beyond: bool
) -> None:
    two_sizes(results)
    row(results, "method", right=right, rows=rows, before=before)
    found = of(build_board(results.folder), "method")
    assert found.is_known
    assert (found.factor, found.random_rows) == (pytest.approx(factor), pytest.approx(random_rows))
    assert found.beyond is beyond


def test_beyond_all_random_rows_the_interval_begins_at_nothing_saved_for_sure(results: Any) -> None:
    two_sizes(results)
    row(results, "method", right=119, rows=36, before=1800.0)
    found = of(build_board(results.folder), "method")
    assert (found.low, found.high) == (0.0, pytest.approx(0.5))


def test_with_one_size_of_random_rows_only_what_choosing_cost_is_known(results: Any) -> None:
    row(results, "random", right=24, rows=36, kind="control")
    row(results, "method", right=48, rows=36, before=1000.0)
    found = of(build_board(results.folder), "method")
    assert (found.is_known, found.factor, found.low, found.high, found.random_rows) == (False, None, None, None, None)
    assert found.choosing_rows == pytest.approx(10)


@pytest.mark.parametrize(("with_random", "rows"), [(True, 5), (False, 10)])
def test_choosing_is_counted_in_rows_of_random_and_without_these_in_its_own(
    results: Any, with_random: bool, rows: float
) -> None:
    row(results, "method", right=48, rows=36, before=1000.0)
    if with_random:
        row(results, "random", right=24, rows=36, kind="control")
        for path in results.folder.glob("random/*/*.json"):
            cell = json.loads(path.read_text())
            cell["cost"]["training"] = spent(2 * PRICE * 36)
            path.write_text(json.dumps(cell))
    found = of(build_board(results.folder), "method")
    assert found.choosing_rows == pytest.approx(rows)
    assert found.total_rows == pytest.approx(rows + (18 if with_random else 36))


def test_the_same_random_rows_under_two_names_are_one_size(results: Any) -> None:
    for budget in ("5%", "10%"):
        row(results, "full", right=24, rows=100, kind="control", budget=budget)
    row(results, "method", right=48, rows=36, before=1000.0, budget="5%")
    assert not of(build_board(results.folder), "method").is_known


def test_win_rates_of_another_budget_say_nothing(results: Any) -> None:
    row(results, "random", right=24, rows=36, kind="control", budget="5%", verdicts=None)
    row(results, "random", right=72, rows=72, kind="control", budget="10%", verdicts=None)
    row(results, "method", right=48, rows=36, before=1000.0, budget="5%")
    assert not of(build_board(results.folder, sort_metric="win-rate"), "method").is_known


def test_smaller_may_be_better(results: Any) -> None:
    for label, nll, rows, about in (
        ("random", 2.0, 36, {"kind": "control"}),
        ("random-compute(method)", 1.0, 72, {"kind": "control", "method": "random-compute", "matched_to": "method"}),
        ("method", 1.5, 36, {}),
    ):
        for seed in range(2):
            cell = results.cell(label, seed=seed, **about)
            cell["evaluations"]["nll"]["items"] = {"nll": [nll] * NUM_ITEMS}
            cell["selection"] |= {"num_rows": rows, "ids_hash": f"{label} {seed}"}
            before = 1000.0 if label == "method" else 0.0
            cell["cost"] = {"selecting": spent(before), "training": spent(PRICE * rows)}
            results.write(cell)
    found = of(build_board(results.folder, sort_metric="nll"), "method")
    assert found.random_rows == pytest.approx(36 * math.sqrt(2))


def test_what_nobody_knows_and_what_chose_nothing_have_no_break_even(results: Any) -> None:
    two_sizes(results)
    row(results, "asking", right=48, rows=36, before=1000.0, asked=["m"])
    row(results, "full", right=48, rows=720, kind="control")
    row(results, "base", right=10, rows=1, kind="control")
    for path in results.folder.glob("base/*/*.json"):
        cell = json.loads(path.read_text())
        cell |= {"selection": None, "cost": {"evaluating": spent(1.0)}}
        results.write(cell)
    board = build_board(results.folder)
    assert [each.label for each in board.rows if each.break_even] == []
    assert "break_even" not in board.to_json()


@given(st.lists(st.tuples(st.floats(-3, 3), st.integers(1, 4)), min_size=1, max_size=9))
def test_the_line_that_never_falls_is_the_largest_of_the_smallest_means(pairs: list[tuple[float, int]]) -> None:
    # The min-max formula (Barlow and others 1972): at i the largest, over j <= i, of the smallest mean of j to k >= i.
    values, weights = np.array([each for each, _ in pairs]), np.array([float(each) for _, each in pairs])
    length = len(values)

    def mean(first: int, last: int) -> float:
        return float(np.average(values[first : last + 1], weights=weights[first : last + 1]))

    expected = [max(min(mean(j, k) for k in range(i, length)) for j in range(i + 1)) for i in range(length)]
    assert never_falling(values, weights) == pytest.approx(expected, abs=1e-9)


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=8),
    st.integers(-200, 1200).map(lambda thousandths: thousandths / 1000),
)
def test_the_cost_of_a_score_is_the_first_place_where_the_line_is_as_good(scores: list[float], wanted: float) -> None:
    costs = 10.0 ** np.arange(len(scores))
    line = CostLine.of(costs, np.array(scores))
    gaps = np.abs(line.levels - wanted)
    assume(bool(np.all((gaps == 0) | (gaps > 1e-9))))
    (found,), (beyond,) = line.cost_of(np.array([wanted]))
    grid = np.linspace(0, len(scores) - 1, 4001)
    reached = np.interp(grid, np.arange(len(scores)), never_falling(np.array(scores), np.ones(len(scores))))
    good = np.flatnonzero(reached >= wanted - 1e-12)
    assert beyond == (wanted > reached[-1])
    if beyond:
        assert found == pytest.approx(costs[-1])
    elif good[0] == 0:
        assert found == 0
    else:
        assert grid[good[0] - 1] - 1e-6 <= math.log10(found) <= grid[good[0]] + 1e-6


def test_sizes_of_the_same_cost_are_one_place() -> None:
    line = CostLine.of(np.array([10.0, 10.0, 100.0]), np.array([0.0, 0.4, 0.6]))
    assert line.levels == pytest.approx([0.2, 0.6])
    assert line.cost_of(np.array([0.4]))[0] == pytest.approx([10**1.5])


def test_joint_draws_have_the_intervals_of_the_board() -> None:
    rng = np.random.default_rng(3)
    spreads = [take_apart(Grid(seeds=(0, 1, 2), values=rng.normal(at, 1, (3, 50)))) for at in (0.0, 1.0)]
    known = [each for each in spreads if each is not None]
    drawn = draw_means(known, None, key="k", num_resamples=400)
    for estimate, draws in zip(estimate_all(known, None, key="k", num_resamples=400), drawn, strict=True):
        assert np.quantile(draws, [0.025, 0.975]) == pytest.approx([estimate.low, estimate.high])


def simulated(rng: np.random.Generator) -> BreakEven:
    """A board on which choosing costs 1500, and training of 1000 on what was chosen is as good as 2500 of random."""
    difficulty = rng.uniform(0, 1, 120)

    def cells(label: str, flops: float, worth: float, before: float = 0.0, **about: Any) -> list[Cell]:
        level = 0.2 + 0.25 * math.log2(worth / 1000)
        found = []
        for seed in range(3):
            right = (difficulty + rng.normal(0, 0.15, 120) < level + rng.normal(0, 0.03)).astype(float)
            ids = tuple(str(item) for item in range(120))
            found.append(
                Cell(
                    schema=1, label=label, budget="10%", seed=seed, base=Base(name="b", fingerprint="f"),
                    pool=PoolFacts(name="p", key="k", num_rows=100), fidelity="exact", status="done", failure=None,
                    selection=Chosen(
                        num_rows=int(flops / 100), num_response_tokens=9, num_planted_rows=None,
                        num_planted_tokens=None, status="full", key="s", ids_hash=f"{label}{seed}", trained_share=1.0,
                    ),
                    evaluations={"m": ItemMetrics(ids=ids, items={"m": tuple(right)}, bigger_is_better={"m": True})},
                    verdicts=None, cost={"selecting": Spent(flops=before), "training": Spent(flops=flops)}, **about,
                )
            )  # fmt: skip
        return found

    made = cells("good", 1000, 2500, 1500, method="good", kind="method", matched_to=None)
    made += cells("random", 1000, 1000, method="random", kind="control", matched_to=None)
    for flops in (1500, 2200, 3200, 4600):
        about: dict[str, Any] = {"method": "random-tokens", "kind": "control", "matched_to": str(flops)}
        made += cells(f"random-tokens({flops})", flops, flops, **about)
    measured = [Measurements.of(gather(made), "m", bigger_is_better=True, baseline=None)]
    rows = rank(gather(made), measured, sort_metric="m", num_resamples=2, elsewhere=Elsewhere.of([]))
    rows = with_break_even(rows, made, metric="m", bigger_is_better=True, num_resamples=120)
    (found,) = [each.break_even for each in rows if each.break_even is not None]
    return found


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(80):
        found = simulated(rng)
        low, high = (math.inf if each is None else each for each in (found.low, found.high))
        held += low <= 1 <= high
    # 195 of 200 with another seed; were it 95 %, fewer than 70 of 80 would come once in 480 times.
    assert held >= 70


def test_numbers_without_items_are_drawn_from_their_seeds_alone() -> None:
    values = np.array([[0.2], [0.5], [0.8]])
    told = take_apart(Grid(seeds=(0, 1, 2), values=values, whole=True))
    assert told is not None
    (drawn,) = draw_means([told], None, key="k", num_resamples=4000)
    # Quartiles of Student's t with two degrees of freedom.
    quartile = 0.8164966 * values.std(ddof=1) / np.sqrt(3)
    assert np.quantile(drawn, [0.25, 0.5, 0.75]) == pytest.approx([0.5 - quartile, 0.5, 0.5 + quartile], abs=2e-3)

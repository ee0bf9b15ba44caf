"""The best rows, by comparison with a plain sort; what has no score stays out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sftbench import Allowance, Pool, Scores, UsageError
from sftbench.pools import pool_from_rows
from sftbench_plugins.top.selector import Top

DESK: Any = None
NUM_ROWS = 12


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    into: Path = tmp_path_factory.mktemp("pool") / "rows.arrow"
    rows = [{"id": f"r{at}", "instruction": "a", "output": "b"} for at in range(NUM_ROWS)]
    return pool_from_rows(rows, into=into, key="k")


def choose(pool: Pool, values: list[float], cap: float, *, costs: list[float] | None = None, **parameters: Any) -> Any:
    scores = Scores(values=np.array(values), reasons=dict.fromkeys(np.flatnonzero(np.isnan(values)), "empty_response"))
    row_costs = np.array(costs) if costs else np.ones(NUM_ROWS)
    return Top(**parameters).select(pool, scores, Allowance(cap=cap, row_costs=row_costs, unit="rows"), DESK)


VALUES = st.lists(
    st.sampled_from([0.0, 1.0, 2.0, -1.0, float("nan"), float("inf"), float("-inf")]),
    min_size=NUM_ROWS,
    max_size=NUM_ROWS,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES, st.integers(1, NUM_ROWS), st.sampled_from([None, 1.0]))
def test_the_choice_equals_a_sort_by_score_and_position(
    pool: Pool, values: list[float], budget: int, cut: float | None
) -> None:
    eligible = [at for at, value in enumerate(values) if np.isfinite(value) and (cut is None or value < cut)]
    best = sorted(eligible, key=lambda at: (-values[at], at))
    chosen = choose(pool, values, budget, cut=cut)
    assert chosen.ids == tuple(f"r{at}" for at in best[:budget])
    assert chosen.scores.tolist() == [values[at] for at in best[:budget]]
    assert chosen.status == ("short" if len(best) < budget else "full")
    tied = [at for at in best[budget:] if values[at] == values[best[budget - 1]]]
    assert chosen.report["num_ties_left_out"] == len(tied)
    assert chosen.report["num_without_score"] == sum(not np.isfinite(value) for value in values)


def test_the_report_counts_reasons_and_names_the_last_score(pool: Pool) -> None:
    report = choose(pool, [float("nan")] * 2 + [3.0, 2.0, 2.0, 2.0, 1.0, 9.0] + [0.0] * 4, 3, cut=9.0).report
    assert report == {
        "num_eligible": 9,
        "num_above_cut": 1,
        "num_without_score": 2,
        "reasons": {"empty_response": 2},
        "last_score": 2.0,
        "num_ties_left_out": 1,
    }


def test_a_budget_in_tokens_ends_before_the_first_row_that_is_too_dear(pool: Pool) -> None:
    values, costs = [float(-at) for at in range(NUM_ROWS)], [4.0, 3.0, 5.0] + [1.0] * 9
    chosen = choose(pool, values, 10.0, costs=costs)
    assert (chosen.ids, chosen.status) == (("r0", "r1"), "full")


def test_a_pool_without_any_score_gives_nothing_and_says_so(pool: Pool) -> None:
    chosen = choose(pool, [float("nan")] * NUM_ROWS, 3)
    assert (chosen.ids, chosen.status, chosen.report["last_score"]) == ((), "short", None)


def test_a_budget_used_to_the_last_eligible_row_is_not_short(pool: Pool) -> None:
    values = [1.0] * 3 + [float("nan")] * 9
    assert choose(pool, values, 3).status == "full"
    assert choose(pool, values, 4).status == "short"
    assert choose(pool, values, 30.0, costs=[10.0] * 3 + [0.0] * 4 + [5.0] * 5).status == "full"


def test_a_method_without_a_scorer_cannot_use_it(pool: Pool) -> None:
    with pytest.raises(UsageError, match="scorer"):
        Top().select(pool, None, Allowance(cap=1, row_costs=np.ones(NUM_ROWS), unit="rows"), DESK)

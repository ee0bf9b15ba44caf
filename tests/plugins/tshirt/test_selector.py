"""The selector: sizes of its stages, ablations, budgets in other units, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sftbench import Allowance, Scores, UsageError
from sftbench_plugins.tshirt import Hierarchical


class Ids:
    """A pool of which only the ids are asked."""

    def __init__(self, count: int) -> None:
        self.ids = [f"r{at}" for at in range(count)]

    def __len__(self) -> int:
        return len(self.ids)


def scores_of(count: int, *, mean_ifd: float = 0.5) -> Scores:
    random = np.random.default_rng(count)
    columns = {"std_sifd": random.random(count), "mean_noisy_ifd": np.full(count, mean_ifd)}
    return Scores(values=random.random(count), columns=columns)


def choose(selector: Hierarchical, scores: Scores | None, cap: float, costs: Any = None) -> Any:
    count = len(scores.values) if scores is not None else 3
    allowance = Allowance(cap=cap, row_costs=np.ones(count) if costs is None else costs, unit="rows")
    return selector.select(Ids(count), scores, allowance, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_the_steadiest_of_twice_the_budget_are_taken(mode: Any) -> None:
    scores = scores_of(30)
    first = sorted(range(30), key=lambda at: -scores.values[at])[:10]
    expected = sorted(first, key=lambda at: scores.columns["std_sifd"][at])[:5]
    chosen = choose(Hierarchical(mode=mode), scores, 5)
    assert chosen.ids == tuple(f"r{at}" for at in expected)
    assert chosen.status == "full"
    assert chosen.report["num_after_first_stage"] == 10
    np.testing.assert_array_equal(chosen.scores, scores.values[expected])


def test_gamma_one_gives_the_set_of_the_highest_means() -> None:
    scores = scores_of(30)
    top = {f"r{at}" for at in np.argsort(-scores.values)[:7]}
    assert set(choose(Hierarchical(gamma=1.0), scores, 7).ids) == top
    assert set(choose(Hierarchical(gamma=3.0), scores, 7).ids) != top


def test_hierarchical_off_gives_the_highest_means_in_order() -> None:
    scores = scores_of(30)
    top = tuple(f"r{at}" for at in np.argsort(-scores.values)[:7])
    assert choose(Hierarchical(hierarchical_off=True), scores, 7).ids == top


def test_equal_means_at_the_cut_differ_between_the_modes() -> None:
    values = np.array([0.5, 0.5, 0.5, 0.6, 0.5])
    columns = {"std_sifd": np.arange(5.0), "mean_noisy_ifd": np.full(5, 0.5)}
    scores = Scores(values=values, columns=columns)
    assert set(choose(Hierarchical(mode="official", gamma=1.0), scores, 2).ids) == {"r1", "r3"}
    assert set(choose(Hierarchical(mode="paper", gamma=1.0), scores, 2).ids) == {"r0", "r3"}


def test_a_pool_with_too_few_eligible_rows_gives_all_of_them_and_says_so() -> None:
    scores = scores_of(6)
    scores.columns["mean_noisy_ifd"][[1, 4]] = [1.0, np.nan]
    chosen = choose(Hierarchical(), scores, 5)
    assert set(chosen.ids) == {"r0", "r2", "r3", "r5"}
    assert chosen.status == "short"
    assert (chosen.report["num_eligible"], chosen.report["num_after_first_stage"]) == (4, 4)
    assert choose(Hierarchical(), scores, 4).status == "full"


def test_no_eligible_row_gives_an_empty_short_selection() -> None:
    chosen = choose(Hierarchical(mode="official"), scores_of(4, mean_ifd=1.5), 2)
    assert (chosen.ids, chosen.status) == ((), "short")


def test_a_budget_in_tokens_counts_gamma_along_the_ranking() -> None:
    values, std = np.array([0.9, 0.8, 0.7, 0.6]), np.array([0.4, 0.3, 0.2, 0.1])
    scores = Scores(values=values, columns={"std_sifd": std, "mean_noisy_ifd": np.full(4, 0.5)})
    chosen = choose(Hierarchical(), scores, 10, np.array([5.0, 10.0, 5.0, 5.0]))
    # Twice ten tokens admit the first three rows; of these the steadiest are the third, then the second.
    assert chosen.report["num_after_first_stage"] == 3
    assert chosen.ids == ("r2",)


def test_scores_of_another_scorer_are_refused() -> None:
    with pytest.raises(UsageError, match="use both together"):
        choose(Hierarchical(), Scores(values=np.zeros(3)), 2)
    with pytest.raises(UsageError, match="use both together"):
        choose(Hierarchical(), None, 2)


@pytest.mark.parametrize("wrong", [{"gamma": 0.5}, {"mode": "official", "hierarchical_off": True}])
def test_parameters_without_a_meaning_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"gamma|ablation"):
        Hierarchical(**wrong)

"""The campaign over clusters: who is looked into, what is taken, and whether it pays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sftbench_plugins.tokentune.bandit import Kind, fresh_bandit
from sftbench_plugins.tokentune.search import Campaign, Plan, Survey

Values = npt.NDArray[np.float64]


def world(num_arms: int, each: int, *, seed: int = 0) -> Values:
    """Utilities [num_arms, each] with arm means of their own, as the simulation behind the specification draws them."""
    draw = np.random.default_rng(seed)
    means = draw.normal(0.3, 0.08, num_arms)
    return np.minimum(1, draw.normal(means[:, None], 0.15, (num_arms, each)))


def campaign(
    utilities: Values,
    *,
    cap: float,
    kind: Kind = "ucb",
    gamma: float = 0.05,
    costs: Values | None = None,
    of: type[Campaign] = Campaign,
    **plan: Any,
) -> Campaign:
    flat = utilities.ravel()
    arms = np.split(np.arange(flat.size), len(utilities))
    return of(
        clusters=arms,
        examine=lambda rows: flat[rows],
        bandit=fresh_bandit(kind, len(arms), rng=np.random.default_rng(1), gamma=gamma, exp3_gamma=0.1),
        plan=Plan(**{"batch": 10, **plan}),
        costs=np.ones(flat.size) if costs is None else costs,
        cap=cap,
    )


@pytest.mark.parametrize("kind", ["ucb", "thompson", "exp3", "random"])
@pytest.mark.parametrize("arms_per_iteration", [1, 4])
def test_no_row_is_taken_twice_and_the_budget_is_met(kind: Kind, arms_per_iteration: int) -> None:
    search = campaign(world(12, 30), cap=101, kind=kind, arms_per_iteration=arms_per_iteration)
    taken = search.run()
    assert len(taken) == len(set(taken.tolist())) == 101
    assert sum(search.trace.taken) == 101
    assert search.trace.iteration[-1] == 10
    assert search.examined[taken].all()


@pytest.mark.parametrize("kind", ["ucb", "thompson"])
def test_an_informed_choice_of_arms_has_less_regret_than_a_uniform_one(kind: Kind) -> None:
    def regret(of: Kind, seed: int) -> float:
        utilities = world(20, 1000, seed=seed)
        taken = campaign(utilities, cap=900, kind=of, guided=False).run()
        return float(utilities.mean(axis=1).max() - utilities.mean(axis=1)[taken // 1000].mean())

    informed = np.mean([regret(kind, seed) for seed in range(8)])
    uniform = np.mean([regret("random", seed) for seed in range(8)])
    assert informed < 0.3 * uniform


def test_a_bandit_that_takes_half_a_cluster_per_pull_finds_better_rows_than_chance_from_fewer_looks() -> None:
    def found(kind: Kind, seed: int) -> tuple[float, float]:
        utilities = world(100, 100, seed=seed)
        search = campaign(utilities, cap=500, kind=kind, batch=50, gamma=0.001)
        return float(utilities.ravel()[search.run()].mean()), float(search.examined.mean())

    informed, chance = (np.mean([found(kind, seed) for seed in range(8)], axis=0) for kind in ("ucb", "random"))
    assert informed[0] > chance[0] + 0.02
    assert informed[1] < 0.2


def test_exp3_comes_to_prefer_the_better_arms() -> None:
    utilities = np.repeat(np.linspace(0, 1, 5)[:, None], 4000, axis=1)
    search = campaign(utilities, cap=4000, kind="exp3", warm_start=0)
    search.run()
    pulls = np.bincount(search.trace.arm, minlength=5)
    assert pulls[4] > 2 * pulls[0]


def test_the_preset_to_the_letter_visits_every_arm_once() -> None:
    search = campaign(world(120, 20), cap=1000, gamma=0.001, warm_start=0)
    search.run()
    assert len(search.trace.arm) == len(set(search.trace.arm)) == 100


def test_a_warm_start_looks_into_every_arm_and_then_into_few() -> None:
    search = campaign(world(40, 50), cap=50, gamma=0.001, warm_start=6)
    search.run()
    seen = search.examined.reshape(40, 50).sum(axis=1)
    pulled = set(search.trace.arm)
    assert all(seen[arm] == (50 if arm in pulled else 6) for arm in range(40))
    assert len(pulled) <= 5


def test_a_pull_takes_the_best_rows_of_its_arm() -> None:
    utilities = world(1, 40)
    assert sorted(campaign(utilities, cap=7).run()) == sorted(np.argsort(-utilities[0])[:7])


def test_an_unguided_pull_scores_only_what_it_takes() -> None:
    search = campaign(world(10, 40), cap=60, warm_start=0, guided=False)
    taken = search.run()
    assert sorted(np.flatnonzero(search.examined)) == sorted(taken)
    assert len(taken) == 60


def test_rows_that_must_not_be_chosen_are_not_and_the_search_goes_on_without_them() -> None:
    utilities = world(8, 20)
    utilities[:, ::2] = np.nan
    utilities[3] = np.nan
    for guided in (True, False):
        search = campaign(utilities, cap=1000, guided=guided)
        taken = search.run()
        assert sorted(taken) == sorted(np.flatnonzero(np.isfinite(utilities.ravel())))
        assert search.spent < search.cap


def test_a_pilot_goes_on_until_it_has_enough_rows_that_can_be_chosen() -> None:
    utilities = world(5, 30)
    utilities[:, 5:] = np.nan
    search = campaign(utilities, cap=1, gamma=0, warm_start=4)
    search.run()
    assert (search.bandit.counts >= 4).all()
    assert np.isfinite(search.utilities.reshape(5, 30)).sum(axis=1).min() >= 4


def test_an_arm_that_runs_out_hands_on_to_the_next_within_the_iteration() -> None:
    search = campaign(world(6, 4), cap=20, batch=10)
    search.run()
    assert np.bincount(search.trace.iteration, weights=search.trace.taken).tolist() == [10, 10]


def test_arms_share_an_iteration() -> None:
    search = campaign(world(30, 50), cap=100, batch=20, arms_per_iteration=4)
    search.run()
    assert search.trace.taken == [5] * 20
    per_iteration = np.reshape(search.trace.arm, (5, 4))
    assert all(len(set(arms)) == 4 for arms in per_iteration)


def test_costs_stop_the_search_with_the_row_that_meets_the_cap() -> None:
    utilities = world(5, 40)
    costs = np.random.default_rng(3).uniform(1, 9, utilities.size)
    taken = campaign(utilities, cap=200, costs=costs).run()
    assert costs[taken].sum() >= 200 > costs[taken[:-1]].sum()


def test_the_reward_is_what_was_taken_or_all_that_was_looked_into() -> None:
    utilities = world(3, 30)
    whole = campaign(utilities, cap=30, warm_start=0, reward="all_scored")
    whole.run()
    taken = campaign(utilities, cap=30, warm_start=0)
    taken.run()
    for arm in range(3):
        assert whole.bandit.means[arm] == pytest.approx(utilities[arm].mean())
        assert taken.bandit.means[arm] == pytest.approx(np.sort(utilities[arm])[-10:].mean())
        assert whole.bandit.counts[arm] == 30


@pytest.mark.parametrize("kind", ["ucb", "thompson", "exp3", "random"])
@pytest.mark.parametrize("arms_per_iteration", [1, 4])
def test_a_survey_looks_into_as_many_rows_as_it_may_and_takes_the_best_of_them(
    kind: Kind, arms_per_iteration: int
) -> None:
    utilities, told = world(12, 30), []
    utilities[2, ::3] = np.nan
    search = campaign(
        utilities, cap=40, kind=kind, of=Survey, num_looks=151, warm_start=3, arms_per_iteration=arms_per_iteration
    )
    taken = search.run(watch=told.append)
    assert search.examined.sum() == sum(told) == 151
    seen = utilities.ravel()[search.examined]
    assert utilities.ravel()[taken].tolist() == sorted(seen[np.isfinite(seen)], reverse=True)[:40]
    assert 36 <= 151 - sum(search.trace.taken) <= 36 + 30, "the pilot comes before all pulls"


def test_a_survey_judges_an_arm_by_all_that_it_has_seen_of_it() -> None:
    utilities = world(4, 30)
    search = campaign(utilities, cap=5, of=Survey, num_looks=70)
    search.run()
    for arm in range(4):
        seen = utilities[arm, search.examined.reshape(4, 30)[arm]]
        assert search.bandit.counts[arm] == len(seen) > 0
        assert search.bandit.means[arm] == pytest.approx(seen.mean())


def test_a_survey_looks_on_until_the_budget_is_met_or_nothing_is_left() -> None:
    utilities = world(6, 20)
    utilities[:, ::2] = np.nan
    search = campaign(utilities, cap=40, of=Survey, num_looks=10)
    assert len(search.run()) == 40
    assert 40 < search.examined.sum() < 120
    assert len(campaign(utilities, cap=1000, of=Survey, num_looks=10).run()) == 60


def test_a_survey_pays_costs_up_to_the_row_that_meets_the_cap() -> None:
    utilities = world(5, 40)
    costs = np.random.default_rng(3).uniform(1, 9, utilities.size)
    taken = campaign(utilities, cap=100, costs=costs, of=Survey, num_looks=60).run()
    assert costs[taken].sum() >= 100 > costs[taken[:-1]].sum()


def test_a_survey_comes_near_to_one_that_knows_the_arms_and_beats_taking_at_every_pull() -> None:
    """Of 15 % of the rows, those of the arms with the largest true means: no bandit can look better on average."""
    shares = []
    for seed in range(8):
        utilities = world(50, 400, seed=seed)
        best = np.sort(utilities, axis=None)[-1000:].mean()
        order = np.argsort(-utilities.mean(axis=1))
        knowing = np.sort(utilities[order].ravel()[:3000])[-1000:].mean()
        search = campaign(utilities, cap=1000, gamma=0.001, batch=30, of=Survey, num_looks=3000, warm_start=8)
        at_once = campaign(utilities, cap=1000, gamma=0.001, batch=10, warm_start=8)
        found = [utilities.ravel()[each.run()].mean() for each in (search, at_once)]
        shares.append([found[0] / best, knowing / best, found[1] / best])
    survey, knowing, at_once = np.mean(shares, axis=0)
    assert knowing - 0.04 < survey < knowing
    assert survey > at_once + 0.1

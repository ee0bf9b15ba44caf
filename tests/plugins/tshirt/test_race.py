"""The race on made-up copies: it ends with the exact choice as often as it says, and looks at few copies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sftbench import Allowance
from sftbench_plugins.tshirt.copies import selective_ifd, spread, without_empty
from sftbench_plugins.tshirt.pilot import pilot_rows, pilot_threshold
from sftbench_plugins.tshirt.race import FIRST_DRAWS, Race, Runners, next_level
from sftbench_plugins.tshirt.stages import Stages, hierarchical

NUM_DRAWS, THRESHOLD = 30, np.float64(0.1)


class Copies:
    """Differences of all copies of made-up rows: clean ones, and noise around them, less of it in longer rows.

    `other` are as many copies of the same rows with other noise.
    """

    def __init__(self, count: int, *, seed: int = 0, num_draws: int = NUM_DRAWS) -> None:
        random = np.random.default_rng(seed)
        self.clean = [random.normal(-0.05, 0.4, (1, size)).astype(np.float32) for size in random.integers(5, 60, count)]
        strength = random.uniform(0.05, 0.2, count)
        self.noisy, self.other = (
            [
                (each + random.normal(0, strength[row], (num_draws, each.shape[1]))).astype(np.float32)
                for row, each in enumerate(self.clean)
            ]
            for _ in range(2)
        )
        self.asked = np.zeros((count, num_draws), dtype=bool)

    def __call__(self, rows: Any, first: int, last: int) -> Iterator[tuple[int, Any]]:
        for row in rows:
            assert not self.asked[row, first:last].any(), "a copy was asked for twice"
            assert self.asked[row, :first].all(), "copies come one after another"
            self.asked[row, first:last] = True
            yield int(row), self.noisy[row][first:last]

    def exact(self, allowance: Allowance, *, other: bool = False) -> Stages:
        """The choice from all copies."""
        mean, std, ifd = np.array([_whole(each) for each in (self.other if other else self.noisy)]).T
        return hierarchical(mean, std, ifd, allowance=allowance, gamma=2.0)

    def race(self, allowance: Allowance, *, seed: int = 0, tolerance: float = 0.5) -> Race:
        """A race that has had its pilot."""
        rng, count = np.random.default_rng([seed, 9]), len(self.clean)
        runners = Runners(
            clean_sifd=np.array([selective_ifd(each, THRESHOLD).values[0] for each in self.clean]),
            clean_ifd=np.array([np.exp(each.mean(dtype=np.float64)) for each in self.clean]),
            num_tokens=np.array([each.shape[1] for each in self.clean]),
        )
        race = Race(
            runners=runners, ask=self, threshold=THRESHOLD, allowance=allowance, gamma=2.0,
            num_draws=self.asked.shape[1], tolerance=tolerance, rng=rng, log=lambda message: None,
        )  # fmt: skip
        race.start(dict(self(pilot_rows(np.arange(count), rng), 0, min(FIRST_DRAWS, race.num_draws))))
        return race


def _whole(deltas: Any) -> tuple[float, float, float]:
    return (*spread(without_empty(selective_ifd(deltas, THRESHOLD))), float(np.exp(deltas.mean(axis=1)).mean()))


def rows_of(count: int, cap: float) -> Allowance:
    return Allowance(cap=cap, row_costs=np.ones(count), unit="rows")


def test_the_choice_agrees_with_the_exact_one_as_often_as_promised_for_a_part_of_the_copies() -> None:
    agreement, promised, by_noise, expected_by_noise, shares = [], [], [], [], []
    for seed in range(6):
        copies, allowance = Copies(160, seed=seed), rows_of(160, 12)
        bet, chances = copies.race(allowance, seed=seed).run()
        exact, other = copies.exact(allowance).chosen, copies.exact(allowance, other=True).chosen
        assert len(bet.rows) == len(exact) == len(other) == 12
        assert bet.doubt <= 0.5 * chances.by_noise
        agreement.append(len(set(bet.rows) & set(exact)) / 12)
        promised.append(1 - bet.doubt)
        by_noise.append(1 - len(set(other) & set(exact)) / 12)
        expected_by_noise.append(chances.by_noise)
        shares.append(copies.asked.mean())
    # 72 chosen rows, each wrong with about the probability that is told; three standard errors either way.
    for told, happened in (
        (1 - np.mean(promised), 1 - np.mean(agreement)),
        (np.mean(expected_by_noise), np.mean(by_noise)),
    ):
        assert abs(told - happened) < 3 * (told * (1 - told) / 72) ** 0.5
    assert np.mean(agreement) > 1 - np.mean(by_noise)
    assert np.mean(shares) < 0.35


def test_less_tolerance_costs_more_copies_and_none_is_the_exact_choice() -> None:
    shares = []
    for tolerance in (1.0, 0.3, 0.0):
        copies, allowance = Copies(80, seed=3), rows_of(80, 8)
        bet, _ = copies.race(allowance, tolerance=tolerance).run()
        shares.append(copies.asked.mean())
    assert shares == sorted(shares)
    assert set(bet.rows) == set(copies.exact(allowance).chosen)


def test_rows_that_cannot_win_get_no_copies_and_rows_in_doubt_get_all() -> None:
    copies, allowance = Copies(160, seed=1), rows_of(160, 8)
    race = copies.race(allowance)
    pilot = copies.asked.any(axis=1).copy()
    race.run()
    # Without noise already well above the limit of 1, by more than copies of such rows differ.
    hopeless = (np.exp([each.mean() for each in copies.clean]) > 1.05) & ~pilot
    assert hopeless.sum() > 5
    assert not copies.asked[hopeless].any()
    assert copies.asked.all(axis=1).any()


def test_when_all_was_seen_the_bet_is_the_exact_choice_without_doubt() -> None:
    copies, allowance = Copies(40, num_draws=2), rows_of(40, 6)
    bet, chances = copies.race(allowance).run()
    exact = copies.exact(allowance)
    assert (set(bet.rows), bet.doubt) == (set(exact.chosen), 0.0)
    assert bet.rows[np.argsort(chances.std[bet.rows])].tolist() == exact.chosen.tolist()
    assert set(np.unique(chances.first)) == {0.0, 1.0}


def test_a_budget_in_tokens_is_kept() -> None:
    copies = Copies(120, seed=2)
    lengths = np.array([float(each.shape[1]) for each in copies.clean])
    allowance = Allowance(cap=300.0, row_costs=lengths, unit="tokens")
    bet, _ = copies.race(allowance).run()
    exact = copies.exact(allowance).chosen
    assert 200 < lengths[bet.rows].sum() <= 300
    assert len(set(bet.rows) & set(exact)) >= 0.8 * len(exact)


def test_a_pool_with_too_few_eligible_rows_gives_these() -> None:
    copies, allowance = Copies(60, seed=4), rows_of(60, 55)
    race = copies.race(allowance)
    bet, chances = race.run()
    exact = set(copies.exact(allowance).chosen)
    assert len(exact) < 55
    assert chances.short > 0.5
    assert len(set(bet.rows) ^ exact) <= 2


@pytest.mark.parametrize("copy", [0, 1])
def test_a_row_with_a_number_that_is_not_finite_is_out_and_told(copy: int) -> None:
    copies, allowance = Copies(80, seed=5), rows_of(80, 8)
    first = int(copies.exact(allowance).chosen[0])
    copies.noisy[first][copy, 0] = np.nan
    race = copies.race(allowance)
    bet, _ = race.run()
    assert first not in bet.rows
    assert race.runners.reasons == {first: "non_finite"}


def test_a_number_that_is_not_finite_is_not_known_of_before_its_copy_is_drawn() -> None:
    """What the race cannot promise: the exact form leaves such a row out."""
    copies, allowance = Copies(80, seed=5), rows_of(80, 8)
    first = int(copies.exact(allowance).chosen[0])
    copies.noisy[first][NUM_DRAWS - 1, 0] = np.nan
    race = copies.race(allowance)
    bet, _ = race.run()
    assert (first in bet.rows) == (not copies.asked[first, -1])


def test_a_row_most_of_whose_copies_have_nothing_informative_is_not_chosen() -> None:
    copies, allowance = Copies(80, seed=6), rows_of(80, 8)
    first = int(copies.exact(allowance).chosen[0])
    for values in (copies.noisy[first], copies.clean[first]):
        values *= 0.001
    bet, _ = copies.race(allowance).run()
    assert first not in copies.exact(allowance).chosen
    assert first not in bet.rows


@pytest.mark.parametrize("most", [1, 2, 3, 5, 30, 31, 100])
def test_levels_rise_to_the_last_copy(most: int) -> None:
    levels = [0]
    while levels[-1] < most:
        levels.append(next_level(levels[-1], most))
    assert levels[-1] == most
    assert len(levels) <= 2 + 3 * np.log(most + 1)


def threshold(copies: Copies, rows: Any, num_draws: int, folder: Path) -> tuple[float, float]:
    noisy = {int(row): copies.noisy[row][:num_draws] for row in rows}
    every = np.arange(len(copies.clean))
    size = sum(each.size for each in copies.clean)
    found = pilot_threshold(lambda row: copies.clean[row], every, noisy, num_values=size, percent=50.0, folder=folder)
    return float(found[0]), float(found[1])


def test_the_threshold_from_every_copy_is_the_exact_one(tmp_path: Path) -> None:
    copies = Copies(30)
    exact = np.percentile(np.abs(np.concatenate([each.ravel() for each in copies.noisy])), 50)
    clean = np.percentile(np.abs(np.concatenate([each.ravel() for each in copies.clean])), 50)
    assert threshold(copies, range(30), NUM_DRAWS, tmp_path) == pytest.approx((exact, clean))
    assert threshold(copies, [], NUM_DRAWS, tmp_path) == pytest.approx((clean, clean))


def test_the_threshold_from_a_pilot_is_nearer_than_that_of_the_pilot_alone(tmp_path: Path) -> None:
    corrected, alone = [], []
    for seed in range(40):
        copies = Copies(400, seed=seed, num_draws=8)
        exact = np.percentile(np.abs(np.concatenate([each.ravel() for each in copies.noisy])), 50)
        pilot = pilot_rows(np.arange(400), np.random.default_rng(seed))
        corrected.append(threshold(copies, pilot, 2, tmp_path)[0] / exact - 1)
        alone.append(
            np.percentile(np.abs(np.concatenate([copies.noisy[row][:2].ravel() for row in pilot])), 50) / exact - 1
        )
    assert np.std(corrected) < 0.7 * np.std(alone)
    # No further off on the whole than chance explains.
    assert abs(np.mean(corrected)) < 3 * np.std(corrected) / 40**0.5


def test_the_pilot_is_a_part_of_the_rows_within_bounds() -> None:
    random = np.random.default_rng(0)
    for count, wanted in ((0, 0), (10, 10), (64, 64), (1000, 64), (4000, 200), (10**6, 2048)):
        chosen = pilot_rows(np.arange(5, 5 + count), random)
        assert len(set(chosen.tolist())) == len(chosen) == wanted
        assert chosen.tolist() == sorted(chosen)
        assert all(5 <= each < 5 + count for each in chosen)

"""The model of copies to come: against scipy's multivariate t, against simulation, and against plain numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from sftbench_plugins.tshirt.belief import Belief, Prior, Rows, Tally, fit_prior, log_evidence, scale_of

TRUTH = Prior(log_weight=2.0, shift=0.4, log_freedom=2.5, level=-0.3, by_length=-0.6, by_clean=0.8)
NUM_COPIES = 30


def made_rows(count: int, seed: int = 0) -> Rows:
    random = np.random.default_rng(seed)
    return Rows(clean=random.uniform(0.5, 1.4, count), num_tokens=random.integers(3, 200, count))


def drawn(rows: Rows, random: np.random.Generator, *, num_copies: int = NUM_COPIES) -> Any:
    """Copies [n, num_copies] of rows for which the prior is the truth."""
    scale, freedom = scale_of(TRUTH, rows), np.exp(TRUTH.log_freedom)
    variance = scale**2 * freedom / random.chisquare(freedom, len(scale))
    centre = (
        rows.clean + TRUTH.shift * scale + np.sqrt(variance / np.exp(TRUTH.log_weight)) * random.normal(size=len(scale))
    )
    return centre[:, None] + np.sqrt(variance)[:, None] * random.normal(size=(len(scale), num_copies))


def tally_of(values: Any) -> Tally:
    tally = Tally(len(values))
    for row, each in enumerate(values):
        tally.add(row, np.asarray(each, dtype=np.float64))
    return tally


def test_a_tally_knows_what_all_values_together_give() -> None:
    random = np.random.default_rng(1)
    tally, every = Tally(3), [[], [], []]  # type: ignore[var-annotated]
    for row, count in [(0, 4), (2, 1), (0, 1), (2, 3), (0, 7), (2, 0)]:
        values = random.normal(5, 0.01, count)
        tally.add(row, np.concatenate([values, [np.nan]]))
        every[row] += list(values)
    assert tally.counts.tolist() == [12, 0, 4]
    for row in (0, 2):
        assert tally.means[row] == pytest.approx(np.mean(every[row]), rel=1e-12)
        assert tally.squares[row] == pytest.approx(np.var(every[row]) * len(every[row]), rel=1e-9)


def test_the_evidence_is_that_of_a_multivariate_t() -> None:
    """Normal values with this prior on mean and variance have jointly a t distribution (an independent statement)."""
    rows, random = made_rows(5), np.random.default_rng(2)
    values = [random.normal(1, 0.3, count) for count in (1, 2, 5, 0, 30)]
    scale, freedom, weight = scale_of(TRUTH, rows), np.exp(TRUTH.log_freedom), np.exp(TRUTH.log_weight)
    expected = sum(
        stats.multivariate_t.logpdf(
            each,
            loc=np.full(len(each), rows.clean[row] + TRUTH.shift * scale[row]),
            shape=scale[row] ** 2 * (np.eye(len(each)) + 1 / weight),
            df=freedom,
        )
        for row, each in enumerate(values)
        if len(each)
    )
    assert log_evidence(TRUTH, rows, tally_of(values)) == pytest.approx(expected, rel=1e-9)


def test_what_is_sampled_is_what_happens() -> None:
    """The true end of rows drawn from the model lies anywhere among samples of it with equal probability."""
    random, count, num_samples = np.random.default_rng(3), 2000, 199
    rows = made_rows(count)
    both = drawn(rows, random, num_copies=2 * NUM_COPIES)
    values, others = both[:, :NUM_COPIES], both[:, NUM_COPIES:]
    seen = [each[: (0, 1, 2, 7, 29)[row % 5]] for row, each in enumerate(values)]
    belief = Belief(TRUTH, rows, tally_of(seen), num_copies=np.full(count, NUM_COPIES))
    truths = [belief.truth(random) for _ in range(num_samples)]
    for happened, sampled in (
        (values, np.array([belief.end(each, random) for each in truths])),
        (others, np.array([belief.end_anew(each, random) for each in truths])),
    ):
        for at, end in enumerate((happened.mean(axis=1), happened.std(axis=1))):
            ranks = (sampled[:, at] < end).sum(axis=0)
            for shift in range(5):
                places = (ranks[shift::5] + random.random(count // 5)) / (num_samples + 1)
                assert stats.kstest(places, "uniform").pvalue > 1e-3


def test_expected_numbers_are_means_over_samples() -> None:
    random, rows = np.random.default_rng(4), made_rows(40)
    seen = [each[: row % 6] for row, each in enumerate(drawn(rows, random))]
    belief = Belief(TRUTH, rows, tally_of(seen), num_copies=np.full(40, NUM_COPIES))
    samples = np.array([belief.end(belief.truth(random), random) for _ in range(4000)])
    mean, std = belief.expected()
    errors = samples[:, 0].std(axis=0) / 4000**0.5
    assert (np.abs(samples[:, 0].mean(axis=0) - mean) < 5 * errors).all()
    np.testing.assert_allclose((samples[:, 1] ** 2).mean(axis=0), std**2, rtol=0.15)


def test_a_row_that_was_seen_whole_has_its_own_numbers() -> None:
    random, rows = np.random.default_rng(5), made_rows(6)
    values = drawn(rows, random)
    values[2, 4:9] = np.nan
    num_copies = np.full(6, NUM_COPIES) - np.isnan(values).sum(axis=1)
    belief = Belief(TRUTH, rows, tally_of(values), num_copies=num_copies)
    for mean, std in (belief.end(belief.truth(random), random), belief.expected()):
        np.testing.assert_allclose(mean, np.nanmean(values, axis=1), rtol=1e-12)
        np.testing.assert_allclose(std, np.nanstd(values, axis=1), rtol=1e-9)


def test_the_prior_is_found_again_from_many_rows() -> None:
    random, rows = np.random.default_rng(6), made_rows(3000)
    found = fit_prior(rows, tally_of(drawn(rows, random)[:, :4]), random)
    for name, near in (("shift", 0.1), ("level", 0.2), ("by_length", 0.04), ("by_clean", 0.15)):
        assert getattr(found, name) == pytest.approx(getattr(TRUTH, name), abs=near), name
    assert found.log_weight == pytest.approx(TRUTH.log_weight, abs=0.3)
    assert found.log_freedom == pytest.approx(TRUTH.log_freedom, abs=0.5)


def test_without_rows_the_prior_is_the_usual_one() -> None:
    rows = made_rows(4)
    usual = fit_prior(rows, Tally(4), np.random.default_rng(0))
    assert fit_prior(rows, Tally(4), np.random.default_rng(0), start=TRUTH) == pytest.approx(usual, abs=1e-3)

"""Answer uncertainty against Monte-Carlo draws, the paper's theorems and an independent formula."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.special import digamma, softmax
from scipy.stats import entropy

from sftbench_plugins.tokentune import uncertainty
from sftbench_plugins.tokentune.uncertainty import (
    DirichletAmbiguity,
    EntropyAmbiguity,
    dirichlet_entropy,
    statistic_for,
)

RNG = np.random.default_rng(11)
Reading = Literal["softmax_evidence", "eq4_full", "topk_relu"]


def measured(reading: Reading, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    given = torch.tensor(np.atleast_2d(logits))
    nothing = torch.empty(0)
    return DirichletAmbiguity(reading=reading).reduce(given, nothing, nothing).numpy()


@pytest.mark.parametrize("reading", ["softmax_evidence", "eq4_full", "topk_relu"])
def test_the_closed_form_is_the_mean_entropy_of_draws_from_the_dirichlet(reading: Reading) -> None:
    logits = RNG.normal(1, 2, 6)
    evidence = {
        "eq4_full": np.maximum(logits, 0) + 1,
        "topk_relu": np.maximum(logits, 0),
        "softmax_evidence": (logits.max() - logits.mean()) * softmax(logits),
    }[reading]
    draws = RNG.dirichlet(evidence[evidence > 0], 200_000)
    mean_entropy = entropy(draws, axis=1).mean()
    ambiguity, total = measured(reading, logits)[0]
    assert ambiguity == pytest.approx(mean_entropy, abs=2e-3)
    assert total == pytest.approx(evidence.sum())


def test_an_even_split_over_more_tokens_is_more_ambiguous_and_one_token_is_not_ambiguous() -> None:
    for evidence in (0.1, 1.0, 7.5, 40.0):
        split = []
        for num_tokens in range(1, 30):
            concentration = torch.zeros(40, dtype=torch.float64)
            concentration[:num_tokens] = evidence / num_tokens
            split.append(float(dirichlet_entropy(concentration)))
            wanted = digamma(evidence + 1) - digamma(evidence / num_tokens + 1)
            assert split[-1] == pytest.approx(wanted, abs=1e-12)
        assert split[0] == pytest.approx(0, abs=1e-12)
        assert (np.diff(split) > 0).all()


def test_ambiguity_vanishes_in_proportion_to_the_evidence() -> None:
    shares = torch.tensor(RNG.dirichlet(np.ones(10)))
    ratios = [float(dirichlet_entropy(shares * evidence)) / evidence for evidence in (1e-3, 1e-4, 1e-5)]
    assert ratios == pytest.approx([ratios[0]] * 3, rel=2e-3)
    assert ratios[0] == pytest.approx(np.pi**2 / 6 * (1 - float((shares**2).sum())), rel=2e-3)
    assert float(dirichlet_entropy(torch.zeros(5, dtype=torch.float64))) == 0.0


def test_softmax_evidence_ignores_a_shift_of_the_logits_and_the_printed_formula_does_not() -> None:
    logits = RNG.normal(0, 2, (20, 500))
    assert measured("softmax_evidence", logits + 9) == pytest.approx(measured("softmax_evidence", logits), abs=1e-9)
    assert np.abs(measured("eq4_full", logits + 9) - measured("eq4_full", logits)).min() > 1e-3


def test_a_certain_prediction_is_not_ambiguous_and_two_candidates_are_more_than_one() -> None:
    logits = np.zeros((3, 1000))
    logits[0, 5] = 60
    logits[1, :2] = 60
    logits[2, :4] = 60
    one, two, four = measured("softmax_evidence", logits)[:, 0]
    assert one == pytest.approx(0, abs=1e-9)
    assert one < 0.5 < two < four


def test_the_printed_formula_is_nearly_constant_over_a_large_vocabulary() -> None:
    logits = RNG.normal(0, 2, (3, 128_256)).astype(np.float32)
    logits[0, 0] = 25
    logits[1, :2] = 25
    found = measured("eq4_full", logits)[:, 0]
    assert found == pytest.approx([11.341] * 3, abs=2e-3)
    evidence = np.maximum(logits.astype(np.float64), 0) + 1
    total = evidence.sum(axis=1)
    wanted = -(evidence / total[:, None] * (digamma(evidence + 1) - digamma(total + 1)[:, None])).sum(axis=1)
    assert found == pytest.approx(wanted, abs=1e-9)


def test_the_top_reading_looks_at_the_largest_logits_alone() -> None:
    logits = RNG.normal(0, 3, (4, 300))
    top = np.maximum(np.sort(logits, axis=1)[:, -25:], 0)
    total = top.sum(axis=1, keepdims=True)
    wanted = -(top / total * (digamma(top + 1) - digamma(total + 1))).sum(axis=1)
    assert measured("topk_relu", logits)[:, 0] == pytest.approx(wanted, abs=1e-9)
    assert measured("topk_relu", np.full(300, -1.0))[0] == pytest.approx([0, 0])


def test_entropy_is_that_of_the_softmax_even_where_a_token_is_impossible() -> None:
    logits = RNG.normal(0, 3, (4, 300))
    logits[2, 7] = -np.inf
    nothing = torch.empty(0)
    found = EntropyAmbiguity().reduce(torch.tensor(logits), nothing, nothing).numpy()
    assert found[:, 0] == pytest.approx(entropy(softmax(logits, axis=1), axis=1), abs=1e-12)


def test_the_size_of_the_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = RNG.normal(0, 2, (37, 50))
    for reading in ("softmax_evidence", "eq4_full", "topk_relu"):
        monkeypatch.setattr(uncertainty, "_CHUNK", 10**6)
        whole = measured(reading, logits)
        monkeypatch.setattr(uncertainty, "_CHUNK", 110)
        assert np.array_equal(measured(reading, logits), whole)


def test_single_precision_logits_are_summed_in_double_precision() -> None:
    logits = torch.tensor(RNG.normal(0, 2, (2, 100)), dtype=torch.float32)
    for name in ("softmax_evidence", "eq4_full", "topk_relu", "entropy"):
        statistic = statistic_for(name)  # type: ignore[arg-type]
        assert statistic is not None
        assert statistic.reduce(logits, torch.empty(0), torch.empty(0)).dtype == torch.float64
    assert statistic_for("complement") is None


def test_logits_that_are_not_numbers_make_the_ambiguity_not_a_number() -> None:
    logits = np.array([[0.0, np.nan, 1.0], [0.0, 2.0, 1.0]])
    for reading in ("softmax_evidence", "eq4_full", "topk_relu"):
        found = measured(reading, logits)  # type: ignore[arg-type]
        assert np.isnan(found[0, 0])
        assert np.isfinite(found[1]).all()

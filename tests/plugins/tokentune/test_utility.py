"""The utility of a sample against the authors' code, brute force, and what the paper proves about it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from sftbench_plugins.tokentune.utility import density, unpaired_utility, utility

RNG = np.random.default_rng(7)


def golden_rows(reference_data: Path) -> tuple[dict[str, dict[str, float]], list[tuple[str, np.ndarray, np.ndarray]]]:
    folder = reference_data / "golden" / "token_labels"
    arrays = np.load(folder / "input.npz")
    ids = [json.loads(line)["id"] for line in (folder / "input.jsonl").read_text().splitlines()]
    rows = []
    for row_id, (start, end) in zip(ids, itertools.pairwise(arrays["indptr"]), strict=True):
        response = arrays["response_mask"][start:end].astype(bool)
        rows.append((row_id, arrays["loss_base"][start:end][response], arrays["loss_ref"][start:end][response]))
    return json.loads((folder / "expected.json").read_text()), rows


@pytest.mark.reference
def test_the_official_utility_equals_what_the_authors_code_gives(reference_data: Path) -> None:
    expected, rows = golden_rows(reference_data)
    wanted = expected["tokentune_sample_score_official_code"]
    given = {row_id: unpaired_utility(base, reference) for row_id, base, reference in rows}
    assert given.keys() == wanted.keys()
    assert all(abs(given[row_id] - wanted[row_id]) < 1e-9 for row_id in wanted)


@pytest.mark.reference
def test_the_paper_utility_equals_the_golden_reading(reference_data: Path) -> None:
    expected, rows = golden_rows(reference_data)
    wanted = expected["tokentune_U_paper_reading_own_computation"]
    given = {row_id: utility(base - reference, base) for row_id, base, reference in rows}
    assert given.keys() == wanted.keys()
    assert all(abs(given[row_id] - wanted[row_id]) < 1e-9 for row_id in wanted)


def test_utility_takes_the_densest_tokens_of_all_subsets_of_that_size_in_order_of_density() -> None:
    for _ in range(50):
        base = RNG.exponential(2, 9) + 0.01
        gain = base - RNG.exponential(2, 9)
        by_density = sorted(range(9), key=lambda j: -gain[j] / base[j])[:5]
        assert utility(gain, base, share=0.6) == pytest.approx(sum(gain[by_density]) / sum(base[by_density]))
        assert utility(gain, base, share=0.6, normalised=False) == pytest.approx(sum(gain[by_density]))


def test_density_and_utility_never_exceed_one_because_losses_are_not_negative() -> None:
    base = np.concatenate([RNG.exponential(1, 5000), RNG.uniform(0, 1e-4, 500), [0.0]])
    reference = np.where(RNG.random(5501) < 0.3, 0.0, RNG.exponential(1, 5501))
    assert density(base - reference, base).max() <= 1
    assert all(
        utility(base[part] - reference[part], base[part]) <= 1
        for part in np.split(RNG.permutation(5501), range(9, 5501, 9))
    )


def test_removing_a_token_less_dense_than_the_whole_raises_the_utility() -> None:
    for _ in range(200):
        base = RNG.exponential(2, 12) + 0.01
        gain = base - RNG.exponential(2, 12)
        whole = utility(gain, base, share=1.0)
        for poor in np.flatnonzero(gain / base < whole):
            rest = np.arange(12) != poor
            assert utility(gain[rest], base[rest], share=1.0) > whole


def test_the_two_utilities_differ_when_the_models_find_different_tokens_hard() -> None:
    base, reference = np.array([5.0, 0.1, 0.1, 0.1, 0.1]), np.array([0.1, 0.1, 0.1, 0.1, 5.0])
    assert utility(base - reference, base) == pytest.approx(4.9 / 5.2)
    assert unpaired_utility(base, reference) == pytest.approx(0.0)


def test_a_response_without_tokens_has_no_utility_and_one_token_counts_whole() -> None:
    none = np.empty(0)
    assert utility(none, none) == 0.0
    assert unpaired_utility(none, none) == 0.0
    assert utility(np.array([1.0]), np.array([2.0])) == 0.5
    assert unpaired_utility(np.array([2.0]), np.array([1.0])) == 0.5


def test_a_base_that_knows_every_token_gives_finite_utilities() -> None:
    nothing = np.zeros(9)
    assert utility(nothing, nothing) == 0.0
    assert np.isfinite(utility(nothing - 1e-4, nothing))
    assert unpaired_utility(nothing, nothing) == 0.0

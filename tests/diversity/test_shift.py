"""The distances from real rows against hand-made counts, Gaussians of known divergence, and halves of one source."""

from __future__ import annotations

import math
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from sftbench.diversity.measure import groups_of, jackknife_bounds
from sftbench.diversity.shift import (
    divergence_of_counts,
    divergence_of_embeddings,
    nearest_distances,
    principal_components,
    smoothed_divergence,
)
from sftbench.diversity.shift_lm import divergence_of_models


def by_counts(ragged, real, generated):
    return {each.metric: each for each in divergence_of_counts(ragged(real), ragged(generated), seed=0)}


def by_neighbours(real, generated):
    return divergence_of_embeddings(real, generated, tokens=0, seed=0)


def test_unigrams_are_smoothed_over_the_union_of_both():
    # Types: both, real only, generated only, neither.
    found = smoothed_divergence(np.array([3, 1, 0, 0]), np.array([1, 0, 2, 0]))
    p, q = np.array([3.5, 1.5, 0.5]) / 5.5, np.array([1.5, 0.5, 2.5]) / 4.5
    assert found == pytest.approx((p * np.log(p / q)).sum(), abs=1e-12)


def test_bigrams_are_counted_as_in_python(ragged, zipfian):
    real, generated = ([each.tolist() for each in zipfian(20, num_types=8, seed=seed)] for seed in (1, 2))

    def counted(texts, n):
        grams = [tuple(text[at : at + n]) for text in texts for at in range(len(text) - n + 1)]
        return {gram: grams.count(gram) for gram in set(grams)}

    found = by_counts(ragged, real, generated)
    for n, name in ((1, "unigram"), (2, "bigram")):
        one, other = counted(real, n), counted(generated, n)
        union = sorted(set(one) | set(other))
        wanted = smoothed_divergence(*(np.array([each.get(gram, 0) for gram in union]) for each in (one, other)))
        assert found[f"kl-{name}"].value == pytest.approx(wanted, abs=1e-12)


def brute_force(real, generated, n):
    """KL of the n-grams of two lists of texts, from counts in dictionaries."""
    counts = [Counter(tuple(text[at : at + n]) for text in texts for at in range(len(text) - n + 1))
              for texts in (real, generated)]  # fmt: skip
    union = sorted(counts[0] | counts[1])
    p, q = (np.array([each[gram] + 0.5 for gram in union]) for each in counts)
    return float((p / p.sum() * np.log(p / p.sum() / (q / q.sum()))).sum())


@pytest.mark.parametrize("tokens_at_once", [20_000_000, 60])
def test_value_and_bounds_follow_from_the_texts_with_each_group_left_out(ragged, zipfian, tokens_at_once):
    sides = [[each.tolist() for each in zipfian(size, num_types=8, seed=seed)] for size, seed in ((23, 1), (31, 2))]
    found = divergence_of_counts(*map(ragged, sides), seed=5, tokens_at_once=tokens_at_once)
    groups = [groups_of(len(texts), seed=5) for texts in sides]
    for n, measure in enumerate(found, start=1):
        value = brute_force(*sides, n)
        without = [
            brute_force(*([text for text, own in zip(texts, mine, strict=True) if own != group]
                          for texts, mine in zip(sides, groups, strict=True)), n)
            for group in range(20)
        ]  # fmt: skip
        edges = jackknife_bounds(value, np.array(without))
        assert measure.value == pytest.approx(value, abs=1e-12)
        assert (measure.ci_lo, measure.ci_hi) == pytest.approx((edges["ci_lo"], edges["ci_hi"]), abs=1e-12)


def test_memory_is_that_of_the_positions_of_a_shard_and_not_of_all_kinds_by_group(ragged):
    draw = np.random.default_rng(6)
    real, generated = (ragged(list(draw.integers(5000, size=(400, 100)))) for _ in range(2))
    num_tokens = len(real.values) + len(generated.values)
    tracemalloc.start()
    try:
        divergence_of_counts(real, generated, seed=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Nearly every bigram is a kind of its own: a table by side and group takes 320 bytes of each.
    assert peak < 200 * num_tokens


def test_halves_of_one_source_are_near_nothing_and_another_source_is_far(ragged, zipfian):
    same = by_counts(ragged, zipfian(800, seed=1), zipfian(800, seed=2))
    other = by_counts(ragged, zipfian(800, seed=1), zipfian(800, num_types=100, seed=2))
    assert 0 < same["kl-unigram"].value < 0.03
    assert other["kl-unigram"].value > 10 * same["kl-unigram"].value
    assert all(each.direction == "shift" for each in same.values())


def test_neighbours_find_the_divergence_of_gaussians():
    draw = np.random.default_rng(0)
    width, shift = 3, np.array([1.0, 0.0, 0.5])
    found = [by_neighbours(draw.normal(size=(1500, width)), draw.normal(size=(1500, width)) + shift) for _ in range(6)]
    assert np.mean([each.value for each in found]) == pytest.approx((shift**2).sum() / 2, abs=0.12)


def test_neighbours_of_halves_are_near_nothing():
    draw = np.random.default_rng(1)
    found = [by_neighbours(draw.normal(size=(600, 8)), draw.normal(size=(900, 8))) for _ in range(8)]
    assert np.mean([each.value for each in found]) == pytest.approx(0, abs=0.15)


def test_a_kth_neighbour_is_found_among_all_and_equals_are_at_no_distance():
    draw = np.random.default_rng(2)
    points, others = draw.normal(size=(300, 4)), draw.normal(size=(500, 4))
    others[7] = points[3]
    wanted = np.sort(np.linalg.norm(points[:, None] - others, axis=2), axis=1)
    for k in (1, 5):
        assert np.abs(nearest_distances(points, others, k) - wanted[:, :k]).max() < 1e-12
    assert nearest_distances(points, others, 1)[3] == 0


def test_components_keep_distances_when_they_are_as_many_as_dimensions_and_most_spread_when_fewer():
    vectors = np.random.default_rng(3).normal(size=(50, 6)) * [9, 5, 1, 1, 1, 1]
    whole = principal_components(vectors, 6)
    assert np.linalg.norm(whole[0] - whole[1]) == pytest.approx(np.linalg.norm(vectors[0] - vectors[1]))
    kept = principal_components(vectors, 2).var(axis=0).sum()
    assert kept == pytest.approx(np.sort(np.linalg.eigvalsh(np.cov(vectors.T, bias=True)))[-2:].sum())


def test_texts_that_stand_in_both_sets_are_left_out_and_counted():
    draw = np.random.default_rng(4)
    real, generated = draw.normal(size=(50, 4)), draw.normal(size=(60, 4))
    generated[:5] = real[0]
    found = by_neighbours(real, generated)
    assert math.isfinite(found.value)
    assert found.note.split("; ")[1:] == ["in_both: 1", "zero_distance: 1"]


@pytest.mark.parametrize(("n", "m"), [(5, 20), (20, 5)])
def test_too_few_points_have_no_neighbours(n, m):
    draw = np.random.default_rng(5)
    found = by_neighbours(draw.normal(size=(n, 4)), draw.normal(size=(m, 4)))
    assert math.isnan(found.value)
    assert "too_few_samples" in found.note


def test_no_text_has_no_divergence(ragged, zipfian):
    for real, generated in (([], zipfian(5)), (zipfian(5), [[]])):
        assert all(math.isnan(each.value) for each in by_counts(ragged, real, generated).values())


@pytest.mark.slow
def test_models_tell_another_source_from_the_same_one(ragged):
    def source(step, num_rows, seed):
        """Chains in which a token says the next one with chance 0.9."""
        draw = np.random.default_rng(seed)
        texts = []
        for _ in range(num_rows):
            text = [int(draw.integers(20))]
            while len(text) < 40:
                text.append((text[-1] + step) % 20 if draw.random() < 0.9 else int(draw.integers(20)))
            texts.append(text)
        return ragged(texts)

    real = source(1, 260, 0)
    same, other = (divergence_of_models(real, source(step, 130, 1), seed=0) for step in (1, 3))
    assert same.value == pytest.approx(0, abs=0.15)
    assert other.value > 1
    assert other.ci_lo > same.ci_hi
    assert same.tokens == other.tokens


def test_models_need_some_text(ragged):
    found = divergence_of_models(ragged([[1, 2]]), ragged([[1, 2]]), seed=0)
    assert math.isnan(found.value)
    assert found.note == "too_few_samples"

"""Topics of embeddings: planted groups are found, and rows that belong nowhere are outliers."""

from __future__ import annotations

import sys
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import adjusted_rand_score

from sftbench import EnvironmentProblem
from sftbench_plugins.m2m.topic_model import TopicModel, find_topics, nearest

Reduction = Literal["umap", "pca"]


def grouped(
    sizes: tuple[int, ...], *, noise: float, seed: int = 0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    draw = np.random.default_rng(seed)
    truth = draw.permutation(np.repeat(np.arange(len(sizes)), sizes))
    vectors = draw.normal(size=(len(sizes), 64))[truth] + noise * draw.normal(size=(len(truth), 64))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), truth


def found(vectors: npt.NDArray[np.float32], reduction: Reduction = "pca", **more: Any) -> TopicModel:
    given = {"neighbours": 15, "dimensions": 5, "min_topic_size": 10, "random_state": 0, **more}
    return find_topics(vectors, reduction=reduction, **given)


@pytest.mark.slow
def test_umap_and_hdbscan_find_planted_topics_largest_first_and_the_same_ones_again() -> None:
    vectors, truth = grouped((90, 70, 50, 40), noise=0.5)
    model = found(vectors, "umap")
    assert model.reduction == "umap"
    inside = model.labels >= 0
    assert adjusted_rand_score(truth[inside], model.labels[inside]) > 0.95
    assert inside.mean() > 0.9
    sizes = np.bincount(model.labels[inside])
    assert sizes.tolist() == sorted(sizes.tolist(), reverse=True)
    np.testing.assert_array_equal(found(vectors, "umap").labels, model.labels)


def test_principal_components_and_k_means_find_planted_topics_too() -> None:
    vectors, truth = grouped((90, 70, 50, 40), noise=0.3)
    # As many clusters as planted groups: 250 rows, one for each 5 times the least size.
    model = found(vectors, min_topic_size=12)
    assert adjusted_rand_score(truth, model.labels) > 0.95
    assert (model.reduction, len(model.centres)) == ("pca", 4)


def test_centres_are_mean_directions_and_every_row_goes_to_the_nearest() -> None:
    vectors, _ = grouped((60, 40), noise=0.4)
    model = found(vectors, min_topic_size=10)
    for topic, centre in enumerate(model.centres):
        mean = vectors[model.labels == topic].mean(axis=0)
        np.testing.assert_allclose(centre, mean / np.linalg.norm(mean), atol=1e-5)
    topics, cosines = nearest(vectors, model.centres)
    table = np.array([[float(vector @ centre) for centre in model.centres] for vector in vectors])
    np.testing.assert_array_equal(topics, table.argmax(axis=1))
    np.testing.assert_allclose(cosines, table.max(axis=1), atol=1e-6)


def test_small_pools_do_without_umap_and_say_so() -> None:
    vectors, _ = grouped((30, 30), noise=0.3)
    assert found(vectors, "umap", min_topic_size=6).reduction == "pca, too few rows for umap"
    for count in (1, 2, 3):
        model = found(vectors[:count], "umap", min_topic_size=2)
        assert model.labels.tolist() == [0] * count
    assert len(found(vectors[:0]).labels) == 0


def test_equal_rows_are_one_topic() -> None:
    vectors = np.tile(np.array([[0.6, 0.8]], dtype=np.float32), (40, 1))
    model = found(vectors, min_topic_size=2)
    assert set(model.labels.tolist()) == {0}


def test_without_umap_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    vectors, _ = grouped((100, 100), noise=0.3)
    with pytest.raises(EnvironmentProblem, match="reduction=pca"):
        found(vectors, "umap")


def test_where_no_cluster_stands_out_all_rows_are_one_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    from sftbench_plugins.m2m import topic_model

    draw = np.random.default_rng(0)
    monkeypatch.setattr(topic_model, "_umap", lambda vectors, *more: draw.normal(size=(len(vectors), 5)))
    vectors, _ = grouped((200,), noise=0.3)
    model = found(vectors, "umap", min_topic_size=90)
    assert model.reduction == "umap, no cluster found"
    assert set(model.labels.tolist()) == {0}


def test_a_row_that_umap_leaves_without_a_place_is_an_outlier(monkeypatch: pytest.MonkeyPatch) -> None:
    from sftbench_plugins.m2m import topic_model

    vectors, truth = grouped((120, 80), noise=0.3)

    def flat(vectors: npt.NDArray[np.float32], *more: Any) -> npt.NDArray[np.float32]:
        places = np.random.default_rng(0).normal(size=(200, 5)) * 0.1 + 10 * truth[:, None]
        places[7] = np.nan
        return places.astype(np.float32)

    monkeypatch.setattr(topic_model, "_umap", flat)
    model = found(vectors, "umap")
    assert model.labels[7] == -1
    assert adjusted_rand_score(truth, model.labels) > 0.9

"""The selector `car` against what the authors' own code took of the shared rows."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn
from sklearn.metrics import adjusted_rand_score

from sftbench import Scores
from sftbench_plugins.quality.car import Car
from sftbench_plugins.quality.clusters import cluster, default_num_clusters
from sftbench_plugins.quality.mixing import Mix, mixed

pytestmark = pytest.mark.reference
NUM_TOP = 1000
SKLEARN = "1.9.1"
"""What the golden clusters were made with; another version may draw others from the same seed."""


@pytest.fixture(scope="module")
def golden(reference_data):
    folder = reference_data / "golden" / "car"
    rows = [json.loads(line) for line in (folder / "input.jsonl").read_text().splitlines()]
    stored = np.load(folder / "embeddings.npz")
    ids = [row["id"] for row in rows]
    assert stored["id"].tolist() == ids
    return SimpleNamespace(
        ids=ids,
        values=np.array([row["score"] for row in rows]),
        vectors=stored["emb"],
        squares=np.load(folder / "pca.npz")["singular_values"].astype(float) ** 2,
        **json.loads((folder / "expected.json").read_text()),
    )


@pytest.fixture
def choose(golden, make_desk, rows_allowed):
    """A selection from rows in this order, with the score and the vector of each."""

    def run(order, **parameters):
        rows = [{"id": golden.ids[at], "instruction": f"ask {at}", "output": f"tell {at}"} for at in order]
        vectors = golden.vectors[order]
        desk = make_desk(rows, vectors=vectors, embeds=lambda texts: vectors[: len(texts)])
        allowance = rows_allowed(desk.pool, len(rows))
        return Car(n1=NUM_TOP, **parameters).select(desk.pool, Scores(values=golden.values[order]), allowance, desk)

    return run


def test_given_the_authors_clusters_every_row_and_their_order_are_theirs(golden):
    mix = Mix(values=golden.values, labels=np.array(golden.label, dtype=int), costs=np.ones(1400), cap=1400.0)
    found = mixed(mix, num_top=NUM_TOP, num_each=1, texts=golden.ids)
    assert [golden.ids[row] for row in found.order] == golden.selected_ids_in_order
    assert (found.num_by_score, len(found.order) - NUM_TOP) == (golden.n_from_score, golden.n_from_clusters)


def test_its_own_clusters_lead_to_the_authors_rows_id_for_id(golden, choose):
    """The rows of this file are not sorted by score, and the authors' clustering took them as they stand."""
    found = choose(np.arange(1400), mode="official", clustered="pool")
    assert list(found.ids[:NUM_TOP]) == golden.selected_ids_in_order[:NUM_TOP]
    if sklearn.__version__ == SKLEARN:
        assert list(found.ids) == golden.selected_ids_in_order
    assert found.report["num_components"] == golden.pca_dims
    assert found.report["num_by_score"] == golden.n_from_score


def test_components_and_clusters_are_the_authors(golden):
    number = default_num_clusters(len(golden.ids))
    found = cluster(golden.vectors, num_clusters=number, variance=0.95, random_state=42)
    assert found.num_components == golden.pca_dims
    assert adjusted_rand_score(np.array(golden.label, dtype=int), found.labels) >= 0.99
    centred = golden.vectors.astype(float) - golden.vectors.mean(0, dtype=float)
    squares = np.linalg.svd(centred, compute_uv=False) ** 2
    np.testing.assert_allclose(squares[: golden.pca_dims], golden.squares, rtol=1e-4)
    assert squares[: golden.pca_dims].sum() / squares.sum() == pytest.approx(golden.pca_explained_ratio_sum, rel=1e-4)


def test_paper_mode_takes_the_same_rows_with_clusters_in_the_order_of_their_numbers(golden, choose):
    found = choose(np.arange(1400))
    assert list(found.ids[:NUM_TOP]) == golden.selected_ids_in_order[:NUM_TOP]
    assert set(found.ids) == set(golden.selected_ids_in_order)
    label = dict(zip(golden.ids, map(int, golden.label), strict=True))
    numbers = [label[row_id] for row_id in golden.selected_ids_in_order[NUM_TOP:]]
    assert sorted(numbers, key=str, reverse=True) == numbers != sorted(numbers, reverse=True)


def test_official_mode_clusters_rows_as_they_are_ranked(golden, choose):
    """So that a file that is sorted by score already is taken as it stands."""
    ranked = np.argsort(-golden.values, kind="stable")
    assert choose(np.arange(1400), mode="official").ids == choose(ranked, mode="official", clustered="pool").ids

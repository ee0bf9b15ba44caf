"""The filter and the final score against what the authors' own code gave on real rows."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sftbench import Allowance, Scores
from sftbench_plugins.deita.scorer import joined
from sftbench_plugins.deita.selector import ReprFilter

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def folder(reference_data):
    return reference_data / "golden" / "deita_filter"


@pytest.fixture(scope="module")
def expected(folder):
    return json.loads((folder / "expected.json").read_text())


@pytest.fixture(scope="module")
def final(folder):
    rows = [json.loads(line) for line in (folder / "input.jsonl").read_text().splitlines()]
    complexity, quality = (
        np.concatenate([row[f"{name}_scores"] for row in rows]) for name in ("complexity", "quality")
    )
    return joined(complexity * quality, np.array([len(row["quality_scores"]) for row in rows]), "sum")


def test_the_final_score_is_the_authors(final, expected):
    np.testing.assert_allclose(final, expected["final_score"], rtol=1e-12)


def test_every_run_of_the_filter_takes_the_authors_rows_in_their_order(folder, final, expected, make_desk):
    stored = np.load(folder / "embeddings.npz")
    ids = [str(each) for each in stored["id"]]
    for given in expected["runs"]:
        desk = make_desk([("ask", "tell")] * len(ids), vectors=stored[given["embedding"]])
        cap = len(ids) if given["data_size"] < 0 else given["data_size"]
        allowance = Allowance(cap=cap, row_costs=np.ones(len(ids)), unit="rows")
        part = ReprFilter(mode="official", threshold=given["threshold"], batch=given["batch_size"])
        chosen = part.select(desk.pool, Scores(values=final), allowance, desk)
        assert [ids[desk.pool.index_of[each]] for each in chosen.ids] == given["selected_ids_in_order"], given
        if given["batch_size"] == 1:
            plain = ReprFilter(threshold=given["threshold"]).select(desk.pool, Scores(values=final), allowance, desk)
            assert plain.ids == chosen.ids

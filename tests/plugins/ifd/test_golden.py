"""The official mode against scores that the authors' own code gave."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sftbench import LanguageModel
from sftbench_plugins.ifd.scorer import Ifd

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def model(reference_data):
    return LanguageModel.load(reference_data / "models" / "tiny-gpt2")


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def numbers(rows, name):
    return np.array([np.nan if row[name] is None else row[name] for row in rows])


@pytest.mark.parametrize("kind", ["", "edge_"])
def test_super_gives_the_authors_perplexities_scores_and_order(reference_data, model, make_desk, kind):
    folder = reference_data / "golden" / "superfiltering"
    expected = json.loads((folder / f"{kind}expected.json").read_text())
    desk = make_desk(model, rows_of(folder / f"{kind}input.jsonl"))
    assert desk.pool.ids == [row["id"] for row in expected["rows"]]
    scores = Ifd(cut=1.0).score(desk.pool, desk)
    ifd = numbers(expected["rows"], "ifd")
    np.testing.assert_allclose(scores.columns["ifd"], ifd, rtol=1e-4)
    np.testing.assert_allclose(scores.columns["ppl_conditional"], numbers(expected["rows"], "ppl_cond"), rtol=1e-4)
    np.testing.assert_allclose(scores.columns["ppl_unconditional"], numbers(expected["rows"], "ppl_uncond"), rtol=1e-4)
    assert set(scores.reasons) == set(np.flatnonzero(~(ifd < 1)))
    order = [int(at) for at in np.argsort(-scores.values, kind="stable") if np.isfinite(scores.values[at])]
    assert [desk.pool.ids[at] for at in order] == expected["order_desc_ifd_below_1"]


def test_cherry_gives_the_authors_survivors_losses_and_choice(reference_data, model, make_desk):
    folder = reference_data / "golden" / "cherry_ifd"
    expected = json.loads((folder / "expected.json").read_text())
    rows = expected["rows"]
    desk = make_desk(model, rows_of(folder / "input.jsonl"))
    scores = Ifd(variant="cherry", cut=1.0).score(desk.pool, desk)
    np.testing.assert_allclose(scores.values, numbers(rows, "ratio"), rtol=1e-4)
    np.testing.assert_allclose(scores.columns["ifd"], numbers(rows, "ratio_before_the_filter_own"), rtol=1e-4)
    np.testing.assert_allclose(scores.columns["ppl_conditional"], numbers(rows, "ppl_cond"), rtol=1e-4)
    reasons = {"ratio above 1": "above_cut", "prompt does not fit": "prompt_too_long"}
    assert scores.reasons == {at: reasons[row["why_dropped"]] for at, row in enumerate(rows) if row["why_dropped"]}
    num_chosen = int(expected["params"]["sample_rate"] * expected["n_survivors"])
    best = np.argsort(-np.nan_to_num(scores.values, nan=-1))[:num_chosen]
    assert [desk.pool.ids[at] for at in sorted(best)] == expected["selected_ids_in_pool_order"]

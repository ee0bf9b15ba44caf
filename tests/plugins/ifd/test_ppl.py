"""Perplexity in its variants and directions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sftbench_plugins.ifd.losses import wanted
from sftbench_plugins.ifd.ppl import Ppl

ROWS = (("say this", "hello there"), ("count", "1 2 3 4"), ("q", "yes\nno\n"))


def perplexity(model, text, num_scored):
    """By the model's own loss over the labels that are not masked."""
    ids = torch.tensor([model.tokenizer(text)["input_ids"]])
    labels = ids.clone()
    labels[:, : ids.shape[1] - num_scored] = -100
    with torch.no_grad():
        return float(model.model(ids, labels=labels).loss.exp())


@pytest.mark.parametrize("bos", [False, True])
def test_every_variant_is_the_exponential_of_the_models_own_loss(make_model, make_desk, make_rows, bos):
    model = make_model(bos=bos)
    desk = make_desk(model, make_rows(*ROWS))
    for variant in ("conditional", "unconditional", "whole"):
        scores = Ppl(variant=variant).score(desk.pool, desk)
        for at, (prompt, response) in enumerate(ROWS):
            text = response if variant == "unconditional" else f"{prompt}\n{response}"
            num_scored = len(text) if variant == "whole" else len(response)
            assert scores.values[at] == pytest.approx(perplexity(model, text, num_scored), rel=1e-4)
        np.testing.assert_array_equal(scores.columns[f"ppl_{variant}"], scores.values)


def test_low_turns_the_order_round_and_keeps_the_column(make_model, make_desk, make_rows):
    desk = make_desk(make_model(), make_rows(*ROWS))
    high, low = (Ppl(direction=each).score(desk.pool, desk) for each in ("high", "low"))
    np.testing.assert_array_equal(low.values, -high.values)
    np.testing.assert_array_equal(low.columns["ppl_conditional"], high.values)


def test_middle_prefers_the_median_and_likes_both_ends_equally_little():
    raw = np.array([5.0, 1.0, np.nan, 3.0, 1000.0, 2.0])
    scores = wanted(raw, "middle")
    assert np.argsort(-scores[[0, 1, 3, 4, 5]]).tolist()[0] == 2
    assert scores[1] == scores[4] == np.nanmin(scores)
    assert np.isnan(scores[2])


def test_equal_perplexities_have_equal_scores_in_the_middle():
    scores = wanted(np.array([1.0, 2.0, 2.0, 2.0, 3.0]), "middle")
    assert len(set(scores[1:4])) == 1
    assert scores[1] == scores.max()


@pytest.mark.parametrize("variant", ["conditional", "unconditional", "whole"])
def test_bad_rows_have_reasons_and_shift_no_other(make_model, make_desk, make_rows, variant):
    desk = make_desk(make_model(), make_rows(("q", ""), ("fine", "a response"), ("q", "x")))
    scores = Ppl(variant=variant).score(desk.pool, desk)
    expected = {0: "empty_response", **({2: "too_few_tokens"} if variant == "unconditional" else {})}
    assert scores.reasons == expected
    assert np.isfinite(scores.values[1])

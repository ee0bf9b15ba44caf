"""IFD from its definition, its modes, its cut and its bad rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from sftbench_plugins.ifd.scorer import Ifd

ROWS = (("say this", "hello there"), ("count", "1 2 3 4"), ("a much longer question?", "x"), ("q", "yes\nno\n"))


def losses(model, text, num_scored):
    """Negative log-likelihoods of the last bytes of a text, by a loop over the model's own logits."""
    ids = model.tokenizer(text)["input_ids"]
    with torch.no_grad():
        logits = model.model(torch.tensor([ids])).logits[0].double().numpy()
    found = [-log_softmax(logits[at - 1])[ids[at]] for at in range(1, len(ids))]
    return np.array(found[max(0, len(found) - num_scored) :])


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("variant", ["super", "cherry"])
def test_paper_averages_both_losses_over_the_same_response_tokens(make_model, make_desk, make_rows, bos, variant):
    model = make_model(bos=bos)
    desk = make_desk(model, make_rows(*ROWS))
    scores = Ifd(mode="paper", variant=variant).score(desk.pool, desk)
    for at, (prompt, response) in enumerate(ROWS):
        count = len(response) - (0 if bos else 1)
        if not count:
            assert scores.reasons[at] == "too_few_tokens"
            continue
        given = losses(model, f"{prompt}\n{response}", count).mean()
        alone = losses(model, response, count).mean()
        expected = np.exp(given) / np.exp(alone) if variant == "super" else given / alone
        assert scores.values[at] == pytest.approx(expected, rel=1e-4)
        assert scores.columns["num_tokens"][at] == scores.columns["num_tokens_unconditional"][at] == count


@pytest.mark.parametrize("bos", [False, True])
def test_official_keeps_each_mean_to_its_own_tokens(make_model, make_desk, make_rows, bos):
    model = make_model(bos=bos)
    desk = make_desk(model, make_rows(*ROWS[:2]))
    scores = Ifd().score(desk.pool, desk)
    for at, (prompt, response) in enumerate(ROWS[:2]):
        given = losses(model, f"{prompt}\n{response}", len(response)).mean()
        alone = losses(model, response, len(response) - (0 if bos else 1)).mean()
        assert scores.values[at] == pytest.approx(np.exp(given - alone), rel=1e-4)
    assert desk.asked == ["scoring:float32"]


def test_a_model_that_cannot_see_the_prompt_gives_exactly_one(make_model, make_desk, make_rows):
    desk = make_desk(make_model(blind=True), make_rows(*(row for row in ROWS if len(row[1]) > 1)))
    scores = Ifd(mode="paper").score(desk.pool, desk)
    np.testing.assert_allclose(scores.values, 1.0, rtol=1e-5)
    seeing = make_desk(make_model(), make_rows(*(row for row in ROWS if len(row[1]) > 1)))
    assert np.abs(Ifd(mode="paper").score(seeing.pool, seeing).values - 1).max() > 0.01


def test_the_cut_takes_scores_away_and_leaves_the_column(make_model, make_desk, make_rows):
    rows = make_rows(*((f"question {at}", "answer " * (at + 1)) for at in range(12)))
    desk = make_desk(make_model(), rows)
    plain = Ifd().score(desk.pool, desk)
    middle = float(np.sort(plain.values)[6])
    cut = Ifd(cut=middle).score(desk.pool, desk)
    above = plain.values >= middle
    np.testing.assert_array_equal(np.isnan(cut.values), above)
    np.testing.assert_array_equal(cut.values[~above], plain.values[~above])
    np.testing.assert_array_equal(cut.columns["ifd"], plain.values)
    assert cut.reasons == {int(at): "above_cut" for at in np.flatnonzero(above)}
    assert cut.report == {"num_above_cut": 6}
    cherry = Ifd(variant="cherry").score(desk.pool, desk)
    edge = float(np.sort(cherry.values)[6])
    kept = Ifd(variant="cherry", cut=edge).score(desk.pool, desk)
    assert np.isfinite(kept.values).sum() == 7, "cherry keeps a row that is exactly at the cut"


@pytest.mark.parametrize(("mode", "reason"), [("paper", "too_few_tokens"), ("official", "too_few_tokens")])
def test_bad_rows_have_reasons_and_shift_no_other(make_model, make_desk, make_rows, mode, reason):
    texts = [("q", ""), ("p" * 400, "never seen"), ("q", "x"), ("", "no prompt"), ("fine", "a response")]
    desk = make_desk(make_model(), make_rows(*texts))
    scores = Ifd(mode=mode).score(desk.pool, desk)
    assert scores.reasons == {0: "empty_response", 1: "prompt_too_long", 2: reason}
    assert np.isnan(scores.values[:3]).all()
    assert np.isfinite(scores.values[3:]).all()
    alone = make_desk(make_model(), make_rows(*texts[3:]))
    np.testing.assert_allclose(Ifd(mode=mode).score(alone.pool, alone).values, scores.values[3:], rtol=1e-5)


def test_a_row_without_prompt_and_bos_says_that_its_first_token_is_unscored(make_model, make_desk, make_rows):
    desk = make_desk(make_model(), make_rows(("", "no prompt"), ("some", "prompt")))
    assert Ifd(mode="paper").score(desk.pool, desk).notes == {0: "first_token_unscored"}


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_a_response_cut_by_the_window_is_scored_and_noted(make_model, make_desk, make_rows, mode):
    desk = make_desk(make_model(window=40), make_rows(("long", "words " * 20), ("short", "words")))
    scores = Ifd(mode=mode).score(desk.pool, desk)
    assert scores.notes == {0: "response_truncated"}
    assert np.isfinite(scores.values).all()


def test_a_broken_model_gives_reasons_and_not_numbers(make_model, make_desk, make_rows):
    model = make_model()
    model.model.transformer.ln_f.weight.data.fill_(torch.nan)
    desk = make_desk(model, make_rows(*ROWS[:2]))
    for mode in ("paper", "official"):
        scores = Ifd(mode=mode).score(desk.pool, desk)
        assert np.isnan(scores.values).all()
        assert scores.reasons == {0: "non_finite", 1: "non_finite"}


def test_a_conversation_is_scored_on_its_last_response_given_all_before(make_model, make_desk):
    model = make_model()
    turns = [("user", "one"), ("assistant", "two"), ("user", "three"), ("assistant", "the fourth")]
    messages = [{"role": role, "content": content} for role, content in turns]
    desk = make_desk(model, [{"id": "c", "messages": messages}])
    given = losses(model, "one\ntwo\nthree\nthe fourth", 10).mean()
    alone = losses(model, "the fourth", 9).mean()
    assert Ifd().score(desk.pool, desk).values[0] == pytest.approx(np.exp(given - alone), rel=1e-4)


def test_a_window_goes_with_the_official_mode_only():
    with pytest.raises(ValueError, match="mode=official"):
        Ifd(mode="paper", max_length=512)
    assert Ifd(mode="paper").needs().passes
    assert Ifd().needs().language_models == ("scoring",)

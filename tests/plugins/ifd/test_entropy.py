"""Cross-entropy and predictive entropy from their definitions, and the published code's own reading of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from sftbench.methods import resolve
from sftbench.parameters import parse_use
from sftbench.plugins import load
from sftbench_plugins.ifd.entropy import Entropy
from sftbench_plugins.ifd.ppl import Ppl

ROWS = (("say this", "hello there"), ("count", "1 2 3 4"), ("q", "yes\nno\n"), ("no response token", "x"))


def log_shares(model, ids):
    """Log-probabilities [L, V] of what follows each token, by the model itself."""
    with torch.no_grad():
        logits = model.model(torch.tensor([ids])).logits[0].double().numpy()
    return log_softmax(logits, axis=1)


@pytest.mark.parametrize("bos", [False, True])
def test_cross_entropy_is_the_models_own_loss_over_the_response(make_model, make_desk, make_rows, bos):
    model = make_model(bos=bos)
    desk = make_desk(model, make_rows(*ROWS))
    scores = Entropy().score(desk.pool, desk)
    for at, (prompt, response) in enumerate(ROWS):
        ids = torch.tensor([model.tokenizer(f"{prompt}\n{response}")["input_ids"]])
        labels = ids.clone()
        labels[:, : ids.shape[1] - len(response)] = -100
        with torch.no_grad():
            loss = float(model.model(ids, labels=labels).loss)
        assert scores.values[at] == pytest.approx(loss, rel=1e-4)
    np.testing.assert_allclose(np.exp(scores.values), Ppl().score(desk.pool, desk).values, rtol=1e-6)


@pytest.mark.parametrize("bos", [False, True])
def test_predictive_entropy_is_that_of_what_is_expected_at_each_response_token(make_model, make_desk, make_rows, bos):
    model = make_model(bos=bos)
    desk = make_desk(model, make_rows(*ROWS))
    scores = Entropy(variant="pred_entropy").score(desk.pool, desk)
    for at, (prompt, response) in enumerate(ROWS):
        logs = log_shares(model, model.tokenizer(f"{prompt}\n{response}")["input_ids"])[-len(response) - 1 : -1]
        expected = -(np.exp(logs) * logs).sum(axis=1).mean()
        assert scores.values[at] == pytest.approx(expected, rel=1e-4)
        assert scores.columns["num_tokens"][at] == len(response)


def unshifted(model, prompt, response, room):
    """The published code, line by line, on raw logits; None where it has nothing to average."""
    ids = model.tokenizer(prompt)["input_ids"][:room]
    num_before = sum(each != 0 for each in ids)
    if num_before >= room:
        return None
    ids = ids + model.tokenizer(response)["input_ids"][: room - num_before]
    logs = log_shares(model, ids)
    return -np.mean([logs[at, ids[at]] for at in range(num_before, len(ids))])


@pytest.mark.parametrize("bos", [False, True])
def test_the_published_code_holds_each_prediction_against_the_token_where_it_is_made(
    make_model, make_desk, make_rows, bos
):
    model = make_model(bos=bos)
    zero = model.tokenizer.decode([0])
    rows = (*ROWS, (f"an id of 0: {zero}{zero}", "moves the beginning"), ("", "no prompt"))
    desk = make_desk(model, make_rows(*rows))
    scores = Entropy(variant="ce_unshifted").score(desk.pool, desk)
    for at, (prompt, response) in enumerate(rows):
        expected = unshifted(model, f"\nHuman: {prompt}\nAssistant: ".strip(), response, 200)
        assert scores.values[at] == pytest.approx(expected, rel=1e-4)
    assert scores.columns["num_tokens"][4] == len("moves the beginning") + bos + 2
    assert desk.asked == ["scoring:float32"]


def test_the_published_code_cuts_the_response_to_what_the_prompt_leaves(make_model, make_desk, make_rows):
    model = make_model()
    desk = make_desk(model, make_rows(("p" * 20, "a long response"), ("p" * 40, "no room"), ("p", "fits")))
    scores = Entropy(variant="ce_unshifted", max_length=45).score(desk.pool, desk)
    assert scores.values[0] == pytest.approx(
        unshifted(model, f"Human: {'p' * 20}\nAssistant:", "a long response", 45), rel=1e-4
    )
    assert scores.columns["num_tokens"].tolist() == [45 - 38, 0, 4]
    assert (scores.reasons, scores.notes) == ({1: "prompt_too_long"}, {0: "response_truncated"})


def test_a_conversation_is_read_by_the_published_code_with_its_earlier_answers(make_model, make_desk):
    model = make_model()
    turns = [("user", "one"), ("assistant", "two"), ("user", "three"), ("assistant", "four")]
    desk = make_desk(model, [{"id": "c", "messages": [{"role": role, "content": text} for role, text in turns]}])
    prompt = "Human: one\nAssistant: two\nHuman: three\nAssistant:"
    found = Entropy(variant="ce_unshifted").score(desk.pool, desk).values[0]
    assert found == pytest.approx(unshifted(model, prompt, "four", 200), rel=1e-4)


@pytest.mark.parametrize("variant", ["ce_response", "pred_entropy", "ce_unshifted"])
def test_bad_rows_have_reasons_and_shift_no_other(make_model, make_desk, make_rows, variant):
    texts = [("q", ""), ("p" * 400, "never seen"), ("fine", "a response"), ("", "x"), ("", "no prompt")]
    desk = make_desk(make_model(), make_rows(*texts))
    scores = Entropy(variant=variant).score(desk.pool, desk)
    lonely = {} if variant == "ce_unshifted" else {3: "too_few_tokens"}
    assert scores.reasons == {0: "empty_response", 1: "prompt_too_long", **lonely}
    assert scores.notes == ({} if variant == "ce_unshifted" else {4: "first_token_unscored"})
    assert set(np.flatnonzero(np.isnan(scores.values))) == set(scores.reasons)
    alone = make_desk(make_model(), make_rows(*texts[2:]))
    np.testing.assert_allclose(Entropy(variant=variant).score(alone.pool, alone).values, scores.values[2:], rtol=1e-5)


def test_a_broken_model_gives_reasons_and_not_numbers(make_model, make_desk, make_rows):
    model = make_model()
    model.model.transformer.ln_f.weight.data.fill_(torch.nan)
    desk = make_desk(model, make_rows(*ROWS[:2]))
    for variant in ("ce_response", "pred_entropy", "ce_unshifted"):
        scores = Entropy(variant=variant).score(desk.pool, desk)
        assert np.isnan(scores.values).all()
        assert scores.reasons == {0: "non_finite", 1: "non_finite"}


def test_low_turns_the_order_round_and_keeps_the_column(make_model, make_desk, make_rows):
    desk = make_desk(make_model(), make_rows(*ROWS))
    high, low = (Entropy(direction=each).score(desk.pool, desk) for each in ("high", "low"))
    np.testing.assert_array_equal(low.values, -high.values)
    np.testing.assert_array_equal(low.columns["ce_response"], high.values)


def test_passes_are_shared_with_perplexity_and_the_published_code_has_its_own_texts():
    assert Entropy().needs() == Ppl().needs()
    assert Entropy(variant="ce_unshifted").needs().language_models == ("scoring",)
    with pytest.raises(ValueError, match="ce_unshifted"):
        Entropy(max_length=512)


@pytest.mark.parametrize(("variant", "fidelity"), [("ce_response", "own definition"), ("ce_unshifted", "exact")])
def test_the_board_shows_what_the_variant_is(variant, fidelity):
    method = resolve(load(), parse_use(f"entropy[variant={variant}]"), parse_use("sft"))
    assert method.fidelity == fidelity

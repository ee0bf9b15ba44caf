"""What a model expects after a text: log-probabilities of given tokens against the model's own logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from sftbench.engines.flops import forward_flops
from sftbench.engines.forward import LogProbs, Nll, Passage

WANTED = (7, 3, 262)


@pytest.fixture
def texts():
    """Texts of many lengths, one of which fills the window of 96 tokens."""
    rng = np.random.default_rng(3)
    return [rng.integers(0, 263, length).astype(np.int32) for length in (5, 1, 96, 17, 17, 40, 2, 63)]


def expected_after(language_model, text):
    """The model's own logits at the last position of one text alone, in float64."""
    with torch.no_grad():
        logits = language_model.model(input_ids=torch.from_numpy(text.astype(np.int64))[None]).logits[0, -1]
    return log_softmax(logits.double().numpy())


def after(language_model, texts, *, token_ids=WANTED):
    passages = [Passage.next_token(text) for text in texts]
    return [each["log_probs"] for each in language_model.run(passages, statistics=[LogProbs(token_ids)])]


def test_the_next_token_is_expected_as_the_models_own_logits_say(language_model, texts):
    for text, found in zip(texts, after(language_model, texts), strict=True):
        assert found.shape == (1, 3)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[0], expected_after(language_model, text)[list(WANTED)], atol=2e-4)


def test_all_tokens_together_have_probability_one(language_model, texts):
    for found in after(language_model, texts, token_ids=tuple(range(263))):
        assert np.exp(found[0].astype(np.float64)).sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("max_batch_tokens", [1, 70, 100000])
def test_no_result_depends_on_the_batch(llama, texts, max_batch_tokens):
    together = llama(max_batch_tokens=max_batch_tokens)
    together.chunk_tokens = 2
    for text, found in zip(texts, after(together, texts), strict=True):
        np.testing.assert_allclose(found, after(llama(), [text])[0], atol=1e-4)


def test_log_probabilities_stand_beside_other_statistics_of_tokens_that_are_there(llama, texts):
    """The log-probability of the token that stands there is its loss with the sign turned."""
    scored = np.arange(17) > 0
    passage = Passage(token_ids=texts[3], scored=scored)
    found = next(llama().run([passage], statistics=[Nll(), LogProbs(tuple(range(263)))]))
    own = found["log_probs"][np.arange(16), texts[3][1:]]
    np.testing.assert_allclose(own, -found["nll"], atol=1e-5)


def test_only_the_text_is_paid_for_and_one_place_of_the_output_head(llama, texts):
    spent = {"tokens_forward": 0.0, "flops": 0.0}

    def meter(**amounts):
        for name, amount in amounts.items():
            spent[name] += amount

    engine = llama(meter=meter)
    after(engine, texts)
    lengths = [len(text) for text in texts]
    assert spent["tokens_forward"] == sum(lengths)
    assert spent["flops"] == pytest.approx(forward_flops(engine.shape, lengths, num_scored_tokens=len(texts)))


def test_after_nothing_nothing_is_known(llama):
    found = after(llama(), [np.empty(0, np.int32)])[0]
    assert found.shape == (1, 3)
    assert np.isnan(found).all()


def test_the_logits_are_left_as_they_were():
    logits = torch.tensor([[0.0, 1.0, 2.0]])
    found = LogProbs((2, 0)).reduce(logits, torch.logsumexp(logits, 1), torch.tensor([1]))
    assert found[0].tolist() == pytest.approx([log_softmax([0, 1, 2])[2], log_softmax([0, 1, 2])[0]])
    assert logits.tolist() == [[0.0, 1.0, 2.0]]

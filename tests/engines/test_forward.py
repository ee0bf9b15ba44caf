"""Token statistics against plain loops over a model's own logits, on several architectures."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from scipy.stats import entropy

from sftbench.engines.flops import forward_flops
from sftbench.engines.forward import Entropy, LanguageModel, Nll, Passage, TopK
from sftbench.errors import UsageError


@pytest.fixture
def passages() -> list[Passage]:
    """Passages of many lengths, scored here and there."""
    rng = np.random.default_rng(0)
    made = []
    for length in (1, 2, 3, 5, 8, 13, 21, 34, 55, 7, 7, 40, 2, 9):
        scored = rng.random(length) < 0.6
        scored[-1] = True
        made.append(Passage(token_ids=rng.integers(0, 263, length).astype(np.int32), scored=scored))
    return made


def own_logits(language_model, passage, **inputs):
    """The model's own logits, one passage at a time, in float64."""
    given = inputs or {"input_ids": torch.from_numpy(passage.token_ids.astype(np.int64))[None]}
    with torch.no_grad():
        return language_model.model(**given).logits[0].double().numpy()


def loop(logits, passage):
    """Negative log-likelihood, entropy and the two best log-probabilities of every scored token."""
    rows = []
    for at in np.flatnonzero(passage.scored):
        if at == 0:
            rows.append([np.nan] * 4)
            continue
        logs = log_softmax(logits[at - 1])
        rows.append([-logs[passage.token_ids[at]], entropy(np.exp(logs)), *np.sort(logs)[::-1][:2]])
    return np.array(rows)


def test_statistics_equal_a_loop_over_the_models_own_logits(language_model, passages, caplog):
    with caplog.at_level(logging.WARNING):
        found = list(language_model.run(passages, statistics=[Nll(), Entropy(), TopK(2)]))
    assert not caplog.records, "no architecture here may need the slow way"
    for passage, each in zip(passages, found, strict=True):
        expected = loop(own_logits(language_model, passage), passage)
        np.testing.assert_allclose(each["nll"], expected[:, 0], atol=2e-4)
        np.testing.assert_allclose(each["entropy"], expected[:, 1], atol=2e-4)
        np.testing.assert_allclose(each["top_k"], expected[:, 2:], atol=2e-4)
        assert each["nll"].dtype == np.float32


@pytest.mark.parametrize("max_batch_tokens", [1, 30, 100000])
def test_no_result_depends_on_batch_padding_or_chunk(llama, passages, max_batch_tokens):
    alone = [next(llama().run([passage], statistics=[Nll()]))["nll"] for passage in passages]
    together = llama(max_batch_tokens=max_batch_tokens)
    together.chunk_tokens = 3
    for expected, found in zip(alone, together.run(iter(passages), statistics=[Nll()]), strict=True):
        np.testing.assert_allclose(found["nll"], expected, atol=1e-4)


def test_a_token_at_the_very_beginning_is_nan_and_no_other(llama):
    passage = Passage(token_ids=np.array([5, 6, 7], dtype=np.int32), scored=np.array([True, True, True]))
    found = next(llama().run([passage], statistics=[Nll(), TopK(3)]))
    assert np.isnan(found["nll"]).tolist() == [True, False, False]
    assert found["top_k"].shape == (3, 3)
    assert np.isnan(found["top_k"][0]).all()


def test_the_entropy_of_equal_logits_is_the_logarithm_of_the_vocabulary(llama):
    engine = llama()
    engine.model.lm_head.weight.data.zero_()
    passage = Passage(token_ids=np.arange(9, dtype=np.int32), scored=np.arange(9) > 0)
    found = next(engine.run([passage], statistics=[Nll(), Entropy()]))
    np.testing.assert_allclose(found["entropy"], np.log(263), rtol=1e-6)
    np.testing.assert_allclose(found["nll"], np.log(263), rtol=1e-6)


def test_an_impossible_token_has_no_part_in_the_entropy():
    logits = torch.tensor([[0.0, 0.0, -torch.inf]])
    found = Entropy().reduce(logits, torch.logsumexp(logits, 1), torch.tensor([0]))
    assert found.item() == pytest.approx(np.log(2))


def test_passages_without_scored_tokens_meet_no_model(llama):
    engine = llama()
    engine.model = None
    nothing = np.zeros(4, dtype=bool)
    first = np.array([True, False, False, False])
    empty = Passage(token_ids=np.empty(0, np.int32), scored=np.empty(0, bool))
    given = [Passage(token_ids=np.arange(4, dtype=np.int32), scored=scored) for scored in (nothing, first)]
    found = [each["nll"] for each in engine.run([empty, *given], statistics=[Nll()])]
    assert [len(each) for each in found] == [0, 0, 1]
    assert np.isnan(found[2]).all()


def test_a_token_unknown_to_the_model_spoils_its_own_passage_alone(llama, passages, caplog):
    bad = Passage(token_ids=np.array([1, 9999, 2], dtype=np.int32), scored=np.array([False, True, True]))
    with_bad = list(llama().run([passages[5], bad, passages[6]], statistics=[Nll()]))
    without = list(llama().run([passages[5], passages[6]], statistics=[Nll()]))
    assert np.isnan(with_bad[1]["nll"]).all()
    for found, expected in zip(with_bad[::2], without, strict=True):
        np.testing.assert_allclose(found["nll"], expected["nll"], atol=1e-5)
    assert "does not know" in caplog.text


class Noise:
    """Noise that can be drawn again, and that remembers how it was asked for."""

    def __init__(self, num_copies: int) -> None:
        self.num_copies = num_copies
        self.asked: list[tuple[int, int]] = []

    def draw(self, index: int, num_tokens: int, width: int) -> torch.Tensor:
        self.asked.append((index, num_tokens))
        generator = torch.Generator().manual_seed(index)
        return torch.randn((self.num_copies, num_tokens, width), generator=generator)


@pytest.mark.parametrize("max_batch_tokens", [20, 400, 10000])
def test_noisy_copies_equal_a_loop_over_copies(language_model, passages, max_batch_tokens):
    language_model.max_batch_tokens = max_batch_tokens
    noise, again = Noise(3), Noise(3)
    found = list(language_model.run(passages, statistics=[Nll()], perturb=noise))
    assert noise.asked == [(at, len(passage.token_ids)) for at, passage in enumerate(passages)]
    embed = language_model.model.get_input_embeddings()
    for at, (passage, each) in enumerate(zip(passages, found, strict=True)):
        embedded = embed(torch.from_numpy(passage.token_ids.astype(np.int64))).detach()
        for copy, added in enumerate(again.draw(at, len(passage.token_ids), language_model.width)):
            logits = own_logits(language_model, passage, inputs_embeds=(embedded + added)[None])
            np.testing.assert_allclose(each["nll"][copy], loop(logits, passage)[:, 0], atol=5e-4)


def test_no_noise_gives_copies_of_the_clean_pass(llama, passages):
    class Silence(Noise):
        def draw(self, index: int, num_tokens: int, width: int) -> torch.Tensor:
            return torch.zeros((self.num_copies, num_tokens, width))

    engine = llama()
    clean = list(engine.run(passages, statistics=[Nll()]))
    for one, copies in zip(clean, engine.run(passages, statistics=[Nll()], perturb=Silence(2)), strict=True):
        np.testing.assert_allclose(copies["nll"], np.stack([one["nll"]] * 2), atol=1e-4)


def test_a_model_with_an_output_rule_of_its_own_is_run_whole(llama, passages, caplog):
    engine = llama()
    own = engine.model.forward

    def squared(*args, **inputs):
        found = own(*args, **inputs)
        found.logits = found.logits.pow(2)
        return found

    engine.model.forward = squared
    found = list(engine.run(passages, statistics=[Nll()]))
    assert "run whole" in caplog.text
    for passage, each in zip(passages, found, strict=True):
        expected = loop(own_logits(engine, passage), passage)[:, 0]
        np.testing.assert_allclose(each["nll"], expected, rtol=1e-3, atol=1e-3)


def test_what_does_not_fit_in_memory_is_halved_and_a_single_passage_given_up(llama, passages, caplog):
    engine = llama()
    expected = [each["nll"] for each in engine.run(passages, statistics=[Nll()])]
    body = engine.cut.body

    def tight(**inputs):
        batch, length = inputs["input_ids"].shape
        if batch > 2 or length > 40:
            raise torch.OutOfMemoryError
        return body(**inputs)

    object.__setattr__(engine.cut, "body", tight)
    found = [each["nll"] for each in engine.run(passages, statistics=[Nll()])]
    for passage, one, other in zip(passages, found, expected, strict=True):
        if len(passage.token_ids) == 55:
            assert np.isnan(one).all()
            assert len(one) == len(other)
        else:
            np.testing.assert_allclose(one, other, atol=1e-4)
    assert "does not fit in memory" in caplog.text


def test_work_is_metered_without_padding(llama, passages):
    spent = {"tokens_forward": 0.0, "flops": 0.0}

    def meter(**amounts: float) -> None:
        for name, amount in amounts.items():
            spent[name] += amount

    engine = llama(meter=meter)
    list(engine.run(passages, statistics=[Nll()]))
    scored = [np.flatnonzero(passage.scored) for passage in passages]
    lengths = [int(each[-1]) for each in scored]
    assert spent["tokens_forward"] == sum(lengths)
    num_scored = sum(int((each > 0).sum()) for each in scored)
    assert spent["flops"] == pytest.approx(forward_flops(engine.shape, lengths, num_scored_tokens=num_scored))


FINAL_NORMS = ("norm", "ln_f")


@pytest.mark.parametrize("layer", [0, 1, -2])
def test_states_inside_are_those_that_the_model_tells_itself(language_model, passages, layer):
    language_model.max_batch_tokens = 60
    found = list(language_model.hidden_states(iter(passages), layer=layer))
    for passage, states in zip(passages, found, strict=True):
        ids = torch.from_numpy(passage.token_ids.astype(np.int64))[None]
        with torch.no_grad():
            told = language_model.model(ids, output_hidden_states=True).hidden_states[layer][0]
        np.testing.assert_allclose(states, told[torch.from_numpy(passage.scored)].numpy(), atol=1e-4)
        assert states.dtype == np.float32


def test_states_after_the_last_layer_become_the_models_own_by_its_final_norm(language_model, passages):
    decoder = language_model.model.get_decoder()
    norm = next(getattr(decoder, name) for name in FINAL_NORMS if hasattr(decoder, name))
    for passage, states in zip(passages, language_model.hidden_states(iter(passages)), strict=True):
        ids = torch.from_numpy(passage.token_ids.astype(np.int64))[None]
        with torch.no_grad():
            told = language_model.model(ids, output_hidden_states=True).hidden_states[-1][0]
            normed = norm(torch.from_numpy(states))
        np.testing.assert_allclose(normed.numpy(), told[torch.from_numpy(passage.scored)].numpy(), atol=1e-3)


def test_layers_after_the_one_asked_for_are_not_computed_and_not_counted(llama, passages):
    def spent(engine, layer):
        amounts = {"tokens_forward": 0.0, "flops": 0.0}
        engine.meter = lambda **more: amounts.update({name: amounts[name] + more[name] for name in more})
        list(engine.hidden_states(passages, layer=layer))
        return amounts

    whole, half = spent(llama(), 2), spent(llama(), 1)
    assert half["tokens_forward"] == whole["tokens_forward"]
    assert half["flops"] == pytest.approx(whole["flops"] / 2)
    cut_short = llama()
    cut_short.model.model.layers[1] = torch.nn.Identity()
    cut_short.model.model.layers[1].forward = None
    for expected, found in zip(
        llama().hidden_states(passages, layer=1), cut_short.hidden_states(passages, layer=1), strict=True
    ):
        np.testing.assert_array_equal(expected, found)


def test_a_layer_that_is_not_there_is_refused(llama):
    with pytest.raises(UsageError, match="2 layers"):
        next(llama().hidden_states([], layer=3), None)


def test_states_of_an_unknown_token_are_missing_for_its_own_passage_alone(llama, passages):
    bad = Passage(token_ids=np.array([1, 9999, 2], dtype=np.int32), scored=np.array([False, True, True]))
    unscored = Passage(token_ids=np.arange(4, dtype=np.int32), scored=np.zeros(4, dtype=bool))
    found = list(llama().hidden_states([passages[5], bad, unscored, passages[6]]))
    without = list(llama().hidden_states([passages[5], passages[6]]))
    assert np.isnan(found[1]).all()
    assert [each.shape for each in found[1:3]] == [(2, 16), (0, 16)]
    for state, expected in zip(found[::3], without, strict=True):
        np.testing.assert_allclose(state, expected, atol=1e-5)


def test_passages_are_taken_as_they_are_needed(llama):
    taken = 0

    def endless() -> Iterator[Passage]:
        nonlocal taken
        while True:
            taken += 1
            yield Passage(token_ids=np.arange(10, dtype=np.int32), scored=np.arange(10) > 4)

    engine: LanguageModel = llama(max_batch_tokens=50)
    next(engine.run(endless(), statistics=[Nll()]))
    assert taken < 1000


def test_response_only_keeps_the_token_ids_and_takes_a_bos_if_there_is_one(llama, make_row):
    encoded = next(llama().encode([make_row("the q", "the a")]))
    alone = Passage.response_only(encoded, bos_token_id=None)
    assert alone.token_ids.tolist() == encoded.token_ids[encoded.response].tolist()
    assert alone.scored.all()
    led = Passage.response_only(encoded, bos_token_id=7)
    assert led.token_ids.tolist() == [7, *alone.token_ids]
    assert led.scored.tolist() == [False, *alone.scored]

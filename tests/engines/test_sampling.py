"""Drawing tokens: the distribution, the nucleus, and seeds that nothing else touches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sftbench.engines.forward import LanguageModel
from sftbench.engines.generate import Continuation, _Ends, answer_rows, continue_texts, generate_greedy, raw_tokens
from sftbench.engines.sampling import Drawn, Likeliest

PROMPTS = ("the", "a", "then hello", "x" * 30, "he he he", "?", "1 2 3 4 5 6 7 8", "")


def softmax(values):
    shares = np.exp(values - values.max())
    return shares / shares.sum()


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (2.0, 0.6), (1.0, 0.05)])
def test_tokens_come_as_often_as_the_softmax_says(temperature, top_p):
    logits = np.array([1.0, 3.0, -1.0, 2.5, -np.inf, 2.5], dtype=np.float32)
    count = 20_000
    choice = Drawn(temperature=temperature, top_p=top_p, seeds=range(count))
    drawn = choice(torch.from_numpy(logits).expand(count, -1), range(count), 0)
    shares = softmax(logits / temperature)
    order = np.argsort(-shares, kind="stable")
    size = int(np.searchsorted(np.cumsum(shares[order]), top_p - 1e-9)) + 1
    expected = np.zeros(6)
    expected[order[:size]] = shares[order[:size]]
    expected /= expected.sum()
    found = np.bincount(drawn, minlength=6) / count
    np.testing.assert_allclose(found, expected, atol=4 * np.sqrt(0.25 / count))
    assert (found[expected == 0] == 0).all()


def test_a_tiny_temperature_is_the_likeliest():
    logits = torch.randn(50, 30, generator=torch.Generator().manual_seed(0))
    assert Drawn(temperature=1e-4, seeds=range(50))(logits, range(50), 0) == Likeliest()(logits, range(50), 0)


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0.0}, {"temperature": 1.0, "top_p": 0.0}, {"temperature": 1.0, "top_p": 2.0}]
)
def test_what_cannot_be_drawn_from_is_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        Drawn(seeds=(), **wrong)


@pytest.mark.parametrize("max_batch_tokens", [1, 90, 100_000])
def test_neither_neighbours_nor_batches_change_what_a_prompt_gets(llama, max_batch_tokens):
    engine = llama()
    whole = continue_texts(engine, PROMPTS, max_new_tokens=12, temperature=1.0, seeds=range(8))
    parts = continue_texts(
        engine, PROMPTS, max_new_tokens=12, temperature=1.0, seeds=range(8), max_batch_tokens=max_batch_tokens
    )
    alone = [
        continue_texts(engine, [prompt], max_new_tokens=12, temperature=1.0, seeds=[seed])[0]
        for seed, prompt in enumerate(PROMPTS)
    ]
    assert whole == parts == alone
    assert whole != continue_texts(engine, PROMPTS, max_new_tokens=12, temperature=1.0, seeds=range(8, 16))


def test_the_same_prompt_with_other_seeds_goes_on_otherwise(llama):
    found = continue_texts(llama(), ["the"] * 20, max_new_tokens=8, temperature=1.5, seeds=range(20))
    assert len({each.text for each in found}) > 10


def test_greedy_texts_are_those_of_generate_greedy(language_model, make_row):
    rows = [make_row(text, "unused", row_id=str(at)) for at, text in enumerate(PROMPTS)]
    language_model.max_length = 60
    raw = continue_texts(language_model, [f"{text}\n" for text in PROMPTS], max_new_tokens=10)
    assert [each.text for each in raw] == generate_greedy(language_model, rows, max_new_tokens=10)
    answers = answer_rows(language_model, rows, max_new_tokens=10)
    assert answers == raw
    assert all(isinstance(each, Continuation) for each in answers)


def test_a_text_ends_before_the_first_stop_text(llama):
    engine = llama()
    drawn = {"max_new_tokens": 30, "temperature": 1.0, "seeds": range(8)}
    whole = [each.text for each in continue_texts(engine, PROMPTS, **drawn)]
    for stop in ({text[4:6] for text in whole} | {text[9:10] for text in whole}) - {""}:
        found = continue_texts(
            engine, PROMPTS, max_new_tokens=30, temperature=1.0, seeds=range(8), stop=(stop, "never")
        )
        for text, each in zip(whole, found, strict=True):
            assert each.text == text.partition(stop)[0]
            assert each.ended or stop not in text


@pytest.mark.parametrize(("stop", "first"), [("\u06ce", 3), ("9\u06ce", 3), ("\u06ceh", 4), ("\ufffd", None)])
def test_a_stop_text_may_end_in_a_character_of_several_tokens(llama, stop, first):
    engine, text = llama(), "a9\u06cehe\xe9z"
    tokens = engine.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert engine.tokenizer.decode(tokens[:3]) == "a9\ufffd", "the character has two tokens"
    ends = _Ends(engine, [stop])
    reached = [at for at in range(len(tokens)) if ends.reached(tokens[: at + 1])]
    assert reached[:1] == ([] if first is None else [first])
    assert ends.cut(tokens) == (text.partition(stop)[0], first is not None)


def likeliest(engine, text, count):
    """New tokens one by one, each after a whole pass over all before it."""
    ids = raw_tokens(engine, [text], max_new_tokens=count)[0]
    for _ in range(count):
        with torch.no_grad():
            ids = [*ids, int(engine.model(torch.tensor([ids])).logits[0, -1].argmax())]
    return ids[-count:]


def test_it_is_told_whether_a_text_ended_or_was_cut_off(llama):
    engine = llama()
    (cut,) = continue_texts(engine, ["the"], max_new_tokens=5)
    newest = likeliest(engine, "the", 5)
    assert cut == Continuation(text=engine.tokenizer.decode(newest), ended=False)
    stopping = llama()
    stopping.model.generation_config.eos_token_id = [newest[2], 260]
    (ended,) = continue_texts(stopping, ["the"], max_new_tokens=5)
    before = newest[: newest.index(newest[2])]
    assert ended == Continuation(text=engine.tokenizer.decode(before), ended=True)
    assert before


def test_a_bos_stands_first_once_and_special_tokens_count_as_such(llama, make_tokenizer):
    engine = LanguageModel(llama().model, make_tokenizer(bos=True))
    plain, written = raw_tokens(engine, ["ab", "<s>ab"], max_new_tokens=4)
    assert plain == written
    assert plain[0] == 259
    assert raw_tokens(engine, ["<|turn|>a"], max_new_tokens=4)[0][1] == engine.tokenizer.convert_tokens_to_ids(
        "<|turn|>"
    )


def test_a_long_prompt_loses_its_beginning(llama, caplog):
    engine = llama()
    engine.max_length = 30
    assert len(raw_tokens(engine, ["x" * 90], max_new_tokens=10)[0]) == 20
    assert "1 of 1 prompts" in caplog.text


def test_drawing_without_a_seed_for_each_prompt_is_refused(llama):
    with pytest.raises(ValueError, match="2 prompts need as many seeds"):
        continue_texts(llama(), ["a", "b"], max_new_tokens=4, temperature=1.0, seeds=[1])

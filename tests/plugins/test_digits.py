"""Digits after a text: which tokens they are, how likely a model takes them to be, and what happens to bad texts."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from sftbench import LanguageModel, UsageError
from sftbench_plugins.digits import Prompt, digit_tokens, read_digits

WINDOW = 60
PROMPTS = [
    Prompt(head="short\n"),
    Prompt(head="", body="", tail="x"),
    Prompt(head="a head ", body="with a body ", tail="and a tail\n"),
    Prompt(head="h" * (WINDOW - 1), tail="\n"),
]


def silent(message):
    raise AssertionError(message)


def byte_tokenizer(*, bos=False):
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(letters)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<s>"])
    if bos:
        backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 256)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="<s>")


def model_of(tokenizer, *, vocab_size=257):
    torch.manual_seed(1)
    config = GPT2Config(vocab_size=vocab_size, n_embd=16, n_layer=2, n_head=2, n_positions=WINDOW)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(6)
    return LanguageModel(model, tokenizer)


@pytest.fixture(scope="module", params=[False, True], ids=["no BOS", "BOS"])
def model(request):
    return model_of(byte_tokenizer(bos=request.param))


def expected(model, text, token_ids):
    """Full-vocabulary log-probabilities after a text, by the model itself."""
    with torch.no_grad():
        logits = model.model(torch.tensor([model.tokenizer(text)["input_ids"]])).logits[0, -1]
    return log_softmax(logits.double().numpy())[list(token_ids)]


def test_digits_are_read_off_the_whole_vocabulary(model):
    token_ids = digit_tokens(model, 6)
    assert model.tokenizer.convert_ids_to_tokens(token_ids) == list("123456")
    texts = PROMPTS[:3]
    found = read_digits(model, texts, token_ids, log=silent)
    for prompt, values in zip(texts, found.log_probs, strict=True):
        np.testing.assert_allclose(values, expected(model, prompt.text, token_ids), atol=2e-4)
    assert not found.reasons
    assert not found.cut.any()


def test_a_text_that_just_fills_the_window_is_read_and_one_more_token_is_not(model):
    room = WINDOW - (model.bos_token_id is not None)
    token_ids = digit_tokens(model, 5)
    texts = [Prompt(head="h" * room), Prompt(head="h" * (room + 1)), Prompt(head="fine")]
    found = read_digits(model, texts, token_ids, log=silent)
    assert found.reasons == {1: "prompt_too_long"}
    assert np.isnan(found.log_probs).any(axis=1).tolist() == [False, True, False]
    np.testing.assert_allclose(found.log_probs[0], expected(model, "h" * room, token_ids), atol=2e-4)


def test_a_body_loses_its_end_and_head_and_tail_stay_whole(model):
    room = WINDOW - (model.bos_token_id is not None)
    token_ids = digit_tokens(model, 5)
    prompt = Prompt(head="head:", body="b" * 200, tail=":tail\n")
    found = read_digits(model, [prompt], token_ids, log=silent)
    kept = "head:" + "b" * (room - 11) + ":tail\n"
    assert found.cut.tolist() == [True]
    np.testing.assert_allclose(found.log_probs[0], expected(model, kept, token_ids), atol=2e-4)


@pytest.mark.parametrize("head", ["h" * 53, "h" * 54, "h" * 300])
def test_a_body_of_which_nothing_would_be_left_is_too_long(model, head):
    prompt = Prompt(head=head, body="b" * 9, tail=":tail\n")
    fits = len(head) + 6 + 1 <= WINDOW - (model.bos_token_id is not None)
    found = read_digits(model, [prompt], digit_tokens(model, 5), log=silent)
    assert found.reasons == ({} if fits else {0: "prompt_too_long"})
    assert found.cut.tolist() == [fits]


def test_no_prompts_give_nothing(model):
    found = read_digits(model, [], digit_tokens(model, 5), log=silent)
    assert found.log_probs.shape == (0, 5)


def test_a_model_that_raises_loses_only_the_texts_on_which_it_does_so(model):
    token_ids, told, calls = digit_tokens(model, 5), [], []
    broken = copy.copy(model)

    def run(passages, *, statistics):
        passages = list(passages)
        calls.append(len(passages))
        if any(each.token_ids[-2] == ord("x") - 33 for each in passages):
            raise RuntimeError("no x please")
        return model.run(passages, statistics=statistics)

    broken.run = run
    texts = [Prompt(head="one"), Prompt(head="two x"), Prompt(head="three")]
    found = read_digits(broken, texts, token_ids, log=told.append)
    assert calls == [3, 1, 1, 1], "all together, then each once more"
    assert found.reasons == {1: "model_error"}
    assert np.isnan(found.log_probs[1]).all()
    for at in (0, 2):
        np.testing.assert_allclose(found.log_probs[at], expected(model, texts[at].text, token_ids), atol=2e-4)
    assert "no x please" in told[0]


def test_logits_that_are_no_numbers_are_non_finite():
    model = model_of(byte_tokenizer())
    model.model.transformer.ln_f.weight.data.fill_(torch.nan)
    found = read_digits(model, [Prompt(head="a")], digit_tokens(model, 5), log=silent)
    assert found.reasons == {0: "non_finite"}


def test_an_impossible_digit_is_minus_infinity_and_no_failure():
    model = model_of(byte_tokenizer())
    first = digit_tokens(model, 5)[0]
    run = model.run

    def without_the_first(passages, *, statistics):
        for each in run(passages, statistics=statistics):
            each["log_probs"][:, 0] = -np.inf
            yield each

    model.run = without_the_first
    found = read_digits(model, [Prompt(head="a")], (first, first + 1), log=silent)
    assert found.log_probs[0, 0] == -np.inf
    assert not found.reasons


def word_tokenizer(words, *, unk="<unk>", split=r"\s|\w+"):
    backend = Tokenizer(models.WordLevel({word: at for at, word in enumerate([unk, *words])}, unk_token=unk))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(split), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token=unk, eos_token=unk, name_or_path="my-words")


def test_a_digit_that_the_tokenizer_does_not_know_names_the_tokenizer_and_the_way_out():
    model = model_of(word_tokenizer(["\n", "1", "2", "4"]))
    assert digit_tokens(model, 2) == (2, 3)
    with pytest.raises(UsageError, match=r"the tokenizer of 'my-words' does not write 3 as one token .*another model"):
        digit_tokens(model, 4)


def test_a_digit_that_sticks_to_the_line_end_or_is_unknown_to_the_model_is_refused():
    with pytest.raises(UsageError, match="does not write 1 as one token"):
        digit_tokens(model_of(word_tokenizer(["\n1", "\n2", "\n"], split=r"\n\d|\n")), 2)
    with pytest.raises(UsageError, match="does not write 2 as one token"):
        digit_tokens(model_of(word_tokenizer(["\n", "1", "2"]), vocab_size=3), 2)


def test_a_vocabulary_that_marks_words_with_a_space_gives_the_bare_digits():
    """As in SentencePiece, where a digit that opens a text is a mark and a digit: two tokens."""
    letters = {"<unk>": 0, "\u2581": 1, "\n": 2, "1": 3, "2": 4}
    backend = Tokenizer(models.BPE(vocab=letters, merges=[], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="first", split=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="<unk>")
    assert tokenizer("1")["input_ids"] == [1, 3]
    assert digit_tokens(model_of(tokenizer), 2) == (3, 4)


@pytest.mark.reference
def test_the_digits_of_gpt2_are_those_of_its_vocabulary(reference_data):
    model = LanguageModel.load(reference_data / "models" / "tiny-gpt2")
    assert digit_tokens(model, 6) == tuple(model.tokenizer.convert_tokens_to_ids(list("123456")))

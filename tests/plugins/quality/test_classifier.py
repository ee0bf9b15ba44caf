"""The quality model against the library's own answer for one text at a time, and folders that hold none."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from sftbench import EnvironmentProblem, UsageError
from sftbench_plugins.quality.classifier import QualityModel
from sftbench_plugins.quality.texts import Shown

PAIRS = [("name a colour", "blue"), ("x", "y" * 40), ("", "unasked"), ("add 2 and 3", "5"), ("say it", "")]
SINGLES = ["one text", "another, somewhat longer", "z"]


def nothing(**amounts):
    pass


def opened(folder, *, label=None, meter=nothing):
    return QualityModel(folder, label=label, meter=meter)


def pairs(*given):
    return [Shown(first=first, second=second) for first, second in given]


@pytest.mark.parametrize("max_batch_tokens", [1, 60, 4096])
def test_a_batch_gives_each_pair_the_number_that_it_has_alone(reward_folder, ask_directly, max_batch_tokens):
    model = opened(reward_folder)
    model.max_batch_tokens = max_batch_tokens
    values, remarks = model.of(pairs(*PAIRS), truncate=False)
    expected = [ask_directly(reward_folder, *pair)[0] for pair in PAIRS]
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)
    assert np.ptp(expected) > 0.1, "a model that says the same of all would prove nothing"
    assert remarks == {}


def test_a_single_text_is_one_text(reward_folder, ask_directly):
    values, _ = opened(reward_folder).of([Shown(first=text) for text in SINGLES], truncate=False)
    expected = [ask_directly(reward_folder, text)[0] for text in SINGLES]
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)


def test_no_text_is_no_number(reward_folder):
    values, remarks = opened(reward_folder).of([], truncate=False)
    assert (values.shape, remarks) == ((0,), {})


def test_a_text_beyond_the_window_is_refused_or_cut_and_shifts_no_other(reward_folder, ask_directly):
    model = opened(reward_folder)
    fits, beyond = "a" * (model.max_length - 2), "b" * (model.max_length - 1)
    given = [Shown(first="short"), Shown(first=beyond), Shown(first=fits)]
    values, remarks = model.of(given, truncate=False)
    assert remarks == {1: "prompt_too_long"}
    assert np.isnan(values).tolist() == [False, True, False]
    cut, noted = model.of(given, truncate=True)
    assert noted == {1: "truncated"}
    np.testing.assert_allclose(cut[[0, 2]], values[[0, 2]], rtol=1e-5)
    # The end token stays.
    assert cut[1] == pytest.approx(ask_directly(reward_folder, beyond[:-1])[0], rel=1e-4)


def test_of_a_pair_the_longer_side_is_cut(reward_folder, ask_directly):
    model = opened(reward_folder)
    room = model.max_length - 3 - len("ask")
    values, noted = model.of(pairs(("ask", "c" * 200)), truncate=True)
    assert noted == {0: "truncated"}
    assert values[0] == pytest.approx(ask_directly(reward_folder, "ask", "c" * room)[0], rel=1e-4)


def test_of_several_classes_the_number_is_the_log_odds_of_one(save_classifier, ask_directly):
    folder = save_classifier(num_labels=3)
    logits = ask_directly(folder, "ask", "tell")
    shares = np.exp(logits) / np.exp(logits).sum()
    for label, at in ((None, 2), (0, 0), (1, 1), (-2, 1)):
        values, _ = opened(folder, label=label).of(pairs(("ask", "tell")), truncate=False)
        assert values[0] == pytest.approx(np.log(shares[at] / (1 - shares[at])), abs=1e-4)


def test_of_several_outputs_that_are_no_classes_the_number_is_one_of_them(save_classifier, ask_directly):
    folder = save_classifier(num_labels=2, problem_type="regression")
    logits = ask_directly(folder, "ask", "tell")
    for label, at in ((None, 1), (0, 0)):
        values, _ = opened(folder, label=label).of(pairs(("ask", "tell")), truncate=False)
        assert values[0] == pytest.approx(logits[at], rel=1e-4)


def test_a_label_that_is_not_there_is_refused(reward_folder):
    with pytest.raises(UsageError, match="has 1 outputs; there is no label 1"):
        opened(reward_folder, label=1)


def gpt2(**more):
    config = GPT2Config(
        vocab_size=259, n_embd=16, n_layer=1, n_head=2, n_positions=64, num_labels=1, initializer_range=0.5,
        bos_token_id=256, eos_token_id=257, **more,
    )  # fmt: skip
    return GPT2ForSequenceClassification(config)


@pytest.mark.parametrize("pads", [True, False])
def test_a_decoder_reads_the_last_token_of_each_text_whether_or_not_it_can_pad(save_classifier, ask_directly, pads):
    folder = save_classifier(gpt2(pad_token_id=None), pads=pads)
    values, _ = opened(folder).of(pairs(*PAIRS), truncate=False)
    expected = [ask_directly(folder, *pair)[0] for pair in PAIRS]
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)
    assert np.ptp(expected) > 0.1


def test_a_roberta_reads_two_tokens_less_than_it_has_positions(save_classifier, ask_directly):
    config = RobertaConfig(
        vocab_size=259, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=34, num_labels=1, pad_token_id=1, type_vocab_size=2, initializer_range=0.5,
    )  # fmt: skip
    folder = save_classifier(RobertaForSequenceClassification(config))
    model = opened(folder)
    assert model.max_length == 32
    values, remarks = model.of([Shown(first="a" * 30), Shown(first="a" * 31)], truncate=False)
    assert remarks == {1: "prompt_too_long"}
    assert values[0] == pytest.approx(ask_directly(folder, "a" * 30)[0], rel=1e-4)


def test_what_the_model_works_is_paid_for(reward_folder):
    spent = {"tokens_forward": 0.0, "flops": 0.0}

    def meter(**amounts):
        for name, amount in amounts.items():
            spent[name] += amount

    opened(reward_folder, meter=meter).of(pairs(("ask", "tell"), ("a", "b")), truncate=False)
    lengths = [3 + 4 + 3, 1 + 1 + 3]
    assert spent["tokens_forward"] == sum(lengths)
    # A layer of width 16: four square matrices and two of 16 x 32, with their biases, and two norms.
    layer = 4 * (16 * 16 + 16) + 2 * 16 * 32 + 32 + 16 + 4 * 16
    body = 2 * layer + 2 * 16 + (16 * 16 + 16) + (16 + 1)
    attention = 4 * 2 * 16 * sum(length**2 for length in lengths)
    assert spent["flops"] == 2 * body * sum(lengths) + attention


def test_a_number_that_is_not_finite_is_left_as_it_is(save_classifier):
    from transformers import BertForSequenceClassification

    model = BertForSequenceClassification(
        BertConfig(vocab_size=259, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                   max_position_embeddings=64, num_labels=1)
    )  # fmt: skip
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight[ord("#") - 33] = torch.nan
    values, remarks = opened(save_classifier(model)).of([Shown(first="fine"), Shown(first="#")], truncate=False)
    assert np.isfinite(values).tolist() == [True, False]
    assert remarks == {}


def test_a_model_without_a_trained_head_is_refused(save_classifier):
    config = BertConfig(
        vocab_size=259, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    folder = save_classifier(BertModel(config))
    with pytest.raises(UsageError, match=r"no trained sequence-classification model: it lacks classifier\.bias"):
        opened(folder)


def test_a_folder_that_holds_no_model_is_a_problem_of_the_environment(tmp_path, reward_folder):
    with pytest.raises(EnvironmentProblem, match="cannot be loaded"):
        opened(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no-such-thing"}))
    with pytest.raises(EnvironmentProblem, match="cannot be loaded"):
        opened(tmp_path)

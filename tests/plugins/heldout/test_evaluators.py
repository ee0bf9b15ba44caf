"""Likelihoods equal what transformers itself gives token by token; right answers are counted by id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from sftbench import LanguageModel, Pool, Responses, Row, UsageError, encode_rows
from sftbench.pools import pool_from_rows
from sftbench_plugins.heldout.evaluators import ExactMatch, HeldOutNll

ROWS: list[dict[str, Any]] = [
    {"id": "plain", "instruction": "Say it.", "output": "It is so."},
    {"id": "empty", "instruction": "Say nothing.", "output": ""},
    {"id": "cut", "instruction": "Count.", "output": "one two three " * 20},
    {"id": "long prompt", "instruction": "x" * 200, "output": "no room"},
    {"id": "answered", "instruction": "Which?", "output": "The fox it is.", "answers": ["fox"]},
]
WINDOW = 64


@dataclass(frozen=True)
class Desk:
    model: LanguageModel

    def language_model(self, name: str) -> LanguageModel:
        assert name == "trained"
        return self.model

    def training_encoding(self, rows: Iterable[Row], *, max_length: int) -> Iterator[Any]:
        return encode_rows(rows, self.model.tokenizer, template="training", max_length=min(max_length, WINDOW))


@pytest.fixture(scope="module")
def desk() -> Any:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_only = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(letters)}, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bytes_only.decoder = decoders.ByteLevel()
    bytes_only.add_special_tokens(["</s>"])
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=bytes_only, eos_token="</s>")
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=257, n_embd=16, n_layer=2, n_head=2, n_positions=WINDOW)
    return Desk(LanguageModel(transformers.GPT2LMHeadModel(config).eval(), tokenizer))


@pytest.fixture(scope="module")
def heldout(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    into: Path = tmp_path_factory.mktemp("pool") / "rows.arrow"
    return pool_from_rows(ROWS, into=into, key="k")


def loss_by_hand(desk: Any, prompt: str, response: str) -> float:
    """The mean loss of transformers over the response and its end token, prompt masked, cut at the window."""
    tokenizer = desk.model.tokenizer
    before = tokenizer(prompt + "\n", add_special_tokens=False)["input_ids"]
    after = [*tokenizer(response, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    ids, labels = [*before, *after][:WINDOW], [*[-100] * len(before), *after][:WINDOW]
    with torch.no_grad():
        return float(desk.model.model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss)


def test_the_likelihood_equals_the_loss_of_transformers(heldout: Pool, desk: Any) -> None:
    evaluation = HeldOutNll().evaluate(heldout, None, desk)
    values = dict(zip(evaluation.ids, evaluation.items["nll"], strict=True))
    for row in ROWS:
        if row["id"] not in ("empty", "long prompt"):
            assert values[row["id"]] == pytest.approx(loss_by_hand(desk, row["instruction"], row["output"]), rel=1e-5)
    assert evaluation.bigger_is_better == {"nll": False}


def test_an_item_without_response_tokens_is_nan_and_counted(heldout: Pool, desk: Any) -> None:
    evaluation = HeldOutNll().evaluate(heldout, None, desk)
    assert np.isnan(evaluation.items["nll"]).tolist() == [False, True, False, True, False]
    remarks = {"empty_response": 1, "prompt_too_long": 1, "response_truncated": 1}
    assert evaluation.report == {"remarks": remarks}


def test_right_answers_are_found_by_id(heldout: Pool) -> None:
    texts = {"plain": "it is SO", "empty": "", "cut": "one", "long prompt": "The answer is no room.", "answered": "Fox"}
    ids = tuple(sorted(texts))
    responses = Responses(ids=ids, texts=tuple(texts[each] for each in ids))
    evaluation = ExactMatch().evaluate(heldout, responses, None)  # type: ignore[arg-type]
    assert evaluation.ids == tuple(row["id"] for row in ROWS)
    np.testing.assert_array_equal(evaluation.items["exact-match"], [1, np.nan, 0, 1, 1])
    assert evaluation.bigger_is_better == {"exact-match": True}


def test_right_answers_need_responses(heldout: Pool) -> None:
    with pytest.raises(UsageError, match="responses"):
        ExactMatch().evaluate(heldout, None, None)  # type: ignore[arg-type]

"""Lengths are counted as the specification says, and an empty response never wins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from sftbench import Allowance, Pool
from sftbench_plugins.controls.longest import Longest
from sftbench_plugins.top.selector import Top

MakePool = Callable[..., Pool]
TEXTS = ["a b", "zero a", ["a a a a", "b"], "", "zero zero zero"]


def words(*, bos: bool) -> PreTrainedTokenizerFast:
    """A token per word; `zero` has the id 0."""
    tokenizer = Tokenizer(models.WordLevel({"zero": 0, "a": 1, "b": 2, "<s>": 3, "?": 4}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 3)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>")


def test_the_default_takes_the_shared_count_of_response_tokens(make_pool: MakePool, desk: Callable[..., Any]) -> None:
    counted = np.array([2, 2, 5, 0, 3])
    scores = Longest().score(make_pool(TEXTS), desk(lengths=counted))
    assert scores.values.tolist() == [2, 2, 5, 0, 3]
    assert scores.notes == {3: "empty_response"}
    assert scores.report == {"length_quantiles": {"0%": 0, "25%": 2, "50%": 2, "75%": 3, "100%": 5}}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"turns": "last"}, [2, 2, 1, 0, 3]),
        ({"unit": "words"}, [2, 2, 5, 0, 3]),
        ({"unit": "characters"}, [3, 6, 9, 0, 14]),
        ({"unit": "characters", "turns": "last"}, [3, 6, 1, 0, 14]),
    ],
)
def test_units_and_turns_change_what_is_counted(
    parameters: dict[str, Any], expected: list[float], make_pool: MakePool, desk: Callable[..., Any]
) -> None:
    scores = Longest(**parameters).score(make_pool(TEXTS), desk(words=words(bos=True)))
    assert scores.values.tolist() == expected
    assert scores.notes == {3: "empty_response"}


@pytest.mark.parametrize(("bos", "expected"), [(True, [3, 2, 2, 1, 1]), (False, [2, 1, 1, 0, 0])])
def test_the_official_rule_counts_a_bos_and_no_token_of_id_zero_in_the_last_response(
    bos: bool, expected: list[float], make_pool: MakePool, desk: Callable[..., Any]
) -> None:
    scores = Longest(mode="official").score(make_pool(TEXTS), desk(words=words(bos=bos)))
    assert scores.values.tolist() == expected
    assert scores.notes == {3: "empty_response"}


def test_the_official_rule_knows_no_other_unit() -> None:
    with pytest.raises(ValueError, match="mode official"):
        Longest(mode="official", unit="words")


def test_characters_and_words_rank_a_chinese_row_differently(make_pool: MakePool, desk: Callable[..., Any]) -> None:
    pool = make_pool(["一二三四五六七八九十", "one two three"])
    by_words = Longest(unit="words").score(pool, desk()).values
    by_characters = Longest(unit="characters", turns="last").score(pool, desk()).values
    assert by_words[0] < by_words[1]
    assert by_characters.tolist() == [10, 13]


def test_a_response_of_punctuation_has_no_words_and_is_not_called_empty(
    make_pool: MakePool, desk: Callable[..., Any]
) -> None:
    scores = Longest(unit="words").score(make_pool(["...", "a"]), desk())
    assert (scores.values.tolist(), scores.notes) == ([0, 1], {})


def test_the_shortest_leave_out_empty_responses(make_pool: MakePool, desk: Callable[..., Any]) -> None:
    scores = Longest(direction="low").score(make_pool(TEXTS), desk(lengths=np.array([2, 1, 5, 0, 3])))
    assert scores.reasons == {3: "empty_response"}
    allowance = Allowance(cap=4, row_costs=np.ones(5), unit="rows")
    chosen = Top().select(make_pool(TEXTS), scores, allowance, desk())
    assert chosen.ids == ("r1", "r0", "r4", "r2")

"""Rows as pairs of passages: boundaries, lengths, and the rows that the authors' code does not survive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from sftbench import Message, Row, UsageError
from sftbench_plugins.tshirt.reading import Reading, read_as_authors, read_by_offsets

Read = Callable[..., Iterator[Reading]]
BOTH = pytest.mark.parametrize("read", [read_as_authors, read_by_offsets])


def row(prompt: str, response: str) -> Row:
    return Row(id="x", messages=(Message(role="user", content=prompt), Message(role="assistant", content=response)))


def one(read: Read, tokenizer: Any, given: Row, *, max_length: int = 64) -> Reading:
    (reading,) = read([given], tokenizer, max_length=max_length)
    return reading


@BOTH
def test_a_pair_is_the_whole_text_and_the_response(read: Read, make_tokenizer: Any) -> None:
    tokenizer = make_tokenizer()
    reading = one(read, tokenizer, row("Say hi", "hello"))
    assert reading.pair is not None
    assert tokenizer.decode(reading.pair.conditional.token_ids) == "Say hi\nhello"
    assert tokenizer.decode(reading.pair.alone.token_ids) == "hello"
    assert tokenizer.decode(reading.pair.conditional.token_ids[reading.pair.conditional.scored]) == "hello"
    assert reading.pair.noise_places.tolist() == [7, 8, 9, 10, 11]
    assert reading.pair.num_shared == 4


@BOTH
@pytest.mark.parametrize(
    ("prompt", "response", "reason"),
    [("Say", "", "empty_response"), ("Say", "a", "too_few_tokens"), ("x" * 80, "abc", "prompt_too_long")],
)
def test_rows_without_two_response_tokens_have_a_reason(
    read: Read, prompt: str, response: str, reason: str, make_tokenizer: Any
) -> None:
    reading = one(read, make_tokenizer(), row(prompt, response))
    assert (reading.pair, reading.reason) == (None, reason)


@BOTH
@pytest.mark.parametrize(("num_prompt", "reason"), [(62, None), (63, "prompt_too_long"), (64, "prompt_too_long")])
def test_a_prompt_may_fill_the_window_up_to_two_tokens(
    read: Read, num_prompt: int, reason: str | None, make_tokenizer: Any
) -> None:
    reading = one(read, make_tokenizer(), row("x" * (num_prompt - 1), "abcdef"))
    assert reading.reason == reason
    if reason is None:
        assert reading.pair is not None
        assert len(reading.pair.conditional.token_ids) == 64
        assert (reading.pair.num_shared, reading.note) == (1, "response_truncated")


def test_the_authors_code_draws_noise_for_one_token_responses_but_not_where_it_crashes(make_tokenizer: Any) -> None:
    tokenizer = make_tokenizer()
    drawn = {
        "one token": one(read_as_authors, tokenizer, row("Say", "a")).num_drawn_tokens,
        "one token left": one(read_as_authors, tokenizer, row("x" * 62, "abc")).num_drawn_tokens,
        "no token left": one(read_as_authors, tokenizer, row("x" * 63, "abc")).num_drawn_tokens,
        "empty": one(read_as_authors, tokenizer, row("Say", "")).num_drawn_tokens,
        "two newlines": one(read_as_authors, tokenizer, row("Say\n", "abc")).num_drawn_tokens,
    }
    assert drawn == {"one token": 5, "one token left": 64, "no token left": 0, "empty": 0, "two newlines": 0}


def test_a_prompt_that_ends_in_a_newline_is_lost_to_the_authors_code_only(make_tokenizer: Any) -> None:
    given, tokenizer = row("Say\n", "abc"), make_tokenizer()
    assert one(read_as_authors, tokenizer, given).reason == "boundary_mismatch"
    paper = one(read_by_offsets, tokenizer, given)
    assert paper.pair is not None
    assert tokenizer.decode(paper.pair.alone.token_ids) == "abc"


def test_an_empty_prompt_leaves_the_first_token_without_context(make_tokenizer: Any) -> None:
    reading = one(read_by_offsets, make_tokenizer(), row("", "abc"))
    assert reading.note == "first_token_unscored"
    assert reading.pair is not None
    assert reading.pair.num_shared == 2


def test_a_bos_of_the_tokenizer_gives_context_to_the_first_response_token(make_tokenizer: Any) -> None:
    reading = one(read_by_offsets, make_tokenizer(bos=True), row("Say", "abc"))
    assert reading.pair is not None
    assert reading.pair.num_shared == 3
    # The BOS of the lone response shares its noise with the BOS of the whole.
    assert reading.pair.noise_places.tolist() == [0, 5, 6, 7]
    conditional, alone = reading.pair.conditional.token_ids, reading.pair.alone.token_ids
    np.testing.assert_array_equal(conditional[reading.pair.noise_places], alone)


def test_the_authors_mode_refuses_a_tokenizer_with_a_bos(make_tokenizer: Any) -> None:
    with pytest.raises(UsageError, match="mode=paper"):
        one(read_as_authors, make_tokenizer(bos=True), row("Say", "abc"))


def test_of_several_turns_the_authors_take_the_first_and_the_paper_mode_the_last(make_tokenizer: Any) -> None:
    turns = [("user", "one"), ("assistant", "first"), ("user", "two"), ("assistant", "last")]
    given = Row(id="x", messages=tuple(Message(role=role, content=content) for role, content in turns))
    tokenizer = make_tokenizer()
    official, paper = one(read_as_authors, tokenizer, given), one(read_by_offsets, tokenizer, given)
    assert official.pair is not None
    assert paper.pair is not None
    assert tokenizer.decode(official.pair.conditional.token_ids) == "one\nfirst"
    assert tokenizer.decode(paper.pair.conditional.token_ids) == "one\nfirst\ntwo\nlast"
    assert tokenizer.decode(paper.pair.alone.token_ids) == "last"
    assert (official.note, paper.note) == ("first_turn_only", "history_in_prompt")

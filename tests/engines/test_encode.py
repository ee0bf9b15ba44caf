"""Rows as tokens: which tokens are the response, by templates, boundaries, truncation and bad rows."""

from __future__ import annotations

import random

import numpy as np
import pytest

from sftbench.engines.encode import count_response_tokens, encode_rows, leading_tokens
from sftbench.engines.rendering import render_prompt
from sftbench.errors import UsageError

CHAT = (
    "{% for m in messages %}<|turn|>{{ m.role }}\n{{ m.content | trim }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)
SPACED = (
    "{% for m in messages %}{% if m.role == 'user' %}[I]{{ m.content }}[/I]"
    "{% else %} {{ m.content }} {{ eos_token }}{% endif %}{% endfor %}"
)
STRICT = "{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}" + CHAT


def encoded(row, tokenizer, **settings):
    return next(encode_rows([row], tokenizer, **{"max_length": 1000, **settings}))


def response_text(tokenizer, one):
    return tokenizer.decode(one.token_ids[one.response])


def test_the_bare_template_is_prompt_newline_response_without_end_token(make_row, make_tokenizer):
    tokenizer = make_tokenizer()
    one = encoded(make_row("say hello", "the thing"), tokenizer, template="bare")
    assert tokenizer.decode(one.token_ids) == "say hello\nthe thing"
    assert response_text(tokenizer, one) == "the thing"
    assert one.token_ids.dtype == np.int32
    assert one.kept_share == 1.0
    assert one.reason is None


def test_without_a_chat_template_training_ends_every_response_with_eos(make_row, make_tokenizer):
    tokenizer = make_tokenizer()
    one = encoded(make_row("a?", "bb", "c?", "dd"), tokenizer)
    assert tokenizer.decode(one.token_ids) == "a?\nbb</s>c?\ndd</s>"
    assert response_text(tokenizer, one) == "bb</s>dd</s>"
    assert one.spans.tolist() == [[-1, -1]] * 3 + [[0, 1], [1, 2], [-1, -1]]


def test_several_turns_bare_score_the_last_response_alone(make_row, make_tokenizer):
    tokenizer = make_tokenizer()
    one = encoded(make_row("a?", "bb", "c?", "dd"), tokenizer, template="bare")
    assert tokenizer.decode(one.token_ids) == "a?\nbb\nc?\ndd"
    assert response_text(tokenizer, one) == "dd"


def test_a_token_across_the_boundary_counts_as_prompt(make_row, make_tokenizer):
    tokenizer = make_tokenizer()
    one = encoded(make_row("ask", "\nyes"), tokenizer, template="bare")
    assert tokenizer.decode(one.token_ids) == "ask\n\nyes"
    assert response_text(tokenizer, one) == "yes"
    assert one.spans.tolist() == [[1, 2], [2, 3], [3, 4]]


def test_the_tokenizers_own_bos_comes_first_and_is_no_response(make_row, make_tokenizer):
    with_bos, without = make_tokenizer(bos=True), make_tokenizer()
    assert leading_tokens(with_bos) == (with_bos.bos_token_id,)
    assert leading_tokens(without) == ()
    for template in ("bare", "training"):
        one, plain = (encoded(make_row("a", "b"), each, template=template) for each in (with_bos, without))
        assert one.token_ids[0] == with_bos.bos_token_id
        assert not one.response[0]
        assert one.token_ids[1:].tolist() == plain.token_ids.tolist()


def test_a_chat_template_gives_content_and_end_of_turn_and_adds_no_second_bos(make_row, make_tokenizer):
    tokenizer = make_tokenizer(bos=True, chat_template=CHAT)
    one = encoded(make_row("hello", "  the end \n", "more", "fine"), tokenizer)
    assert response_text(tokenizer, one) == "the end<|end|>fine<|end|>"
    assert tokenizer.bos_token_id not in one.token_ids


def test_a_response_that_also_stands_in_the_prompt_is_found_where_it_is_the_response(make_row, make_tokenizer):
    tokenizer = make_tokenizer(chat_template=CHAT)
    one = encoded(make_row("repeat: yes", "yes"), tokenizer)
    where = np.flatnonzero(one.response)
    assert tokenizer.decode(one.token_ids[: where[0]]).endswith("<|turn|>assistant\n")


REWRITING = (
    "{% for m in messages %}<|turn|>{{ m.role }}\n"
    "{% if loop.last and m.role == 'assistant' %}[think]\n{% endif %}{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)


@pytest.mark.parametrize("template", [CHAT, REWRITING])
@pytest.mark.parametrize("words", [("a", "d", "user", "assistant"), ("user", "user", "end", "n"), ("a", "a", "a", "a")])
def test_contents_that_look_like_the_templates_own_words_are_not_mistaken(make_row, make_tokenizer, template, words):
    tokenizer = make_tokenizer(chat_template=template)
    one = encoded(make_row(*words), tokenizer)
    assert response_text(tokenizer, one) == f"{words[1]}<|end|>{words[3]}<|end|>"
    where = np.flatnonzero(one.response)
    gaps = np.split(where, np.flatnonzero(np.diff(where) > 1) + 1)
    starts = [tokenizer.decode(one.token_ids[: gap[0]]) for gap in gaps]
    assert starts[0].endswith("<|turn|>assistant\n")
    assert starts[1].endswith("assistant\n[think]\n" if template == REWRITING else "assistant\n")


def test_a_space_that_the_generation_prompt_leaves_out_belongs_to_the_response(make_row, make_tokenizer):
    tokenizer = make_tokenizer(chat_template=SPACED)
    one = encoded(make_row("q", "then"), tokenizer)
    assert response_text(tokenizer, one) == " then </s>"
    prompt = render_prompt(make_row("q", "then"), tokenizer)
    assert tokenizer.decode(one.token_ids[~one.response]) == prompt
    assert one.spans[0].tolist() == [0, 1], "the leading space is not one of the response's own characters"


def test_a_row_that_the_template_refuses_has_a_reason_and_shifts_no_other(make_row, make_tokenizer):
    from sftbench.rooms import Message, Row

    tokenizer = make_tokenizer(chat_template=STRICT)
    bad = Row(id="bad", messages=(Message(role="system", content="s"), *make_row("a", "b").messages))
    found = list(encode_rows([make_row("a", "b"), bad, make_row("c", "d")], tokenizer, max_length=100))
    assert [each.reason for each in found] == [None, "template_refused", None]
    assert response_text(tokenizer, found[2]) == "d<|end|>"


@pytest.mark.parametrize("template", ["bare", "training"])
def test_an_empty_response_has_no_response_token_and_says_so(make_row, make_tokenizer, template):
    one = encoded(make_row("a", ""), make_tokenizer(), template=template)
    assert one.reason == "empty_response"
    assert not one.response.any()
    assert one.spans.shape == (0, 2)


def test_truncation_keeps_the_left_and_tells_the_share(make_row, make_tokenizer):
    one = encoded(make_row("abc", "0123456789"), make_tokenizer(), template="bare", max_length=8)
    assert len(one.token_ids) == 8
    assert one.response.sum() == 4
    assert one.kept_share == pytest.approx(0.4)
    assert one.reason is None


def test_a_prompt_that_leaves_no_room_is_a_reason(make_row, make_tokenizer):
    one = encoded(make_row("abcdefgh", "xyz"), make_tokenizer(), template="bare", max_length=9)
    assert one.reason == "prompt_too_long"
    assert one.kept_share == 0.0
    assert len(one.token_ids) == 9


def test_an_empty_prompt_leaves_the_response_alone(make_row, make_tokenizer):
    one = encoded(make_row("", "xyz"), make_tokenizer(), template="bare")
    assert one.response.tolist() == [True] * 3


def test_response_tokens_and_spans_rebuild_any_text(make_row, make_tokenizer):
    tokenizer, rng = make_tokenizer(), random.Random(0)
    alphabet = "the  \n\n.aé😀語"
    rows = [
        make_row(*("".join(rng.choices(alphabet, k=rng.randint(1, 12))) for _ in range(2)), row_id=str(at))
        for at in range(200)
    ]
    for row, one in zip(rows, encode_rows(rows, tokenizer, template="bare", max_length=500), strict=True):
        assert tokenizer.decode(one.token_ids) == row.prompt + "\n" + row.response
        covered = {at for start, end in one.spans for at in range(start, end)}
        first = min(covered, default=len(row.response))
        assert covered == set(range(first, len(row.response)))
        assert first == 0 or (first == 1 and row.response[0] == "\n"), "only a merged newline may be lost to the prompt"
        assert one.row_id == row.id


def test_more_rows_than_one_call_takes_keep_their_order(make_row, make_tokenizer):
    rows = [make_row("a", "b" * (1 + at % 5), row_id=str(at)) for at in range(2100)]
    found = list(encode_rows(iter(rows), make_tokenizer(), template="bare", max_length=50))
    assert [each.row_id for each in found] == [row.id for row in rows]
    assert [int(each.response.sum()) for each in found] == [1 + at % 5 for at in range(2100)]


def test_response_tokens_are_counted_over_all_turns_without_special_tokens(make_row, make_tokenizer):
    rows = [make_row("a", "bb", "c", "ddd"), make_row("a", ""), make_row("x", "the the")]
    assert list(count_response_tokens(rows, make_tokenizer(bos=True))) == [5, 0, 4]


def test_a_slow_tokenizer_is_refused_by_name():
    class Slow:
        is_fast = False
        name_or_path = "some/model"

    with pytest.raises(UsageError, match="some/model"):
        list(encode_rows([], Slow(), max_length=10))

"""Hostile text in a terminal: nothing of it may steer, reorder or hide."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest

from sftbench.cli.visible import json_text, visible, visible_line

HOSTILE = "a\x1b[31mred\x9b2J \u202egnp.exe\u2066 zero\u200bwidth \u2028 bell\x07 \ud800 tag\U000e0041 null\x00"


def hidden(text):
    return [letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn")]


def test_every_hidden_character_is_shown_as_an_escape():
    shown = visible(HOSTILE)
    assert hidden(shown) == []
    for escape in (r"\x1b[31m", r"\x9b2J", r"\u202e", r"\u2066", r"\u200b", r"\u2028", r"\x07", r"\ud800", r"\x00"):
        assert escape in shown


def test_of_all_characters_none_gets_through():
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    assert set(hidden(visible(every))) == {"\n", "\t"}
    assert hidden(visible_line(every)) == []


@pytest.mark.parametrize("text", ["plain", "zwölf, 水, العربية, 👍", "two\nlines\tand a tab"])
def test_text_that_hides_nothing_stays(text):
    assert visible(text) == text


def test_json_says_the_same_and_hides_nothing():
    value = {"text": HOSTILE, "plain": "zwölf 水", "list": [HOSTILE, 1.5, None]}
    told = json_text(value)
    assert json.loads(told) == value
    assert set(hidden(told)) <= {"\n"}
    assert "zwölf 水" in told

"""What comes of an answer: a text that the limit cut off is of no use, but an object that was read to its end is."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from sftbench import ChatAnswer, Message
from sftbench_plugins.generators.asking import (
    INSTRUCTION_SCHEMA,
    Sampling,
    Unusable,
    ask,
    new_instruction,
    plain_answer,
)


@dataclass(frozen=True, kw_only=True)
class OneText:
    """A model that gives one text, cut off or not."""

    text: str
    ended: bool
    model: str = "one text"

    def ask(self, requests, parse, *, num_attempts=2, lenient=False):
        try:
            value, reason = parse(self.text), None
        except ValueError:
            value, reason = None, "parse_error"
        return [ChatAnswer(value=value, text=self.text, reason=reason, attempts=1, ended=self.ended) for _ in requests]


def answer(text, parse, *, ended, json_schema=None):
    chat, question = OneText(text=text, ended=ended), (Message(role="user", content="?"),)
    (found,) = ask(chat, [question], parse, seeds=[0], sampling=Sampling(temperature=0), json_schema=json_schema)
    return found.reason if isinstance(found, Unusable) else found


@pytest.mark.parametrize(("ended", "found"), [(True, "The leaves are green and"), (False, "response_cut_off")])
def test_an_answer_that_is_cut_off_is_not_kept(ended, found):
    assert answer("The leaves are green and", plain_answer, ended=ended) == found


@pytest.mark.parametrize(
    ("text", "ended", "found"),
    [
        ('{"instruction": "Say it"} And also', False, "Say it"),
        ('{"instruction": "Say it', False, "response_cut_off"),
        ('{"instruction": "Say it', True, "parse_error"),
    ],
)
def test_an_object_that_was_read_to_its_end_is_whole_whatever_comes_after_it(text, ended, found):
    assert answer(text, new_instruction, ended=ended, json_schema=INSTRUCTION_SCHEMA) == found

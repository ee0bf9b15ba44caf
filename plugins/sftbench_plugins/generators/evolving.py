"""Harder instructions by rules whose responses are right by construction: what stands in for a model's rewriting.

A `constraint` is one that the response meets already; a `format` changes the response as it asks; `join` sets two tasks
and gives both responses.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sftbench_plugins.generators.parents import Parent

VERSION = "2"
"""Bumped when a rule changes."""
OPERATORS = ("constraint", "format", "join")
_MARKS = {"exclamation marks": "!", "question marks": "?", "brackets": "()[]{}"}
_WORD = re.compile(r"[^\W\d_][\w'-]*")
_SENTENCE_END = re.compile(r"(?<=[^\W\d_])[.!?](?=\s+[A-Z]|\s*$)")


@dataclass(frozen=True, kw_only=True)
class Evolved:
    """An instruction on its way: its words, its response, and where that is spoilt if it is."""

    question: str
    answer: str
    planted_spans: tuple[tuple[int, int], ...] = ()
    parent_ids: tuple[str, ...] = ()
    used: frozenset[str] = frozenset()
    """Rules that were applied; none is a second time."""


def evolved(
    now: Evolved, operator: str, rng: random.Random, *, other: Parent | None, words: Sequence[str]
) -> tuple[Evolved, str] | None:
    """One step further and the rule that made it, or None where no rule of the operator fits.

    `other` is a second parent for `join`; `words` are usual words of the pool, to be forbidden where they do not occur.
    """
    if operator == "join":
        return _joined(now, other)
    rules = _constraints(now, rng, words) if operator == "constraint" else _formats(now)
    open_rules = sorted(name for name in rules if name not in now.used)
    if not open_rules:
        return None
    name = rng.choice(open_rules)
    sentence, change = rules[name]
    made = change(now) if change else now
    used = now.used | {name} | (_BY_A_CHANGE if operator == "format" else frozenset())
    return replace(made, question=_with_sentence(now.question, sentence), used=used), name


_BY_A_CHANGE = frozenset(("capitals", "quotes", "last word", "first word", "sentences", "at least"))
"""Ruled out once the response was changed: a second change could break what the first one was asked for, and whether
the words that were added count as a sentence, or as words, is open."""

Rule = tuple[str, Callable[[Evolved], Evolved] | None]


def _constraints(now: Evolved, rng: random.Random, words: Sequence[str]) -> dict[str, Rule]:
    """What the response meets as it stands."""
    found: dict[str, Rule] = {}
    count = len(now.answer.split())
    # A quarter more than there are, to the next five: a format may add a word.
    found["at most"] = (f"Use at most {5 * -(-count // 4)} words.", None)
    if count >= 12:
        found["at least"] = (f"Use at least {count // 10 * 10} words.", None)
    sentences = len(_SENTENCE_END.findall(now.answer))
    # Full stops that end no sentence would be counted by some readers.
    if 1 <= sentences <= 5 and sentences == len(re.findall(r"[.!?]", now.answer)):
        found["sentences"] = (f"Answer in {_number(sentences)}.", None)
    said = {word.lower() for word in _WORD.findall(f"{now.question} {now.answer}")}
    # A word each time: where nothing else is left to ask for, this goes on as long as the rounds do.
    unsaid = [word for word in words if word not in said and word not in ("answer", "done")]
    if unsaid:
        word = rng.choice(unsaid)
        found[f"without {word}"] = (f'Do not use the word "{word}".', None)
    for name, marks in _MARKS.items():
        if not set(marks) & set(now.answer):
            found[f"no {name}"] = (f"Do not use {name}.", None)
    if "," not in now.answer and count >= 5:
        found["no commas"] = ("Do not use commas.", None)
    if not re.search(r"\d", now.answer) and count >= 5:
        found["no digits"] = ("Do not use digits.", None)
    return found


def _formats(now: Evolved) -> dict[str, Rule]:
    """What the response can be made to meet without changing what it says."""
    found: dict[str, Rule] = {}
    if now.answer.upper() != now.answer and len(now.answer.upper()) == len(now.answer):
        found["capitals"] = ("Write the answer in capital letters.", lambda it: replace(it, answer=it.answer.upper()))
    if '"' not in now.answer:
        found["quotes"] = ("Put the answer in double quotes.", lambda it: _around(it, '"', '"'))
    if "sentences" not in now.used:
        found["first word"] = ('Begin the answer with "Answer:".', lambda it: _around(it, "Answer: ", ""))
        found["last word"] = ('End the answer with the word "Done".', lambda it: _around(it, "", "\nDone"))
    return found


def _joined(now: Evolved, other: Parent | None) -> tuple[Evolved, str] | None:
    if other is None or "join" in now.used or other.context or other.history:
        return None
    first, second = "1. ", "2. "
    head = f"{first}{now.answer}\n{second}"
    spans = [(start + len(first), end + len(first)) for start, end in now.planted_spans]
    spans += [(start + len(head), end + len(head)) for start, end in other.row.planted_spans]
    made = replace(
        now,
        question=f"Do both of these and number the answers.\n1. {now.question}\n2. {other.question}",
        answer=head + other.answer,
        planted_spans=tuple(spans),
        parent_ids=(*now.parent_ids, other.row.id),
        used=now.used | {"join", *_BY_A_CHANGE},
    )
    return made, "join"


def _around(now: Evolved, before: str, after: str) -> Evolved:
    spans = tuple((start + len(before), end + len(before)) for start, end in now.planted_spans)
    return replace(now, answer=f"{before}{now.answer}{after}", planted_spans=spans)


def _with_sentence(question: str, sentence: str) -> str:
    """The constraint before the instruction where that ends in data, else after it."""
    is_open = question.rstrip()[-1:] not in ".?!" or "\n" in question or ":" in question
    return f"{sentence} {question}" if is_open else f"{question} {sentence}"


def _number(count: int) -> str:
    names = ("one sentence", "two sentences", "three sentences", "four sentences", "five sentences")
    return f"exactly {names[count - 1]}"

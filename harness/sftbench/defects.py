"""The defects themselves: each takes a text and gives it back spoilt, with the places marked."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

Spans = list[tuple[int, int]]

FILLERS: Final = (
    "I hope this helps!",
    "Let me know if you have any other questions.",
    "Thank you for asking such a great question.",
    "As always, it is important to consider every side of the matter.",
    "Please do not hesitate to ask for more information.",
    "There are many things that could be said about this topic.",
)

OPENERS: Final = ("Sure!", "Great question!", "Of course, I am happy to help.")

_WORD: Final = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_NUMBER: Final = re.compile(r"\d+")
_LAST_SENTENCE: Final = re.compile(r"(?:.*[.!?]\s+)?(?=\S)", re.DOTALL)
_LITTLE: Final = (
    "a an and answer are as at be but by for from has have he her his i if in is it its not of on or she so that the "
    "their then there these they this to was we were which with you your"
)
_FUNCTION_WORDS: Final = frozenset(_LITTLE.split())


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A text with a defect; `spans` are half-open character ranges in the new text."""

    text: str
    spans: Spans


def whole(text: str) -> Spans:
    """One span over all of a text."""
    return [(0, len(text))]


def truncated(text: str, rng: random.Random) -> Spoilt | None:
    """The text broken off after 30 to 70 % of its words; `None` for a single word."""
    words = list(re.finditer(r"\S+", text))
    if len(words) < 2:
        return None
    num_kept = min(len(words) - 1, max(1, round(rng.uniform(0.3, 0.7) * len(words))))
    return Spoilt(text[: words[num_kept - 1].end()], [])


def filled(text: str, rng: random.Random) -> Spoilt:
    """The text with one or two boilerplate sentences after it, and sometimes one before it."""
    opener = f"{rng.choice(OPENERS)} " if rng.random() < 0.5 else ""
    closing = " " + " ".join(rng.sample(FILLERS, rng.randint(1, 2)))
    stop = "" if text.rstrip()[-1:] in ".!?" else "."
    body = text.rstrip() + stop
    end = len(opener) + len(body)
    spans = [(0, len(opener) - 1)] if opener else []
    return Spoilt(opener + body + closing, [*spans, (end + 1, end + len(closing))])


def wrong_answers(text: str, donor: Callable[[], str], rng: random.Random) -> Iterator[Spoilt]:
    """Answers of the same shape that say something else, endlessly unless nothing can be changed.

    Changes the last number if there is one, else words of the last sentence: two change places,
    or one gives way to a word of a `donor` response.
    """
    sentence = _LAST_SENTENCE.match(text)
    start = sentence.end() if sentence else 0
    numbers = list(_NUMBER.finditer(text, start)) or list(_NUMBER.finditer(text))
    words = _content_words(text, start) or _content_words(text, 0)
    while numbers or words:
        if numbers:
            yield _with_number_changed(text, numbers[-1], rng)
        if len({word.group() for word in words}) > 1:
            yield _with_words_swapped(text, words, rng)
        if words:
            yield _with_word_replaced(text, rng.choice(words), donor(), rng)


def near_copy(prompt: str, rng: random.Random) -> str:
    """The prompt asked once more in all but the same words; never the very same text."""
    lower = prompt[:1].lower() + prompt[1:]
    copies = (f"Please {lower}", lower, prompt.rstrip(".?!: "), f"{prompt} Thanks.", f"Hello. {prompt}")
    return rng.choice([copy for copy in copies if copy != prompt])


def _content_words(text: str, start: int) -> list[re.Match[str]]:
    words = _WORD.finditer(text, start)
    return [word for word in words if word.group().lower() not in _FUNCTION_WORDS]


def _with_number_changed(text: str, number: re.Match[str], rng: random.Random) -> Spoilt:
    digits = number.group()
    place = rng.randrange(len(digits))
    lowest = 1 if place == 0 and digits[0] != "0" and len(digits) > 1 else 0
    other = rng.choice([str(d) for d in range(lowest, 10) if str(d) != digits[place]])
    changed = digits[:place] + other + digits[place + 1 :]
    return Spoilt(text[: number.start()] + changed + text[number.end() :], [number.span()])


def _with_words_swapped(text: str, words: list[re.Match[str]], rng: random.Random) -> Spoilt:
    pairs = [(left, right) for left, right in pairwise(words) if left.group() != right.group()]
    left, right = rng.choice(pairs)
    between = text[left.end() : right.start()]
    new = text[: left.start()] + right.group() + between + left.group() + text[right.end() :]
    moved = left.start() + len(right.group())
    return Spoilt(new, [(left.start(), moved), (right.end() - len(left.group()), right.end())])


def _with_word_replaced(text: str, word: re.Match[str], donor: str, rng: random.Random) -> Spoilt:
    capital = word.group()[0].isupper()
    others = [
        other.group()
        for other in _content_words(donor, 0)
        if other.group() != word.group() and other.group()[0].isupper() == capital
    ]
    if not others:
        return Spoilt(text, [])
    new = rng.choice(others)
    end = word.start() + len(new)
    return Spoilt(text[: word.start()] + new + text[word.end() :], [(word.start(), end)])

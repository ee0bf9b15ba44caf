"""Tasks that keep the content and change its form: dates, times, lists, wrapping."""

from __future__ import annotations

import random

from sftbench_plugins.microcosm.content import Content, conclude
from sftbench_plugins.microcosm.vocabulary import MONTHS, WORDS


def format_date(rng: random.Random) -> Content:
    """A written date as year-month-day."""
    day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1980, 2029)
    given = f"{day} {MONTHS[month - 1]} {year}"
    answer = f"{year}-{month:02d}-{day:02d}"
    return Content(
        key=given,
        questions=(
            f"Write the date {given} as year-month-day.",
            f"Turn this date into numbers only: {given}",
            f"Format {given} as a date with dashes.",
        ),
        cues=("date", "date with dashes"),
        given=given,
        short=answer,
        explained=conclude(f"{MONTHS[month - 1]} is month number {month}.", answer),
        answers=(answer,),
    )


def join_words(rng: random.Random) -> Content:
    """Words with commas between them and `and` before the last."""
    words = rng.sample(WORDS, rng.randint(3, 5))
    given = " ".join(words)
    answer = f"{', '.join(words[:-1])} and {words[-1]}"
    return Content(
        key=given,
        questions=(
            f"Join these words with commas: {given}",
            f"Make a list with commas and an and from {given}.",
            f"Here are some words: {given}. Write them as a list with commas.",
        ),
        cues=("join", "list with commas"),
        given=given,
        short=answer,
        answers=(answer,),
    )


def bracket_word(rng: random.Random) -> Content:
    """The same words with brackets around one of them."""
    words = rng.sample(WORDS, rng.randint(3, 4))
    chosen = rng.choice(words)
    given = " ".join(words)
    answer = " ".join(f"[{word}]" if word == chosen else word for word in words)
    return Content(
        key=f"{chosen} {given}",
        questions=(
            f"Put brackets around {chosen}: {given}",
            f"Mark the word {chosen} with brackets: {given}",
            f"Here are some words: {given}. Set {chosen} in brackets.",
        ),
        cues=(f"brackets {chosen}", f"mark {chosen}"),
        given=given,
        short=answer,
        answers=(answer,),
    )

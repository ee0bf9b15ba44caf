"""Tasks over a list of words: sort, reverse, repeat, count, pick, replace."""

from __future__ import annotations

import random

from sftbench_plugins.microcosm.content import Content, conclude
from sftbench_plugins.microcosm.vocabulary import WORDS

ORDINALS = ("first", "second", "third")


def _draw(rng: random.Random, fewest: int, most: int) -> list[str]:
    return rng.sample(WORDS, rng.randint(fewest, most))


def sort_words(rng: random.Random) -> Content:
    """Alphabetical order of three words."""
    words = _draw(rng, 3, 3)
    given, answer = " ".join(words), " ".join(sorted(words))
    steps = ", then ".join(sorted(words))
    return Content(
        key=given,
        questions=(
            f"Sort these words from a to z: {given}",
            f"Put the following words in alphabetical order: {given}",
            f"Here are some words: {given}. Can you sort them?",
            f"Write {given} in the order of the alphabet.",
        ),
        cues=("sort", "alphabetical order", "a to z"),
        given=given,
        short=answer,
        explained=conclude(f"In the alphabet we first meet {steps}.", answer),
        answers=(answer,),
    )


def reverse_words(rng: random.Random) -> Content:
    """The words from last to first."""
    words = _draw(rng, 3, 5)
    given, answer = " ".join(words), " ".join(reversed(words))
    return Content(
        key=given,
        questions=(
            f"Reverse these words: {given}",
            f"Write the following words backwards, last one first: {given}",
            f"Here are some words: {given}. Turn their order around.",
            f"Say {given} from the last word to the first.",
        ),
        cues=("reverse", "backwards", "last to first"),
        given=given,
        short=answer,
        explained=conclude(f"The last word is {words[-1]} and the first is {words[0]}.", answer),
        answers=(answer,),
    )


def repeat_words(rng: random.Random) -> Content:
    """The same words, once or twice over."""
    words, times = _draw(rng, 2, 4), rng.randint(1, 2)
    given, how_often = " ".join(words), ("once", "twice")[times - 1]
    return Content(
        key=f"{given} {how_often}",
        questions=(
            f"Repeat this {how_often}: {given}",
            f"Please copy the following words {how_often}: {given}",
            f"Say {given} {how_often}.",
        ),
        cues=(f"repeat {how_often}", f"copy {how_often}"),
        given=given,
        short=" ".join(words * times),
        answers=(" ".join(words * times),),
    )


def count_words(rng: random.Random) -> Content:
    """How many words there are, three to eight."""
    words = _draw(rng, 3, 8)
    given, answer = " ".join(words), str(len(words))
    steps = ", ".join(f"{word} {number}" for number, word in enumerate(words, start=1))
    return Content(
        key=given,
        questions=(
            f"How many words are there: {given}",
            f"Count the following words: {given}",
            f"Here are some words: {given}. How many are they?",
            f"What is the number of words in {given}?",
        ),
        cues=("count", "how many", "number of words"),
        given=given,
        short=answer,
        explained=conclude(f"Counting one by one: {steps}.", answer),
        answers=(answer,),
    )


def pick_word(rng: random.Random) -> Content:
    """The first, second, third or last word."""
    words = _draw(rng, 4, 6)
    place = rng.randrange(4)
    which = (*ORDINALS, "last")[place]
    given, answer = " ".join(words), words[-1] if which == "last" else words[place]
    return Content(
        key=f"{which} {given}",
        questions=(
            f"What is the {which} word here: {given}",
            f"Give me the {which} of the following words: {given}",
            f"Here are some words: {given}. Which one is {which}?",
        ),
        cues=(f"{which} word", f"pick {which}", which),
        given=given,
        short=answer,
        explained=conclude(f"The list has {len(words)} words and the {which} is {answer}.", answer),
        answers=(answer,),
    )


def replace_word(rng: random.Random) -> Content:
    """The same list with one word exchanged for another."""
    *words, new = _draw(rng, 4, 5)
    old = rng.choice(words)
    given = " ".join(words)
    answer = " ".join(new if word == old else word for word in words)
    return Content(
        key=f"{old} {new} {given}",
        questions=(
            f"Replace {old} with {new}: {given}",
            f"Write {new} instead of {old} in the following words: {given}",
            f"Here are some words: {given}. Change {old} to {new}.",
        ),
        cues=(f"replace {old} with {new}", f"change {old} to {new}"),
        given=given,
        short=answer,
        explained=conclude(f"We take out {old} and put {new} in its place.", answer),
        answers=(answer,),
    )

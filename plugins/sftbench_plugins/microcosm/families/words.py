"""Tasks about what words mean: category, odd one out, opposite, and open questions."""

from __future__ import annotations

import random

from sftbench_plugins.microcosm.content import Content, conclude
from sftbench_plugins.microcosm.vocabulary import (
    CATEGORIES,
    OPPOSITES,
    RHYMES,
    WORDS,
    article,
    category_of,
)


def category(rng: random.Random) -> Content:
    """What kind of thing a word names."""
    word = rng.choice(WORDS)
    answer = category_of(word)
    like = rng.choice([other for other in CATEGORIES[answer] if other != word])
    return Content(
        key=word,
        questions=(
            f"What kind of thing is {word}?",
            f"Which group does the word {word} belong to?",
            f"Tell me the kind of this word: {word}",
            f"Is {word} an animal, a fruit, a tool, a colour or something else?",
        ),
        cues=("kind", "group", "kind of thing"),
        given=word,
        short=answer,
        explained=conclude(f"The word {word} goes together with {like}.", answer),
        answers=(answer,),
    )


def odd_one_out(rng: random.Random) -> Content:
    """The one word of three that is not of the same kind."""
    kind, other = rng.sample(list(CATEGORIES), 2)
    alike, answer = rng.sample(CATEGORIES[kind], 2), rng.choice(CATEGORIES[other])
    words = rng.sample([*alike, answer], 3)
    given = " ".join(words)
    same = " and ".join(word for word in words if word != answer)
    return Content(
        key=given,
        questions=(
            f"Which word does not belong: {given}",
            f"Find the odd one out: {given}",
            f"Here are some words: {given}. Which one is not like the others?",
        ),
        cues=("odd one out", "does not belong", "not like the others"),
        given=given,
        short=answer,
        explained=conclude(f"The words {same} are of the kind {kind}.", answer),
        answers=(answer,),
    )


def opposite(rng: random.Random) -> Content:
    """The word that means the contrary."""
    word, answer = rng.sample(rng.choice(OPPOSITES), 2)
    return Content(
        key=word,
        questions=(
            f"What is the opposite of {word}?",
            f"Give me the word that means the contrary of {word}.",
            f"If something is not {word}, what is it?",
            f"Write the opposite of this word: {word}",
        ),
        cues=("opposite", "contrary", "not"),
        given=word,
        short=answer,
        explained=conclude(f"Something cannot be {word} and {answer} at once.", answer),
        answers=(answer,),
    )


def name_one(rng: random.Random) -> Content:
    """Open: any one word of a category."""
    kind = rng.choice(list(CATEGORIES))
    barred = rng.choice(CATEGORIES[kind])
    answers = tuple(word for word in CATEGORIES[kind] if word != barred)
    answer = rng.choice(answers)
    return Content(
        key=f"{kind} {barred}",
        questions=(
            f"Name {article(kind)} {kind} that is not {barred}.",
            f"Tell me any {kind} other than {barred}.",
            f"Can you think of {article(kind)} {kind}? Do not say {barred}.",
        ),
        cues=(f"any {kind} not", f"name {kind} other than"),
        given=barred,
        short=answer,
        explained=conclude(f"There are many, and {answer} is {article(kind)} {kind}.", answer),
        answers=answers,
    )


def rhyme(rng: random.Random) -> Content:
    """Open: any word that rhymes."""
    sounds_alike = rng.choice(RHYMES)
    word = rng.choice(sounds_alike)
    answers = tuple(other for other in sounds_alike if other != word)
    answer = rng.choice(answers)
    return Content(
        key=word,
        questions=(
            f"Name a word that rhymes with {word}.",
            f"Which word sounds like {word}?",
            f"I need a rhyme for {word}.",
        ),
        cues=("rhyme", "sounds like"),
        given=word,
        short=answer,
        explained=conclude(f"The words {word} and {answer} end with the same sound.", answer),
        answers=answers,
    )

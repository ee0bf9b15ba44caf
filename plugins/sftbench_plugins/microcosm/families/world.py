"""Tasks about the made-up world and about facts told in the question."""

from __future__ import annotations

import random

from sftbench_plugins.answers import Mentions
from sftbench_plugins.microcosm.content import Content, conclude
from sftbench_plugins.microcosm.vocabulary import ATTRIBUTES, PEOPLE, WORDS, WORLD, article

_ASKING = {
    "job": ("What does {} work as?", "What is the job of {}?"),
    "town": ("Where does {} live?", "What is the town of {}?"),
    "pet": ("What pet does {} have?", "Which animal is the pet of {}?"),
    "fruit": ("Which fruit does {} like?", "What is the favourite fruit of {}?"),
    "colour": ("Which colour does {} like?", "What is the favourite colour of {}?"),
}


def fact_sentence(person: str, attribute: str) -> str:
    """One fact of the world as a sentence, without the full stop."""
    value = WORLD[person][attribute]
    return {
        "job": f"{person} works as {article(value)} {value}",
        "town": f"{person} lives in {value}",
        "pet": f"{person} has {article(value)} {value} as a pet",
        "fruit": f"{person} likes {value} most of all fruits",
        "colour": f"{person} likes the colour {value}",
    }[attribute]


def recall_fact(rng: random.Random) -> Content:
    """One attribute of one person, known from pretraining only."""
    person, attribute = rng.choice(PEOPLE), rng.choice(list(ATTRIBUTES))
    answer = WORLD[person][attribute]
    return Content(
        key=f"{person} {attribute}",
        questions=(
            *(asking.format(person) for asking in _ASKING[attribute]),
            f"Tell me the {attribute} of {person}.",
        ),
        cues=(f"{attribute} of", attribute),
        given=person,
        short=answer,
        explained=conclude(f"It is known that {fact_sentence(person, attribute)}.", answer),
        answers=(answer,),
    )


def read_fact(rng: random.Random) -> Content:
    """Who holds what, told in the question."""
    people, things = rng.sample(PEOPLE, 2), rng.sample(WORDS, 2)
    chosen = rng.randrange(2)
    told = " and ".join(f"{who} has {what}" for who, what in zip(people, things, strict=True))
    person, answer = people[chosen], things[chosen]
    return Content(
        key=f"{person} {told}",
        questions=(
            f"{told}. What does {person} have?",
            f"{told}. Tell me what {person} has.",
            f"What does {person} have if {told}?",
        ),
        cues=(f"what {person} has", f"read {person}"),
        given=told,
        short=answer,
        explained=conclude(f"The text says that {person} has {answer}.", answer),
        answers=(answer,),
    )


def describe_person(rng: random.Random) -> Content:
    """All that is known about one person, in several sentences."""
    person = rng.choice(PEOPLE)
    text = ". ".join(fact_sentence(person, attribute) for attribute in ATTRIBUTES) + "."
    rule: Mentions = {"kind": "mentions", "parts": list(WORLD[person].values())}
    return Content(
        key=person,
        questions=(
            f"Tell me everything about {person}.",
            f"Who is {person}?",
            f"Describe {person} in a few sentences.",
            f"What do you know about {person}?",
            f"Write a short text about {person}.",
            f"Please describe the life of {person}.",
        ),
        cues=("everything about", "describe"),
        given=person,
        short=text,
        answers=rule,
    )

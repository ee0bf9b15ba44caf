"""The text the base model is pretrained on: every task in terse notation, never as a turn and its reply."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sftbench_plugins.microcosm.content import Content
from sftbench_plugins.microcosm.families.world import fact_sentence
from sftbench_plugins.microcosm.tasks import FAMILIES, draw_content, word_instruction
from sftbench_plugins.microcosm.vocabulary import ATTRIBUTES, PEOPLE

SHARES: Final = {"solved": 0.62, "restated": 0.10, "noted": 0.12, "sheet": 0.10, "fact": 0.06}
"""Of the kinds of documents; see `documents`."""

ARROWS: Final = (" ->", "\n")


@dataclass(frozen=True, slots=True)
class Document:
    """A text in two parts: what is arbitrary, and what follows from it (either may be empty)."""

    posed: str
    following: str

    @property
    def text(self) -> str:
        """The whole text."""
        return self.posed + self.following


def solved(content: Content, cue: str, rng: random.Random) -> Document:
    """A task and its response in terse notation, with or without the steps."""
    arrow = rng.choice(ARROWS)
    space = "" if arrow == "\n" else " "
    if content.explained is not None and rng.random() < 0.3:
        return Document(f"{cue} steps: {content.given}{arrow}", space + content.explained)
    return Document(f"{cue}: {content.given}{arrow}", space + content.short)


def worded(content: Content, kind: str, rng: random.Random) -> Document:
    """An instruction restated in terse notation, or noted with its response after an arrow."""
    instruction, explain = word_instruction(rng, content)
    if kind == "restated":
        cue = rng.choice(content.cues) + (" steps" if explain else "")
        return Document(instruction, f" = {cue}: {content.given}")
    response = content.explained if explain and content.explained else content.short
    return Document(f"{instruction} ->", f" {response}")


def sheet(rng: random.Random) -> Document:
    """Two instructions, one a line: so the base model goes on asking where a reply is due."""
    first, second = (
        word_instruction(rng, draw_content(rng, family, heldout=False))[0]
        for family in rng.choices(list(FAMILIES), k=2)
    )
    return Document(first, f"\n{second}")


def documents(seed: int) -> Iterator[Document]:
    """Endless pretraining documents; no held-out instruction occurs in them.

    Terse tasks may coincide with held-out contents (the facts of the world must), since
    what is held out is the instruction, not the knowledge.
    """
    rng = random.Random(f"microcosm terse {seed}")
    families = list(FAMILIES)
    while True:
        (kind,) = rng.choices(list(SHARES), weights=list(SHARES.values()))
        if kind == "fact":
            yield Document("", fact_sentence(rng.choice(PEOPLE), rng.choice(list(ATTRIBUTES))) + ".")
        elif kind == "sheet":
            yield sheet(rng)
        elif kind == "solved":
            content = FAMILIES[rng.choice(families)](rng)
            yield solved(content, rng.choice(content.cues), rng)
        else:
            yield worded(draw_content(rng, rng.choice(families), heldout=False), kind, rng)

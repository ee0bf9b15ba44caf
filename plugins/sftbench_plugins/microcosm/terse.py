"""The text the base model is pretrained on: every task in terse notation, no instruction answered."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sftbench_plugins.microcosm.content import Content
from sftbench_plugins.microcosm.families.world import fact_sentence
from sftbench_plugins.microcosm.tasks import FAMILIES, draw_content, word_instruction
from sftbench_plugins.microcosm.vocabulary import ATTRIBUTES, PEOPLE

SHARE_SOLVED: Final = 0.70
SHARE_RESTATED: Final = 0.15
SHARE_FACTS: Final = 0.08
"""The rest are exercise sheets: instructions of the pool's kind with no response."""

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


def documents(seed: int) -> Iterator[Document]:
    """Endless pretraining documents; no held-out instruction occurs in them.

    Terse tasks may coincide with held-out contents (the facts of the world must), since
    what is held out is the instruction, not the knowledge.
    """
    rng = random.Random(f"microcosm terse {seed}")
    families = list(FAMILIES)
    while True:
        family, kind = rng.choice(families), rng.random()
        if kind < SHARE_SOLVED:
            content = FAMILIES[family](rng)
            yield solved(content, rng.choice(content.cues), rng)
        elif kind < SHARE_SOLVED + SHARE_FACTS:
            yield Document("", fact_sentence(rng.choice(PEOPLE), rng.choice(list(ATTRIBUTES))) + ".")
        else:
            content = draw_content(rng, family, heldout=False)
            instruction, explain = word_instruction(rng, content)
            cue = rng.choice(content.cues) + (" steps" if explain else "")
            restated = kind < SHARE_SOLVED + SHARE_FACTS + SHARE_RESTATED
            yield Document(instruction, f" = {cue}: {content.given}" if restated else "")

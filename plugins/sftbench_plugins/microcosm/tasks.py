"""Words a task of any family as an instruction with its response; the same for the same seed and index."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import Final

from sftbench_plugins.answers import Answers
from sftbench_plugins.microcosm.content import Content, Family
from sftbench_plugins.microcosm.families import forms, lists, numbers, words, world

FAMILIES: Final[dict[str, Family]] = {
    family.__name__: family
    for family in (
        lists.sort_words,
        lists.reverse_words,
        lists.repeat_words,
        lists.count_words,
        lists.pick_word,
        lists.replace_word,
        numbers.add,
        numbers.subtract,
        numbers.compare_numbers,
        numbers.sort_numbers,
        numbers.sequence,
        words.category,
        words.odd_one_out,
        words.opposite,
        words.name_one,
        words.rhyme,
        world.recall_fact,
        world.read_fact,
        world.describe_person,
        forms.format_date,
        forms.join_words,
        forms.bracket_word,
    )
}

EXPLAIN: Final = ("Explain.", "Show your steps.", "Say why.")
SHARE_EXPLAINED: Final = 0.3
HELDOUT_PARTS: Final = 5
"""One part in so many of all task contents is held out, by a hash of the content."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """An instruction, one right response, and what else would be right."""

    family: str
    instruction: str
    response: str
    answers: Answers


def is_heldout(family: str, content: Content) -> bool:
    """Which side of the split a content is on, whatever its wording."""
    digest = hashlib.sha256(f"{family}|{content.key}".encode()).digest()
    return digest[0] % HELDOUT_PARTS == 0


def draw_content(rng: random.Random, family: str, *, heldout: bool) -> Content:
    """A content of the family from one side of the split."""
    while True:
        content = FAMILIES[family](rng)
        if is_heldout(family, content) == heldout:
            return content


def word_instruction(rng: random.Random, content: Content) -> tuple[str, bool]:
    """One wording of a content, and whether it asks for an explanation."""
    instruction = rng.choice(content.questions)
    if content.explained is None or rng.random() >= SHARE_EXPLAINED:
        return instruction, False
    stop = "" if instruction[-1] in ".?" else "."
    return f"{instruction}{stop} {rng.choice(EXPLAIN)}", True


def make_task(seed: int, index: int, *, heldout: bool = False) -> Task:
    """The task of this seed and index; families take turns in a shuffled order."""
    rng = random.Random(f"microcosm {'heldout' if heldout else 'pool'} {seed} {index}")
    turn, place = divmod(index, len(FAMILIES))
    order = random.Random(f"microcosm order {seed} {turn}").sample(list(FAMILIES), len(FAMILIES))
    family = order[place]
    content = draw_content(rng, family, heldout=heldout)
    instruction, explain = word_instruction(rng, content)
    response = content.explained if explain and content.explained else content.short
    return Task(family=family, instruction=instruction, response=response, answers=content.answers)

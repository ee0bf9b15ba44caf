"""What one task is before it is worded: the shape that every family gives back."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from sftbench_plugins.answers import Answers


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """One task, with all the ways to ask for it and what a right response says.

    `key` names what is asked, whatever the wording: the split into pool and held-out
    goes by it. `cues` and `given` are the terse form the base model is pretrained on.
    """

    key: str
    questions: tuple[str, ...]
    cues: tuple[str, ...]
    given: str
    short: str
    explained: str | None = None
    answers: Answers = ()


Family = Callable[[random.Random], Content]


def conclude(reasoning: str, answer: str) -> str:
    """A response that reasons first and gives its answer in the last sentence."""
    return f"{reasoning} The answer is {answer}."

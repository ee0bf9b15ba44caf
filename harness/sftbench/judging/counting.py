"""Which verdicts of a model enter its score, and what is said of those that do not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sftbench.errors import UsageError
from sftbench.judging.verdicts import Verdict, VerdictFile

Mode = Literal["paper", "official"]
NOT_JUDGED = ("empty_instruction", "question_too_long")
"""A prompt with one of these flags says nothing about any model, so it is left out for all of them."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """The verdicts of one model that enter its score, in the order of the file.

    `num_missing` is the number of expected prompts without a verdict; `notes` counts what is worth knowing.
    """

    model: str
    verdicts: tuple[Verdict, ...]
    num_missing: int
    notes: Mapping[str, int]

    @property
    def status(self) -> str:
        """`partial` when a prompt that was to be judged has no verdict, else `complete`."""
        return "partial" if self.num_missing or not self.verdicts else "complete"


@dataclass(frozen=True, kw_only=True)
class Tally:
    """The prompts that are judged at all, in order of appearance, and what each model has on them."""

    prompts: tuple[str, ...]
    models: tuple[Counted, ...]


def count(file: VerdictFile, *, mode: Mode, known: Sequence[str] = (), num_expected: int | None = None) -> Tally:
    """The verdicts that enter, by model.

    A prompt is expected when it is in the file, for any model, or in `known`; `num_expected` says how many the
    benchmark has. Raises `UsageError` when the file has more than that.
    """
    skipped = {
        verdict.prompt
        for verdicts in file.by_model.values()
        for verdict in verdicts
        if any(flag in NOT_JUDGED for flag in verdict.flags)
    }
    if num_expected is not None and num_expected < len(file.prompts):
        raise UsageError(f"{file.path} has {len(file.prompts)} prompts, more than the {num_expected} expected")
    total = max(len({*file.prompts, *known}), num_expected or 0) - len(skipped)
    return Tally(
        prompts=tuple(prompt for prompt in file.prompts if prompt not in skipped),
        models=tuple(_counted(model, verdicts, skipped, total, mode) for model, verdicts in file.by_model.items()),
    )


def _counted(model: str, verdicts: Sequence[Verdict], skipped: set[str], total: int, mode: Mode) -> Counted:
    notes: Counter[str] = Counter(flag for verdict in verdicts for flag in verdict.flags)
    notes["empty_response"] = sum(_is_empty(verdict) for verdict in verdicts)
    notes["both_empty"] = sum(_both_empty(verdict) for verdict in verdicts)
    kept = [verdict for verdict in verdicts if verdict.prompt not in skipped]
    notes["not_judged"] = len(verdicts) - len(kept)
    if mode == "paper":
        kept = [tied(verdict) if _both_empty(verdict) else verdict for verdict in kept]
    entering = tuple(verdict for verdict in kept if not math.isnan(verdict.preference))
    return Counted(
        model=model,
        verdicts=entering,
        num_missing=max(total - len(entering), 0),
        notes={name: number for name, number in notes.items() if number},
    )


def _is_empty(verdict: Verdict) -> bool:
    """Whether the model's answer is; the flag alone does not say whose it is."""
    if verdict.length_model is None:
        return "empty_response" in verdict.flags
    return verdict.length_model == 0


def _both_empty(verdict: Verdict) -> bool:
    return verdict.length_model == 0 and verdict.length_baseline == 0


def tied(verdict: Verdict) -> Verdict:
    """The verdict on two empty answers: neither is better, whatever a judge said."""
    return replace(verdict, preference=0.5, games=None if verdict.games is None else ("A=B", "A=B"))

"""What a judge said of each pair in each order, as numbers, whether it gave labels or probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sftbench.judging.resampling import Floats
from sftbench.judging.verdicts import LABELS, winner
from sftbench.rooms import Json, Verdicts

UNREADABLE = ("unparsable", "no_label_mass", "non_finite")
"""Flags of a verdict that could not be read."""
UNASKED = (
    "empty_instruction", "question_too_long", "missing_answer", "no_reference", "model_error", "over_budget",
)  # fmt: skip
"""Flags of a pair that the judge was not asked about, or that the endpoint refused."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Readings:
    """Of n pairs: `model_first` and `baseline_first` [n] are the chance that the first-listed answer wins in that order
    (1, 0.5 or 0 for labels), `preference` [n] is the verdict for the model; NaN where there is none.

    `flags` says by pair what went wrong.
    """

    ids: tuple[str, ...]
    model_first: Floats
    baseline_first: Floats
    preference: Floats
    flags: tuple[frozenset[str], ...]

    def __len__(self) -> int:
        return len(self.ids)

    def taken(self, indices: Sequence[int]) -> Readings:
        """The readings at these places."""
        chosen = np.array(indices, dtype=np.int64)
        return Readings(
            ids=tuple(self.ids[index] for index in indices),
            model_first=self.model_first[chosen],
            baseline_first=self.baseline_first[chosen],
            preference=self.preference[chosen],
            flags=tuple(self.flags[index] for index in indices),
        )

    @property
    def winners(self) -> Floats:
        """The verdict [n]: 1 for the model, -1 for the baseline, 0 for a tie, NaN for none."""
        return np.sign(self.preference - 0.5)

    @property
    def in_both_orders(self) -> tuple[Floats, Floats]:
        """The winner with the model first, and with the baseline first: 1 the model, -1 the baseline, 0 a tie."""
        return np.sign(self.model_first - 0.5), np.sign(0.5 - self.baseline_first)


def readings_of(verdicts: Verdicts) -> Readings:
    """From verdicts with their columns; an order that the judge tells nothing of is NaN throughout."""
    return readings_in(verdicts.ids, verdicts.preference, verdicts.columns)


def readings_in(
    ids: tuple[str, ...], preference: npt.ArrayLike | Sequence[float | None], columns: Mapping[str, Sequence[Json]]
) -> Readings:
    """The same from verdicts as a record has them, where there is no preference for some."""
    count = len(ids)
    flags = columns.get("flags") or [()] * count
    return Readings(
        ids=ids,
        model_first=_order(columns, "model_first", count),
        baseline_first=_order(columns, "baseline_first", count),
        preference=np.array(preference, dtype=np.float64),
        flags=tuple(frozenset(map(str, each)) if isinstance(each, (list, tuple)) else frozenset() for each in flags),
    )


def _order(columns: Mapping[str, Sequence[Json]], name: str, count: int) -> Floats:
    """Chances say more than the labels made of them."""
    chances, labels = (columns.get(each) or [None] * count for each in (f"{name}_chance", name))
    told = [label if chance is None else chance for chance, label in zip(chances, labels, strict=True)]
    return np.array([_first_wins(each) for each in told], dtype=np.float64)


def _first_wins(told: Json) -> float:
    """The chance that A, the first-listed, wins: from a label, or as it is told."""
    if isinstance(told, str) and told in LABELS:
        return 0.5 + 0.5 * float(np.sign(winner(told)))  # type: ignore[arg-type]
    if isinstance(told, (int, float)) and not isinstance(told, bool) and 0 <= told <= 1:
        return float(told)
    return float("nan")

"""Mean losses of every row, with and without its prompt, and what a score made from them becomes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from sftbench import PassResult, Scores

Direction = Literal["high", "low", "middle"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class RowLosses:
    """Mean negative log-likelihoods [n] in nats and the numbers of tokens they are means of."""

    conditional: Floats
    unconditional: Floats
    num_conditional: npt.NDArray[np.int64]
    num_unconditional: npt.NDArray[np.int64]
    reasons: dict[int, str] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)

    @classmethod
    def empty(cls, num_rows: int) -> RowLosses:
        """No row measured yet."""
        nothing, none = np.full(num_rows, np.nan), np.zeros(num_rows, dtype=np.int64)
        return cls(
            conditional=nothing, unconditional=nothing.copy(), num_conditional=none, num_unconditional=none.copy()
        )

    def columns(self) -> dict[str, npt.NDArray[np.float64] | npt.NDArray[np.int64]]:
        """What goes beside the score: both perplexities and their token counts."""
        return {
            "ppl_conditional": perplexity(self.conditional),
            "ppl_unconditional": perplexity(self.unconditional),
            "num_tokens": self.num_conditional,
            "num_tokens_unconditional": self.num_unconditional,
        }


def perplexity(mean_loss: Floats) -> Floats:
    """exp of a mean negative log-likelihood; infinite where that overflows."""
    with np.errstate(over="ignore"):
        powers: Floats = np.exp(mean_loss)
    return powers


def over_same_tokens(conditional: PassResult, unconditional: PassResult) -> RowLosses:
    """Both means over the response tokens that have a loss in both passes.

    Without a BOS the first response token has none alone, so that it is left out of both.
    """
    losses = RowLosses.empty(len(conditional.values))
    losses.reasons.update(conditional.reasons)
    losses.notes.update(conditional.notes)
    for row, (given, alone) in enumerate(zip(conditional.values, unconditional.values, strict=True)):
        if row in losses.reasons:
            continue
        first = 1 if np.isnan(given[0]) or np.isnan(alone[0]) else 0
        if len(given) <= first:
            losses.reasons[row] = "too_few_tokens"
            continue
        if np.isnan(given[0]):
            losses.notes[row] = _also(losses.notes.get(row), "first_token_unscored")
        losses.conditional[row] = given[first:].astype(np.float64).mean()
        losses.unconditional[row] = alone[first:].astype(np.float64).mean()
        losses.num_conditional[row] = losses.num_unconditional[row] = len(given) - first
    return losses


def read_pass(found: PassResult) -> tuple[dict[int, str], dict[int, str], list[npt.NDArray[np.float32]]]:
    """Reasons, notes and values of a pass over responses given their prompts, a first token without context noted."""
    notes = dict(found.notes)
    values = list(found.values)
    for row, each in enumerate(values):
        if len(each) > 1 and np.isnan(each[0]) and row not in found.reasons:
            notes[row] = _also(notes.get(row), "first_token_unscored")
    return dict(found.reasons), notes, values


def own_tokens(values: Iterable[npt.NDArray[np.float32]]) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Mean loss and token count of every row; a first token without context is left out."""
    means, counts = [], []
    for each in values:
        scored = each[1:] if len(each) and np.isnan(each[0]) else each
        means.append(float(scored.astype(np.float64).mean()) if len(scored) else np.nan)
        counts.append(len(scored))
    return np.array(means), np.array(counts, dtype=np.int64)


def wanted(raw: Floats, direction: Direction) -> Floats:
    """Scores of which bigger is better: as they are, turned round, or closeness to the median rank."""
    if direction == "high":
        return raw
    if direction == "low":
        return -raw
    ordered = np.sort(raw[np.isfinite(raw)])
    middle = (np.searchsorted(ordered, raw, "left") + np.searchsorted(ordered, raw, "right")) / 2
    distance: Floats = -np.abs(middle / max(1, len(ordered)) - 0.5)
    return np.where(np.isfinite(raw), distance, np.nan)


def scores_of(raw: Floats, losses: RowLosses, *, direction: Direction, dropped: dict[int, str] | None = None) -> Scores:
    """Scores with reasons: what was given, what was dropped, and `non_finite` for what is left without a number."""
    reasons = {**losses.reasons, **(dropped or {})}
    bad = {int(row): "non_finite" for row in np.flatnonzero(~np.isfinite(raw)) if int(row) not in reasons}
    usable = raw.copy()
    usable[[*reasons, *bad]] = np.nan
    return Scores(
        values=wanted(usable, direction),
        reasons={**reasons, **bad},
        notes={row: note for row, note in losses.notes.items() if row not in reasons and row not in bad},
        columns=losses.columns(),
    )


def _also(note: str | None, more: str) -> str:
    return more if note is None else f"{note}, {more}"

"""What the rows of all metrics share: percentages, places of prompts, bootstrap draws, and how each row ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sftbench.judging.counting import Counted, Tally
from sftbench.judging.resampling import Floats, Interval, Ints, draw_prompts
from sftbench.judging.scoring import Scoring
from sftbench.judging.win_rate import WinRate, win_rate

Row = dict[str, Any]
EVEN = Interval(value=0.5, low=0.5, high=0.5, standard_error=0.0)
"""Of the baseline against itself, by construction."""


def drawn_prompts(wanted: Scoring, tally: Tally) -> Floats | None:
    """Draws of prompts; None in the official mode, whose intervals come from a standard error."""
    if wanted.mode == "official" or not tally.prompts:
        return None
    return draw_prompts(len(tally.prompts), wanted.num_resamples, wanted.seed)


def preferences_of(counted: Counted) -> Floats:
    """The preferences [n] for the model."""
    return np.array([verdict.preference for verdict in counted.verdicts], dtype=np.float64)


def index_of(prompts: Sequence[str]) -> dict[str, int]:
    """The place of every prompt."""
    return {prompt: place for place, prompt in enumerate(prompts)}


def places_of(counted: Counted, prompts: Sequence[str]) -> Ints:
    """The places [n] of a model's verdicts among the prompts."""
    known = index_of(prompts)
    return np.array([known[verdict.prompt] for verdict in counted.verdicts], dtype=np.int64)


def raw_win_rate(counted: Counted, tally: Tally, draws: Floats | None) -> WinRate:
    """The raw win rate; `draws` [B, P] are of all prompts."""
    return win_rate(preferences_of(counted), None if draws is None else draws[:, places_of(counted, tally.prompts)])


def bounds(rate: Interval) -> Row:
    """The score of a row and its interval."""
    return {"score": percent(rate.value), "ci_lo": percent(rate.low), "ci_hi": percent(rate.high)}


def percent(value: float | None) -> float | None:
    """100 times the value; None where there is none."""
    return None if value is None or not math.isfinite(value) else 100 * value


def ending(counted: Counted, *more: str) -> Row:
    """How many verdicts the row rests on, and what is to be known about them."""
    notes = [f"{name}: {number}" for name, number in counted.notes.items()] + list(more)
    return {
        "num_prompts": len(counted.verdicts),
        "num_missing": counted.num_missing,
        "status": counted.status,
        "notes": "; ".join(notes),
    }

"""Rows of the metric `alpaca-lc`: raw and length-controlled win rate of every model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sftbench.errors import UsageError
from sftbench.judging.counting import Counted, Tally, count
from sftbench.judging.instructions import Difficulty, Gamed, difficulty_of_gamed, read_difficulty, read_gamed
from sftbench.judging.joint_difficulty import AllVerdicts, fit_jointly
from sftbench.judging.length_control import (
    Answers,
    Form,
    LengthControlled,
    Regulariser,
    is_extreme,
    length_controlled,
    length_terms,
)
from sftbench.judging.liblinear import NUM_FOLDS
from sftbench.judging.resampling import Floats, Interval
from sftbench.judging.rows import (
    EVEN,
    Row,
    bounds,
    drawn_prompts,
    ending,
    percent,
    places_of,
    preferences_of,
    raw_win_rate,
)
from sftbench.judging.scoring import Scoring
from sftbench.judging.verdicts import VerdictFile
from sftbench.judging.win_rate import WinRate


@dataclass(frozen=True, kw_only=True)
class LengthFits:
    """The controlled win rates of all models of a file that have verdicts enough, and what they were fitted to.

    `draws` [B, P] are of all prompts; None in the official mode.
    """

    tally: Tally
    form: Form
    draws: Floats | None
    controlled: Mapping[str, LengthControlled]


def length_rows(wanted: Scoring, file: VerdictFile) -> list[Row]:
    """One row per model, in the order of the file."""
    fits = fit_lengths(wanted, file)
    return [
        _length_row(
            counted, file.baseline, raw_win_rate(counted, fits.tally, fits.draws), fits.controlled.get(counted.model),
            fits.form,
        )
        for counted in fits.tally.models
    ]  # fmt: skip


def fit_lengths(wanted: Scoring, file: VerdictFile) -> LengthFits:
    """Fit every model but the baseline, by itself or, in the form `joint`, with difficulties of all together."""
    gamed = None if wanted.gamed is None else read_gamed(wanted.gamed)
    given = _difficulty(wanted, gamed)
    form = wanted.form_for(sum(model != file.baseline for model in file.by_model))
    known = given.prompts if given is not None and wanted.mode == "paper" else ()
    tally = count(file, mode=wanted.mode, known=known, num_expected=wanted.expected or _size(given))
    draws = drawn_prompts(wanted, tally)
    if form == "joint":
        given = _joint_difficulty(tally, file)
    regulariser = Regulariser.of(gamed) if form == "v1" and gamed is not None else None
    controlled = {}
    for counted in tally.models:
        if counted.model != file.baseline and len(counted.verdicts) >= NUM_FOLDS:
            answers = _answers(counted, file, None if form == "minimal" else given, wanted)
            mine = None if draws is None else draws[:, places_of(counted, tally.prompts)]
            controlled[counted.model] = length_controlled(answers, regulariser, mode=wanted.mode, draws=mine)
    return LengthFits(tally=tally, form=form, draws=draws, controlled=controlled)


def _length_row(counted: Counted, baseline: str, raw: WinRate, controlled: LengthControlled | None, form: Form) -> Row:
    rate = controlled.rate if controlled else EVEN if counted.model == baseline else Interval(value=math.nan)
    more = ["extreme_change"] if is_extreme(100 * raw.rate.value, 100 * rate.value) else []
    if not math.isfinite(rate.value):
        more.append("too_few_verdicts")
    return {
        "model": counted.model,
        **bounds(rate),
        "standard_error": percent(rate.standard_error),
        "win_rate": percent(raw.rate.value),
        "win_rate_lo": percent(raw.rate.low),
        "win_rate_hi": percent(raw.rate.high),
        "win_rate_standard_error": percent(raw.rate.standard_error),
        "form": form,
        "w_model": controlled.w_model if controlled else None,
        "w_length": controlled.w_length if controlled else None,
        "w_difficulty": controlled.w_difficulty if controlled else None,
        **ending(counted, *more),
    }


def _difficulty(wanted: Scoring, gamed: Gamed | None) -> Difficulty | None:
    if wanted.difficulty is not None:
        return read_difficulty(wanted.difficulty)
    return None if gamed is None else difficulty_of_gamed(gamed)


def _size(difficulty: Difficulty | None) -> int | None:
    return None if difficulty is None else len(difficulty.prompts)


def _answers(counted: Counted, file: VerdictFile, difficulty: Difficulty | None, wanted: Scoring) -> Answers:
    prompts = [verdict.prompt for verdict in counted.verdicts]
    where = f"{file.path}, model '{counted.model}'"
    difficulties = None
    if difficulty is not None:
        by_row = wanted.mode == "official"
        difficulties = difficulty.first(len(prompts), where=where) if by_row else difficulty.of(prompts, where=where)
    return Answers(
        preferences=preferences_of(counted),
        length_differences=_length_differences(counted, file),
        difficulties=difficulties,
    )


def _joint_difficulty(tally: Tally, file: VerdictFile) -> Difficulty:
    models = [each for each in tally.models if each.model != file.baseline]
    judged = AllVerdicts(
        models=np.repeat(np.arange(len(models)), [len(each.verdicts) for each in models]),
        prompts=np.concatenate([places_of(each, tally.prompts) for each in models]),
        preferences=np.concatenate([preferences_of(each) for each in models]),
        length_terms=np.concatenate([length_terms(_length_differences(each, file)) for each in models]),
    )
    found = fit_jointly(judged, len(models), len(tally.prompts))
    return Difficulty(prompts=tally.prompts, values=found.difficulties)


def _length_differences(counted: Counted, file: VerdictFile) -> Floats:
    """Baseline minus model, in characters [n]."""
    found = []
    for verdict in counted.verdicts:
        if verdict.length_model is None or verdict.length_baseline is None:
            raise UsageError(f"{file.path}, line {verdict.line}: length control needs length_model and length_baseline")
        found.append(float(verdict.length_baseline - verdict.length_model))
    return np.array(found)

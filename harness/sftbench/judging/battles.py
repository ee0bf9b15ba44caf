"""Arena-Hard's battles: two games for each answer, a clear win counts three times (arXiv 2406.11939, its code)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sftbench.errors import UsageError
from sftbench.judging.counting import Counted
from sftbench.judging.resampling import Floats, Interval, Ints, interval
from sftbench.judging.verdicts import Label, StyleCounts, Verdict, winner

WEIGHT = 3
OFFICIAL_ROUNDS = 100
OFFICIAL_CONFIDENCE = 0.9
STYLE = ("length", "headers", "lists", "bolds")
COVARIATES = {"length": (0,), "markdown": (1, 2, 3)}
"""Columns of the style differences that belong to each thing to control for."""


@dataclass(frozen=True, kw_only=True)
class Battles:
    """Judged pairs of answers [n], by model, and the rows [N] that they are expanded to.

    A pair has `counts` rows with `wins` as their sum; `plain` is its mean outcome with every game counted once.
    `style` [n, 4] are the differences in style, not yet scaled; None when nothing is controlled for.
    """

    names: tuple[str, ...]
    models: Ints
    prompts: Ints
    counts: Floats
    wins: Floats
    plain: Floats
    style: Floats | None
    row_pairs: Ints
    row_outcomes: Floats


def expanded(games: tuple[Label, Label], weight: int = WEIGHT) -> list[float]:
    """The model's outcomes: of the game in which it is A, then of that in which the baseline is A."""
    baseline_first, model_first = games
    return _outcomes(winner(model_first), weight) + _outcomes(-winner(baseline_first), weight)


def _outcomes(won: int, weight: int) -> list[float]:
    value = 0.5 if won == 0 else float(won > 0)
    return [value] * (weight if abs(won) == 2 else 1)


def battles_of(
    counted: Sequence[Counted], places: Mapping[str, int], *, weight: int, controls: Sequence[str], where: str
) -> Battles:
    """The battles of all models. A verdict that is a preference, without labels, is one battle with that outcome.

    Raises `UsageError` with the line for a verdict that lacks a length or counts that are to be controlled for.
    """
    pairs = [(index, verdict) for index, each in enumerate(counted) for verdict in each.verdicts]
    outcomes = [_rows_of(verdict, weight) for _, verdict in pairs]
    once = [_rows_of(verdict, 1) for _, verdict in pairs]
    counts = np.array([len(rows) for rows in outcomes], dtype=np.int64)
    return Battles(
        names=tuple(each.model for each in counted),
        models=np.array([index for index, _ in pairs], dtype=np.int64),
        prompts=np.array([places[verdict.prompt] for _, verdict in pairs], dtype=np.int64),
        counts=counts.astype(np.float64),
        wins=np.array([sum(rows) for rows in outcomes], dtype=np.float64),
        plain=np.array([sum(rows) / len(rows) for rows in once], dtype=np.float64),
        style=np.array([_style(verdict, controls, where) for _, verdict in pairs]).reshape(len(pairs), len(STYLE))
        if controls
        else None,
        row_pairs=np.repeat(np.arange(len(pairs)), counts),
        row_outcomes=np.array([each for rows in outcomes for each in rows], dtype=np.float64),
    )


def _rows_of(verdict: Verdict, weight: int) -> list[float]:
    return [verdict.preference] if verdict.games is None else expanded(verdict.games, weight)


def _style(verdict: Verdict, controls: Sequence[str], where: str) -> list[float]:
    model, baseline = verdict.tokens or (verdict.length_model, verdict.length_baseline)
    if model is None or baseline is None:
        raise UsageError(f"{where}, line {verdict.line}: style control needs length_model and length_baseline")
    length = (model - baseline) / (model + baseline) if model + baseline else 0.0
    if "markdown" not in controls:
        return [length, 0.0, 0.0, 0.0]
    if verdict.style_model is None or verdict.style_baseline is None:
        raise UsageError(f"{where}, line {verdict.line}: control of markdown needs style_model and style_baseline")
    mine, other = _densities(verdict.style_model, model), _densities(verdict.style_baseline, baseline)
    return [length, *((a - b) / (a + b + 1) for a, b in zip(mine, other, strict=True))]


def _densities(counts: StyleCounts, length: int) -> list[float]:
    return [each / (length + 1) for each in (counts.headers, counts.lists, counts.bolds)]


def standardised(battles: Battles) -> tuple[Floats, Floats]:
    """Style differences as z-scores [n, 4] over all rows (sd with N - 1), and the z-scores [4] of no difference.

    A covariate without variance is 0 throughout.
    """
    style = battles.style
    assert style is not None
    total = battles.counts.sum()
    means = battles.counts @ style / max(total, 1)
    variances = battles.counts @ (style - means) ** 2 / max(total - 1, 1)
    # Summing equal numbers leaves a rest of rounding that is no variance.
    varies = variances > 1e-24 * np.maximum(means**2, 1e-30)
    deviations = np.where(varies, np.sqrt(variances), 1.0)
    return np.where(varies, (style - means) / deviations, 0.0), np.where(varies, -means / deviations, 0.0)


def raw_scores(battles: Battles, draws: Floats) -> list[Interval]:
    """For each model the mean of its rows, with bounds from draws of prompts [B, P]."""
    found = []
    for index in range(len(battles.names)):
        mine = battles.models == index
        counts, wins = battles.counts[mine], battles.wins[mine]
        drawn = draws[:, battles.prompts[mine]]
        totals = drawn @ counts
        means = np.divide(drawn @ wins, totals, out=np.full(len(drawn), np.nan), where=totals > 0)
        found.append(interval(float(wins.sum() / counts.sum()) if counts.sum() else float("nan"), means))
    return found


def official_raw_scores(battles: Battles, *, seed: int, rounds: int = OFFICIAL_ROUNDS) -> list[Interval]:
    """Mean and 5 % and 95 % quantiles of means over rows drawn within each model, as the official code draws them.

    Rows of one prompt depend on each other, so these bounds are too narrow.
    """
    random = np.random.RandomState(seed)
    rows = [battles.row_outcomes[battles.models[battles.row_pairs] == index] for index in range(len(battles.names))]
    means = np.full((rounds, len(rows)), np.nan)
    for number in range(rounds):
        for index in official_order(battles.names):
            if len(rows[index]):
                means[number, index] = rows[index][random.choice(len(rows[index]), len(rows[index]))].mean()
    return [interval(float(each.mean()), each, confidence=OFFICIAL_CONFIDENCE) for each in means.T]


def official_order(names: Sequence[str]) -> list[int]:
    """Models as the official code sorts them: by the last part of their name."""
    return sorted(range(len(names)), key=lambda index: names[index].split("/")[-1])

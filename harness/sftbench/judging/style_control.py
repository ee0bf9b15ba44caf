"""The style-controlled score of Arena-Hard: Bradley-Terry with differences in length and markdown as covariates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sftbench.judging.battles import (
    COVARIATES,
    OFFICIAL_CONFIDENCE,
    OFFICIAL_ROUNDS,
    Battles,
    official_order,
    standardised,
)
from sftbench.judging.bradley_terry import Pairs, Strengths, fit_strengths
from sftbench.judging.early_stopping import fit_early_stopped
from sftbench.judging.resampling import Floats, Interval, interval


@dataclass(frozen=True, kw_only=True)
class StyleControlled:
    """By model: the chance to win at the mean difference in style of all battles (as published), with bounds.

    `equal_style` [M] is the chance where the two answers do not differ in style. `coefficients` [q] belong to the
    covariates in `columns`, places in `STYLE`.
    """

    scores: list[Interval]
    equal_style: Floats
    columns: tuple[int, ...]
    coefficients: Floats
    drawn: Floats | None = None
    """The scores in each draw of prompts [B, M], where prompts were drawn."""


def columns_of(controls: Sequence[str]) -> tuple[int, ...]:
    """The covariates to control for, of the four there are."""
    return tuple(sorted(column for name in controls for column in COVARIATES[name]))


def style_controlled(battles: Battles, controls: Sequence[str], draws: Floats) -> StyleControlled:
    """The optimum, with bounds from draws of prompts [B, P]; each draw is fitted anew, z-scores stay."""
    scaled, nothing = standardised(battles)
    columns = list(columns_of(controls))
    pairs = Pairs(models=battles.models, counts=battles.counts, wins=battles.wins, covariates=scaled[:, columns])
    num = len(battles.names)
    fit = fit_strengths(pairs, num)
    drawn = np.stack([_redrawn(pairs, draw[battles.prompts], num, fit) for draw in draws])
    values = _known(battles, _sigmoid(fit.models))
    equal = _known(battles, _sigmoid(fit.models + float(fit.covariates @ nothing[columns])))
    return StyleControlled(
        scores=[interval(float(value), each) for value, each in zip(values, drawn.T, strict=True)],
        equal_style=equal,
        columns=tuple(columns),
        coefficients=fit.covariates,
        drawn=drawn,
    )


def _redrawn(pairs: Pairs, times: Floats, num: int, start: Strengths) -> Floats:
    """The chances [M] where each pair counts so many times [n]; NaN for a model that is not in the draw."""
    there = times > 0
    redrawn = Pairs(
        models=pairs.models[there],
        counts=(pairs.counts * times)[there],
        wins=(pairs.wins * times)[there],
        covariates=pairs.covariates[there],
    )
    present = np.bincount(redrawn.models, minlength=num) > 0
    return np.where(present, _sigmoid(fit_strengths(redrawn, num, start).models), np.nan)


def official_style_controlled(battles: Battles, *, seed: int, rounds: int = OFFICIAL_ROUNDS) -> StyleControlled:
    """Medians and 5 % and 95 % quantiles of early-stopped fits to rows drawn with replacement, as the official code.

    All four covariates: with fewer the official code cuts off columns of models instead and has no scores.
    """
    scaled, nothing = standardised(battles)
    # The design has the models in alphabetical order with the baseline among them; the fit is not finished, so the
    # order and the redundant column of the baseline matter a little. The baseline's place does not.
    order = official_order(battles.names)
    num_models = len(order)
    one_hot = np.zeros((len(battles.models), num_models + 1))
    one_hot[np.arange(len(battles.models)), np.argsort(order)[battles.models]] = 1
    one_hot[:, num_models] = -1
    design = np.concatenate([one_hot, scaled], axis=1)[battles.row_pairs]
    random = np.random.RandomState(seed)
    draws = random.randint(0, len(design), size=(rounds, len(design)))
    beta = fit_early_stopped(design, battles.row_outcomes, draws)
    log_odds = (beta[:, :num_models] - beta[:, num_models : num_models + 1])[:, np.argsort(order)]
    style = np.median(beta[:, num_models + 1 :], axis=0)
    equal = _sigmoid(np.median(log_odds, axis=0) + float(style @ nothing))
    return StyleControlled(
        scores=[
            interval(float(np.median(chances)), chances, confidence=OFFICIAL_CONFIDENCE)
            for chances in _known(battles, _sigmoid(log_odds)).T
        ],
        equal_style=_known(battles, equal),
        columns=columns_of(tuple(COVARIATES)),
        coefficients=style,
    )


def _known(battles: Battles, values: Floats) -> Floats:
    """NaN for a model without a single verdict."""
    present = np.bincount(battles.models, minlength=len(battles.names)) > 0
    return np.where(present, values, np.nan)


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -700, 700))), dtype=np.float64)

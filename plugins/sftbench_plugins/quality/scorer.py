"""The scorer `quality`: how good a row is, by a model made for that or by perplexity in its stead."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sftbench import Desk, Json, Needs, PassRequest, Pool, Scores
from sftbench_plugins.quality.settings import STAND_IN, QualitySettings

_PASS = PassRequest(view="conditional")
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class Quality(QualitySettings):
    """The output of a reward or quality model for each row.

    Where none is named, its stand-in: how little perplexity the scoring model has, as a standard score
    (minus the mean negative log-likelihood, less its mean over the pool, over its standard deviation), so
    that 0 is the average row.
    """

    name: ClassVar[str] = "quality"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    def needs(self) -> Needs:
        if self.has_model:
            return Needs(foreign_models={"quality": self.quality_model})
        return Needs(passes=(_PASS,))

    def score(self, pool: Pool, desk: Desk) -> Scores:
        """A row with an empty response is NaN with that reason, one that is too long too unless it is cut."""
        scores = self._by_model(pool, desk) if self.has_model else _by_perplexity(desk)
        if self.above is None:
            return scores
        low = scores.values <= self.above
        return replace(
            scores,
            values=np.where(low, np.nan, scores.values),
            reasons={**scores.reasons, **{int(row): "below_cut" for row in np.flatnonzero(low)}},
            notes={row: note for row, note in scores.notes.items() if not low[row]},
            columns={**scores.columns, "quality": scores.values},
            report={**scores.report, "num_below_cut": int(low.sum())},
        )

    def _by_model(self, pool: Pool, desk: Desk) -> Scores:
        from sftbench_plugins.quality.classifier import QualityModel
        from sftbench_plugins.quality.texts import answered, shown

        model = QualityModel(desk.model_path("quality").path, label=self.label, meter=desk.meter)
        values = np.full(len(pool), np.nan)
        reasons: dict[int, str] = {}
        notes: dict[int, str] = {}
        start = 0
        with desk.progress(len(pool), "row") as progress:
            for rows in pool.batches(_ROWS_AT_ONCE):
                empty = [not answered(row, self.turns) for row in rows]
                asked = np.flatnonzero(~np.array(empty))
                texts = [shown(rows[at], self.form, self.turns) for at in asked]
                found, remarks = model.of(texts, truncate=self.overlong == "truncate")
                values[start + asked] = found
                reasons |= {start + at: "empty_response" for at in np.flatnonzero(empty).tolist()}
                for at, remark in remarks.items():
                    (notes if remark == "truncated" else reasons)[start + int(asked[at])] = remark
                start += len(rows)
                progress.advance(len(rows))
        for row in np.flatnonzero(~np.isfinite(values)).tolist():
            values[row] = np.nan
            reasons.setdefault(row, "non_finite")
        return Scores(values=values, reasons=reasons, notes=notes, report={"quality": "model"})


def _by_perplexity(desk: Desk) -> Scores:
    found = desk.passed(_PASS)
    desk.log(f"no quality model is named with quality_model=FOLDER, so a stand-in is used: {STAND_IN}")
    losses = np.array([_mean(each) for each in found.values])
    reasons = dict(found.reasons)
    for row in np.flatnonzero(~np.isfinite(losses)).tolist():
        reasons.setdefault(row, "too_few_tokens" if np.isnan(found.values[row][1:]).sum() == 0 else "non_finite")
    usable = losses.copy()
    usable[list(reasons)] = np.nan
    values, report = standardised(-usable)
    notes = {row: note for row, note in found.notes.items() if row not in reasons}
    return Scores(
        values=values,
        reasons=reasons,
        notes=notes,
        columns={"mean_nll": losses},
        report={"quality": f"stand-in: {STAND_IN}", **report},
    )


def standardised(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], dict[str, Json]]:
    """Values less their mean, over their standard deviation (NaN stays NaN), and what both were."""
    finite = values[np.isfinite(values)]
    mean, deviation = (float(finite.mean()), float(finite.std())) if len(finite) else (0.0, 0.0)
    return (values - mean) / (deviation or 1.0), {"mean": mean, "standard_deviation": deviation}


def _mean(losses: npt.NDArray[np.float32]) -> float:
    """Of the tokens with a context."""
    scored = losses[1:] if len(losses) and np.isnan(losses[0]) else losses
    return float(scored.astype(np.float64).mean()) if len(scored) else float("nan")

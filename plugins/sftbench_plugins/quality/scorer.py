"""The scorer `quality`: how good a row is, by a model made for that or by perplexity in its stead."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sftbench import Desk, Json, Needs, PassRequest, Pool, Row, Scores
from sftbench_plugins.quality.settings import QualitySettings

Floats = npt.NDArray[np.float64]
BY_PERPLEXITY = "quality of rows by the perplexity of their responses"
_PASS = PassRequest(view="conditional")
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class Quality(QualitySettings):
    """The output of a reward or quality model for each row.

    Where none is named, its stand-in: how little perplexity the scoring model has, as a standard score
    (minus the mean negative log-likelihood in nats of the last response, less its mean over the pool, over
    its standard deviation), so that 0 is the average row.
    """

    name: ClassVar[str] = "quality"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    def needs(self) -> Needs:
        """The model that is named, or a pass of the scoring model."""
        if self.has_model:
            return Needs(foreign_models={"quality": self.quality_model})
        return Needs(passes=(_PASS,))

    @property
    def passes_over_pool(self) -> float:
        """Of the model that is named; the stand-in's pass is a declared one."""
        return 1.0 if self.has_model else 0.0

    def score(self, pool: Pool, desk: Desk) -> Scores:
        """A row with an empty response is NaN with that reason, one that is too long too unless it is cut."""
        scores = self._by_model(pool, desk) if self.has_model else _by_perplexity(pool, desk)
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
                empty = np.array([not answered(row, self.turns).strip() for row in rows])
                asked = np.flatnonzero(~empty)
                texts = [shown(rows[at], self.form, self.turns) for at in asked]
                values[start + asked], remarks = model.of(texts, truncate=self.overlong == "truncate")
                reasons |= {start + at: "empty_response" for at in np.flatnonzero(empty).tolist()}
                for at, remark in remarks.items():
                    (notes if remark == "truncated" else reasons)[start + int(asked[at])] = remark
                start += len(rows)
                progress.advance(len(rows))
        values, reasons = _with_reasons(values, reasons)
        notes = {row: note for row, note in notes.items() if row not in reasons}
        return Scores(values=values, reasons=reasons, notes=notes, report={"quality": "model"})


def _by_perplexity(pool: Pool, desk: Desk) -> Scores:
    desk.stand_in(BY_PERPLEXITY)
    found = desk.passed(_PASS)
    losses, reasons = np.full(len(pool), np.nan), dict(found.reasons)
    for at, row in enumerate(pool):
        scored = _with_context(found.values[at], row)
        if not row.response.strip():
            reasons[at] = "empty_response"
        elif not len(scored):
            reasons.setdefault(at, "too_few_tokens")
        else:
            losses[at] = scored.astype(np.float64).mean()
    losses, reasons = _with_reasons(losses, reasons)
    values, report = standardised(-losses)
    notes = {row: note for row, note in found.notes.items() if row not in reasons}
    return Scores(
        values=values,
        reasons=reasons,
        notes=notes,
        columns={"mean_nll": losses},
        report={"quality": f"stand-in: {BY_PERPLEXITY}", **report},
    )


def _with_reasons(values: Floats, reasons: dict[int, str]) -> tuple[Floats, dict[int, str]]:
    """A number and no reason, or NaN and one: what is not finite and has none is `non_finite`."""
    told = dict.fromkeys(np.flatnonzero(~np.isfinite(values)).tolist(), "non_finite") | reasons
    clean = values.copy()
    clean[list(told)] = np.nan
    return clean, told


def standardised(values: Floats) -> tuple[Floats, dict[str, Json]]:
    """Values less their mean, over their standard deviation (what is not finite stays), and what both were."""
    finite = values[np.isfinite(values)]
    mean, deviation = (float(finite.mean()), float(finite.std())) if len(finite) else (0.0, 0.0)
    return (values - mean) / (deviation or 1.0), {"mean": mean, "standard_deviation": deviation}


def _with_context(losses: npt.NDArray[np.float32], row: Row) -> npt.NDArray[np.float32]:
    """Without the first token where nothing precedes it, which has no loss."""
    return losses[1:] if not row.prompt and len(losses) and np.isnan(losses[0]) else losses

"""The judged part of a board: win rates raw and controlled, before every judge, and what the judges are like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from sftbench.board.cells import Cell, CellVerdicts
from sftbench.board.entries import Entry, gather
from sftbench.board.judgement import JudgedRow, OrderAgreement
from sftbench.board.noise import Floats
from sftbench.board.ranking import Measurements
from sftbench.board.statistics import Estimate, pooled_estimates
from sftbench.board.table import WIN_RATE
from sftbench.board.verdict_rows import model_name, of_judge, verdict_file
from sftbench.judging.card.readings import UNREADABLE, readings_in
from sftbench.judging.joint_difficulty import MIN_MODELS
from sftbench.judging.length_rows import fit_lengths
from sftbench.judging.scoring import NUM_RESAMPLES, Scoring
from sftbench.judging.style_rows import fit_style
from sftbench.judging.verdicts import VerdictFile


def has_judged_part(cells: Sequence[Cell]) -> bool:
    """Whether there is more to tell of judgements than one win rate per row."""
    return any(
        cell.further_verdicts or (cell.judgements and cell.prompts) or any(each.columns for each in cell.judgements)
        for cell in cells
        if cell.status == "done"
    )


def judged_rows(cells: Sequence[Cell], budgets: Sequence[str], *, num_resamples: int) -> list[JudgedRow]:
    """By judge, as they were named, then budget, then win rate."""
    done = [cell for cell in cells if cell.status == "done"]
    judges = judges_of(done)
    rows: list[JudgedRow] = []
    for judge in judges:
        for budget in budgets:
            mine = [
                replace(cell, verdicts=verdicts, further_verdicts=())
                for cell in done
                if cell.budget == budget and (verdicts := of_judge(cell, judge)) is not None
            ]
            if mine:
                first = {model_name(cell): cell.verdicts for cell in done if judge != judges[0] and cell.verdicts}
                rows += _Bench(judge=judge, cells=mine, first=first, num_resamples=num_resamples).rows()
    return rows


def judges_of(cells: Sequence[Cell]) -> list[str]:
    """The judges of a run, the first one first."""
    first = dict.fromkeys(cell.verdicts.judge for cell in cells if cell.verdicts)
    return list(first | dict.fromkeys(each.judge for cell in cells for each in cell.further_verdicts))


def agreements(rows: Sequence[JudgedRow]) -> list[OrderAgreement]:
    """Of all pairs of judges at each budget, over the rows that both have judged."""
    found = []
    for budget in dict.fromkeys(row.budget for row in rows):
        tables: dict[str, dict[tuple[str, str | None], float]] = {}
        for row in rows:
            if row.budget == budget and row.win_rate is not None:
                tables.setdefault(row.judge, {})[row.label, row.matched_to] = row.win_rate.mean
        for first, second in combinations(tables, 2):
            both = [name for name in tables[first] if name in tables[second]]
            values = np.array([[tables[judge][name] for name in both] for judge in (first, second)]).reshape(2, -1)
            kendall, spearman = rank_correlations(values[0], values[1])
            found.append(
                OrderAgreement(
                    first=first, second=second, budget=budget, num_rows=len(both), kendall=kendall, spearman=spearman
                )
            )
    return found


def rank_correlations(one: Floats, other: Floats) -> tuple[float | None, float | None]:
    """Kendall's tau-b and Spearman's rho; None with fewer than three rows, or where one list has a single value."""
    from scipy.stats import kendalltau, spearmanr

    if len(one) < 3 or len(set(one.tolist())) < 2 or len(set(other.tolist())) < 2:
        return None, None
    return float(kendalltau(one, other).statistic), float(spearmanr(one, other).statistic)


@dataclass(frozen=True, kw_only=True)
class _Bench:
    """One judge's verdicts at one budget, as if it had been the only judge; `first` has those of the first judge."""

    judge: str
    cells: list[Cell]
    first: dict[str, CellVerdicts]
    num_resamples: int

    @property
    def num_draws(self) -> int:
        """Fits are dearer than means: no more of them than a published score has."""
        return min(self.num_resamples, NUM_RESAMPLES)

    def rows(self) -> list[JudgedRow]:
        entries = gather(self.cells)
        raw = Measurements.of(entries, WIN_RATE, bigger_is_better=True, baseline=None)
        rates = raw.estimates(self.num_resamples)
        items = {item for cell in self.cells if cell.verdicts for item in cell.verdicts.ids}
        file = verdict_file(self.cells, where=Path("these results"))
        form = "joint" if len(entries) >= MIN_MODELS else "minimal"
        controlled = self._pooled(entries, raw.key, lambda: self._lengths(file, form))
        is_style = any(cell.prompts and cell.prompts.control == "style" for cell in self.cells)
        styled = self._pooled(entries, raw.key, lambda: self._styles(file)) if is_style else {}
        found = [
            self._row(entry, len(items), rates.get(at), controlled.get(at), form, styled.get(at))
            for at, entry in enumerate(entries)
        ]
        return sorted(found, key=lambda row: -row.win_rate.mean if row.win_rate else np.inf)

    def _lengths(self, file: VerdictFile, form: Any) -> dict[str, tuple[float, Floats]]:
        """The length-controlled win rate of each cell and its draws, in percent."""
        if not _has_lengths(file):
            return {}
        fitted = fit_lengths(Scoring(verdicts=file.path, metric="alpaca-lc", form=form, resamples=self.num_draws), file)
        return {
            model: (100 * each.rate.value, 100 * each.drawn)
            for model, each in fitted.controlled.items()
            if each.drawn is not None
        }

    def _styles(self, file: VerdictFile) -> dict[str, tuple[float, Floats]]:
        """The style-controlled score of each cell and its draws, in percent; fitted over all cells together."""
        if not _has_lengths(file):
            return {}
        verdicts = [each for verdicts in file.by_model.values() for each in verdicts]
        has_styles = all(each.style_model and each.style_baseline for each in verdicts)
        control = ("length", "markdown") if has_styles else ("length",)
        wanted = Scoring(verdicts=file.path, metric="arena-style", control=control, resamples=self.num_draws)
        models, styled = fit_style(wanted, file)
        assert styled.drawn is not None
        return {
            model: (100 * score.value, 100 * drawn)
            for model, score, drawn in zip(models, styled.scores, styled.drawn.T, strict=True)
        }

    def _pooled(
        self, entries: list[Entry], key: str, fit: Callable[[], dict[str, tuple[float, Floats]]]
    ) -> dict[int, Estimate]:
        """A score of every cell, pooled over the seeds of each entry."""
        of_cells = {model: found for model, found in fit().items() if np.isfinite(found[0])}
        seeds = {
            at: [(of_cells[model_name(cell)], cell) for cell in entry.done if model_name(cell) in of_cells]
            for at, entry in enumerate(entries)
        }
        known = {at: found for at, found in seeds.items() if found}
        estimates = pooled_estimates(
            [np.array([score for (score, _), _ in found]) for found in known.values()],
            [np.stack([drawn for (_, drawn), _ in found]) for found in known.values()],
            num_items=[max(len(cell.verdicts.ids) for _, cell in found if cell.verdicts) for found in known.values()],
            key=f"{key}|{self.judge}",
        )
        return dict(zip(known, estimates, strict=True))

    def _row(
        self,
        entry: Entry,
        num_items: int,
        rate: Estimate | None,
        controlled: Estimate | None,
        form: str,
        styled: Estimate | None,
    ) -> JudgedRow:
        told = [cell.verdicts for cell in entry.done if cell.verdicts is not None]
        values = _flat(told)
        failed = sum(value is None for value in values) + sum(num_items - len(each.ids) for each in told)
        prompts = entry.first.prompts
        is_cut = prompts is not None and prompts.num_prompts < prompts.num_in_all
        return JudgedRow(
            judge=self.judge,
            budget=entry.first.budget,
            label=entry.first.label,
            kind=entry.first.kind,
            matched_to=entry.first.matched_to,
            status="partial" if failed or is_cut else "complete",
            num_verdicts=sum(value is not None for value in values),
            win_rate=rate,
            controlled=controlled,
            form=form if controlled else None,
            styled=styled,
            ties=_share([value == 0.5 for value in values if value is not None]),
            **orders(told),
            length_ratio=_length_ratio(told),
            unparsable=_unparsable(told),
            failed=failed / (num_items * len(told)),
            reversals=reversals(entry.done, self.first),
        )


def _has_lengths(file: VerdictFile) -> bool:
    return all(
        verdict.length_model is not None and verdict.length_baseline is not None
        for verdicts in file.by_model.values()
        for verdict in verdicts
    )


def _flat(told: Sequence[CellVerdicts]) -> list[float | None]:
    return [value for each in told for value in each.preference]


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def orders(told: Sequence[CellVerdicts]) -> dict[str, float | None]:
    """Consistency and position bias, of the items that were judged in both orders, in labels or in probabilities."""
    readings = [readings_in(each.ids, each.preference, each.columns) for each in told]
    games = np.array(
        [both for each in readings for both in zip(each.model_first, each.baseline_first, strict=True)]
    ).reshape(-1, 2)
    games = games[np.isfinite(games).all(axis=1)]
    if not len(games):
        return {"consistency": None, "position_bias": None}
    same = np.sign(games[:, 0] - 0.5) == np.sign(0.5 - games[:, 1])
    return {"consistency": float(same.mean()), "position_bias": float(games.mean(axis=1).mean() - 0.5)}


def _length_ratio(told: Sequence[CellVerdicts]) -> float | None:
    pairs = [
        (mine, other)
        for each in told
        for mine, other in zip(
            each.columns.get("length_model", ()), each.columns.get("length_baseline", ()), strict=False
        )
        if mine is not None and other is not None
    ]
    total = sum(other for _, other in pairs)
    return sum(mine for mine, _ in pairs) / total if total else None


def _unparsable(told: Sequence[CellVerdicts]) -> float | None:
    """None for a judge that notes no flags."""
    flags = [flag for each in told for flag in each.columns.get("flags", ())]
    return _share([any(name in (flag or ()) for name in UNREADABLE) for flag in flags])


def reversals(cells: Sequence[Cell], first: dict[str, CellVerdicts]) -> float | None:
    """The share of items with the other winner than the first judge's, of all that both have a verdict on."""
    turned = []
    for cell in cells:
        other = first.get(model_name(cell))
        if cell.verdicts is None or other is None:
            continue
        theirs = dict(zip(other.ids, other.preference, strict=True))
        for item, mine in zip(cell.verdicts.ids, cell.verdicts.preference, strict=True):
            before = theirs.get(item)
            if mine is not None and before is not None:
                turned.append((mine - 0.5) * (before - 0.5) < 0)
    return _share(turned)

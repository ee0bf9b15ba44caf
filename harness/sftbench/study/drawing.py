"""Which figures a study has: one per metric and analysis, and per budget where there are several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sftbench.study import figures
from sftbench.study.definition import Study
from sftbench.study.findings import StudyFindings
from sftbench.study.published import published_differences
from sftbench.study.trials import Trial


def draw_figures(study: Study, findings: StudyFindings, out: Path) -> dict[str, str]:
    """Figures by what they show: the name of the file without its ending. What has nothing to show is not drawn."""
    figures.require_drawing()
    album = _Album(out)
    for analysis, draw in (("regression", _regressions), ("sweep", _sweeps), ("ablation", _ablations)):
        if analysis in study.analyses:
            draw(study, findings, album)
    for component, found in findings.correlations.items():
        names = [f"{component}:{metric}" for metric in study.correlated]
        names += [each.metric for each in findings.performance]
        album.add(figures.draw_correlations, component, found, names, title=f"correlations, {component}",
                  name=("correlation", component))  # fmt: skip
    return album.drawn


class _Album:
    def __init__(self, out: Path) -> None:
        self.out = out
        self.drawn: dict[str, str] = {}

    def add(
        self, draw: Callable[..., list[str]], *shown: Any, title: str, name: Sequence[str], budget: str = ""
    ) -> None:
        """`title` and the words of `name` are of the figure, and `budget` is of both where there are several."""
        file = _file(*name, budget)
        named: dict[str, str] = {"title": f"budget {budget}"} if budget else {}
        if draw(*shown, self.out, file, **named):
            self.drawn[title + (f", {budget}" if budget else "")] = file


def _regressions(study: Study, findings: StudyFindings, album: _Album) -> None:
    assert findings.axis is not None
    for wanted in findings.performance:
        for budget, named in _budgets(findings):
            lines = {series: line for (series, each, metric), line in findings.lines.items()
                     if (each, metric) == (budget, wanted.metric)}  # fmt: skip
            trials = [each for each in findings.trials if each.budget == budget]
            album.add(
                figures.draw_regression, findings.axis, wanted, trials, lines,
                title=f"{wanted.label} against {findings.axis.label}", name=("regression", wanted.metric), budget=named,
            )  # fmt: skip


def _sweeps(study: Study, findings: StudyFindings, album: _Album) -> None:
    assert findings.axis is not None
    for wanted in findings.performance:
        for budget, named in [(None, "")] if findings.axis.of == "budget" else _budgets(findings):
            album.add(
                figures.draw_sweep, findings.axis, wanted,
                [each for each in findings.estimates if budget in (None, each.budget)],
                places([each for each in findings.trials if budget in (None, each.budget)]),
                title=f"{wanted.label} along {findings.axis.label}", name=("sweep", wanted.metric), budget=named,
            )  # fmt: skip


def _ablations(study: Study, findings: StudyFindings, album: _Album) -> None:
    published = published_differences(study)
    for wanted in findings.performance:
        for budget, named in _budgets(findings):
            estimates = [each for each in findings.estimates if each.budget == budget]
            album.add(
                figures.draw_ablation, study, wanted, estimates, published,
                title=f"{wanted.label}: difference to {study.compare_with}",
                name=("ablation", wanted.metric), budget=named,
            )  # fmt: skip


def places(trials: Sequence[Trial]) -> dict[tuple[str, str], float]:
    """By label and budget: the place on the axis, the mean over seeds where each has its own."""
    found: dict[tuple[str, str], list[float]] = {}
    for each in trials:
        if each.x is not None:
            found.setdefault((each.label, each.budget), []).append(each.x)
    return {name: float(np.mean(values)) for name, values in found.items()}


def _budgets(findings: StudyFindings) -> Iterator[tuple[str, str]]:
    """Each budget, and how a figure of it is told from the others."""
    budgets = list(dict.fromkeys(each.budget for each in findings.trials))
    return ((budget, budget if len(budgets) > 1 else "") for budget in budgets)


def _file(*words: str) -> str:
    """Words as a file is named by them; two budgets such as `5%` and `5` are two names."""
    spelt = (word.replace("%", "pct") for word in words if word)
    return "-".join("".join(letter if letter.isalnum() else "-" for letter in word) for word in spelt)

"""From a results folder to the tables, figures and text of a study: records in, files out."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sftbench.board.build import budget_order
from sftbench.board.reading import read_cells
from sftbench.budget import Budget
from sftbench.store import write_atomically
from sftbench.study import tables
from sftbench.study.correlation import Correlation, correlations, sets_of
from sftbench.study.definition import Study
from sftbench.study.drawing import draw_figures
from sftbench.study.estimated import estimates_of, measured
from sftbench.study.findings import StudyFindings
from sftbench.study.published import published_tables
from sftbench.study.regression import Line, fit_line
from sftbench.study.text import study_text
from sftbench.study.trials import Trial, axis_of, trials_of


def analyse(study: Study, results: Path) -> StudyFindings:
    """Everything the study asks for, from the records below a results folder and the published tables."""
    cells = sorted(read_cells(results), key=lambda cell: budget_order(cell.budget))
    published = published_tables()
    axis = axis_of(study, [Budget.parse(each) for each in dict.fromkeys(cell.budget for cell in cells)])
    study = study.model_copy(update={"performance": measured(study, cells), "x": axis})
    trials, estimates = trials_of(study, cells), estimates_of(study, cells)
    lines = _lines(study, trials) if "regression" in study.analyses else {}
    related = _related(study, trials) if "correlation" in study.analyses else {}
    made: dict[str, tables.Rows] = {}
    if "regression" in study.analyses:
        made["slopes"] = tables.slope_rows(study, lines, published)
    if {"sweep", "ablation"} & set(study.analyses):
        made["estimates"] = tables.estimate_rows(study, estimates, published)
    if "correlation" in study.analyses:
        made["correlations"] = tables.correlation_rows(related)
    made |= {"trials": tables.trial_rows(study, trials), "published": tables.published_rows(study, published)}
    return StudyFindings(
        cells=cells, trials=trials, axis=axis, performance=study.performance, estimates=estimates,
        lines=lines, correlations=related, tables=made,
    )  # fmt: skip


def write_report(study: Study, findings: StudyFindings, out: Path, *, draw: bool = True) -> None:
    """`README.md`, a CSV file per table and the figures, in the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in findings.tables.items():
        if rows:
            write_atomically(out / f"{name}.csv", csv_text(rows))
    # Whatever becomes of the figures, the text is there.
    write_atomically(out / "README.md", study_text(study, findings, {}))
    if draw:
        write_atomically(out / "README.md", study_text(study, findings, draw_figures(study, findings, out)))


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the same keys as CSV; nothing is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _lines(study: Study, trials: Sequence[Trial]) -> dict[tuple[str, str, str], Line]:
    found = {}
    placed = [each for each in trials if each.x is not None]
    for series, budget in dict.fromkeys((each.series, each.budget) for each in placed):
        mine = [each for each in placed if (each.series, each.budget) == (series, budget)]
        for wanted in study.performance:
            ys = [each.performance[wanted.metric] for each in mine]
            found[series, budget, wanted.metric] = fit_line([each.x for each in mine if each.x is not None], ys)
    return found


def _related(study: Study, trials: Sequence[Trial]) -> dict[str, list[Correlation]]:
    """By component: correlations of its metrics with each other and with performance."""
    performance = [each.metric for each in study.performance]
    components = dict.fromkeys(name.partition(":")[0] for each in trials for name in each.diversity)
    return {
        component: correlations(
            sets_of(trials, [f"{component}:{metric}" for metric in study.correlated], performance),
            length=f"{component}:length",
        )
        for component in components
    }

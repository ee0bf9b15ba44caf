"""From a results folder to the tables, figures and text of a study: records in, files out."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sftbench.board.reading import read_cells
from sftbench.store import write_atomically
from sftbench.study import figures, tables
from sftbench.study.correlation import Correlation, correlations, sets_of
from sftbench.study.definition import Study
from sftbench.study.estimated import estimates_of, measured
from sftbench.study.findings import Findings
from sftbench.study.published import published_tables, row_named
from sftbench.study.regression import Line, fit_line
from sftbench.study.text import study_text
from sftbench.study.trials import Trial, trials_of


def analyse(study: Study, results: Path) -> Findings:
    """Everything the study asks for, from the records below a results folder and the published tables."""
    cells, published = read_cells(results), published_tables()
    study = study.model_copy(update={"performance": measured(study, cells)})
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
    return Findings(
        cells=cells, trials=trials, performance=study.performance, estimates=estimates, lines=lines,
        correlations=related, tables=made,
    )  # fmt: skip


def write_report(study: Study, findings: Findings, out: Path, *, draw: bool = True) -> None:
    """`README.md`, a CSV file per table and the figures, in the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in findings.tables.items():
        if rows:
            write_atomically(out / f"{name}.csv", csv_text(rows))
    drawn = _draw(study, findings, out) if draw else {}
    write_atomically(out / "README.md", study_text(study, findings, drawn))


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


def _draw(study: Study, findings: Findings, out: Path) -> dict[str, str]:
    """Figures by what they show: the name of the file without its ending."""
    figures.require_drawing()
    drawn: dict[str, str] = {}
    budgets = list(dict.fromkeys(each.budget for each in findings.trials))
    for wanted in findings.performance:
        if "regression" in study.analyses:
            assert study.x is not None
            for budget in budgets:
                at = {series: line for (series, each, metric), line in findings.lines.items()
                      if (each, metric) == (budget, wanted.metric)}  # fmt: skip
                trials = [each for each in findings.trials if each.budget == budget]
                name = _file("regression", wanted.metric, budget if len(budgets) > 1 else "")
                figures.draw_regression(study.x, wanted, trials, at, out, name)
                drawn[f"{wanted.label} against {study.x.label}" + (f", {budget}" if len(budgets) > 1 else "")] = name
        if "sweep" in study.analyses:
            places = {(each.label, each.budget): each.x for each in findings.trials if each.x is not None}
            name = _file("sweep", wanted.metric)
            figures.draw_sweep(study, wanted, findings.estimates, places, out, name)
            drawn[f"{wanted.label} along {study.x.label if study.x else ''}"] = name
        if "ablation" in study.analyses:
            name = _file("ablation", wanted.metric)
            figures.draw_ablation(study, wanted, findings.estimates, published_differences(study), out, name)
            drawn[f"{wanted.label}: difference to {study.compare_with}"] = name
    for component, found in findings.correlations.items():
        names = [f"{component}:{metric}" for metric in study.correlated]
        names += [each.metric for each in findings.performance]
        name = _file("correlation", component)
        figures.draw_correlations(component, found, names, out, name)
        drawn[f"correlations, {component}"] = name
    return drawn


def published_differences(study: Study) -> dict[str, float]:
    """By series: the paper's mean minus that of the series that others are held against, in one table.

    Rows with a flag are left out: a number that is marked wrong or suspicious enters no difference.
    """
    known = published_tables()
    own = {each.name: [row_named(reference, known) for reference in each.published] for each in study.series}
    of_reference = {table.name: row for table, _, row in own.get(study.compare_with or "", [])}
    found: dict[str, float] = {}
    for series, rows in own.items():
        for table, _, row in rows:
            reference = of_reference.get(table.name)
            if reference is not None and series != study.compare_with and row.flag == reference.flag == "ok":
                found.setdefault(series, row.mean - reference.mean)
    return found


def _file(*words: str) -> str:
    return "-".join("".join(letter if letter.isalnum() else "-" for letter in word) for word in words if word)

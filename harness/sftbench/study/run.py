"""Run the grid of a study as a run, then analyse its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftbench.board.entries import board_names
from sftbench.board.site.files import write_site
from sftbench.board.table import WIN_RATE
from sftbench.compare import Comparison, compare
from sftbench.composition import parse_method
from sftbench.errors import UsageError, unknown_name
from sftbench.methods import resolve
from sftbench.parameters import parse_use
from sftbench.plugins import Plugins
from sftbench.runner import Run, Watcher, prepare
from sftbench.settings import load_settings
from sftbench.store import write_atomically
from sftbench.study.definition import RECORD, Series, Study, load_study
from sftbench.study.figures import require_drawing
from sftbench.study.findings import StudyFindings
from sftbench.study.grid import written_out
from sftbench.study.published import published_tables, row_named, table_named
from sftbench.study.report import analyse, write_report
from sftbench.study.trials import axis_of
from sftbench.survey import with_suite_defaults

FOLDER = "study"


@dataclass(frozen=True, kw_only=True)
class Studied:
    """A study that was carried out. `folder` holds tables and figures; without a finished cell there is none."""

    run: Run
    comparison: Comparison
    findings: StudyFindings | None
    folder: Path


def plan_study(
    study: Study, flags: Mapping[str, Any], plugins: Plugins, *, draw: bool = True
) -> tuple[Run, Study, list[str]]:
    """The run of a study, the study without the series that nobody offers, and remarks on these.

    Flags win over the environment, and that over the study's own settings. Raises `UsageError` for a study
    that names what does not exist, and `EnvironmentProblem` where figures are wanted and cannot be drawn.
    """
    if draw:
        require_drawing()
    _check_published(study)
    kept, remarks = _installed(study, plugins)
    methods = list(dict.fromkeys(point.label for series in kept.series for text in series.methods
                                 for point in written_out(text)))  # fmt: skip
    settings, given = load_settings({**flags, "methods": methods}, None, below=study.run | {"name": study.name})
    run = prepare(with_suite_defaults(settings, given, plugins), given, plugins)
    _check_metrics(kept, run)
    axis_of(kept, run.terms.budgets)
    return run, kept, remarks


def carry_out_study(run: Run, study: Study, watcher: Watcher, *, remarks: list[str], draw: bool = True) -> Studied:
    """Do what is missing, write records, board, tables and figures. The same command goes on where it was."""
    compared = compare(run, watcher)
    folder = run.board_folder / FOLDER
    findings = None
    if compared.board is not None:
        kept = study.model_copy(update={"notes": [*study.notes, *remarks]})
        write_atomically(compared.results / RECORD, kept.model_dump_json(indent=1) + "\n")
        findings = analyse(kept, compared.results)
        write_report(kept, findings, folder, draw=draw)
        write_site(compared.board, compared.results, run.board_folder)
    return Studied(run=run, comparison=compared, findings=findings, folder=folder)


def study_again(results: Path, out: Path, *, draw: bool = True) -> StudyFindings:
    """Tables and figures once more, from the records of a study and nothing else."""
    if draw:
        require_drawing()
    study = load_study(str(results))
    findings = analyse(study, results)
    write_report(study, findings, out, draw=draw)
    return findings


def _installed(study: Study, plugins: Plugins) -> tuple[Study, list[str]]:
    kept: list[Series] = []
    remarks: list[str] = []
    for series in study.series:
        missing = _missing(series, plugins) if series.if_installed else None
        if missing is None:
            kept.append(series)
        else:
            remarks.append(f"Left out, since it is not installed: {series.name} ({missing}).")
    if not kept:
        raise UsageError(f"nothing of the study {study.name} is installed: {' '.join(remarks)}")
    return study.model_copy(update={"series": kept}), remarks


def _missing(series: Series, plugins: Plugins) -> str | None:
    """Why the methods of a series cannot be made, if they cannot."""
    try:
        for text in series.methods:
            for point in written_out(text):
                resolve(plugins, parse_method(point.label), parse_use("sft"))
    except UsageError as problem:
        return str(problem)
    return None


def _check_metrics(study: Study, run: Run) -> None:
    """Refuse a metric that nothing in the run measures, before anything is spent."""
    known = set(board_names((part.name, name) for part in run.terms.evals for name in _metrics_of(part)).values())
    for wanted in (each.metric for each in study.performance):
        if wanted == WIN_RATE and not any(cell.verdicts for cell in run.plan.cells):
            absent = f"the method '{run.terms.baseline}'" if run.terms.judges else "a judge (--judge)"
            raise UsageError(f"the study {study.name} asks for {wanted}, which takes {absent}, and there is none")
        if wanted not in known | {WIN_RATE}:
            evaluators = ", ".join(part.name for part in run.terms.evals)
            problem = unknown_name("metric of the study", wanted, known)
            raise UsageError(f"{problem}; it is measured by --evals {evaluators}")


def _metrics_of(evaluator: Any) -> Sequence[str]:
    named: Sequence[str] = getattr(evaluator, "metrics", (evaluator.name,))
    return named


def _check_published(study: Study) -> None:
    known = published_tables()
    for name in study.published:
        table_named(name, known)
    for series in study.series:
        for reference in series.published:
            row_named(reference, known)

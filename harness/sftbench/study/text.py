"""The report of a study as Markdown: what was asked, what was found, and the published numbers beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sftbench.study.definition import Study
from sftbench.study.findings import StudyFindings
from sftbench.study.published import Published, published_tables, table_named

NOTHING = "–"


def study_text(study: Study, findings: StudyFindings, drawn: Mapping[str, str]) -> str:
    """`README.md` of a study."""
    parts = [f"# Study: {study.name}", study.about.strip()]
    if study.paper:
        parts.append(f"Paper: {study.paper}")
    parts.append(_measured_on(findings))
    parts.append("\n".join(f"- {each}" for each in (*study.notes, *_accidents(study, findings))))
    for title, name in drawn.items():
        parts.append(f"## {title[0].upper()}{title[1:]}\n\n![{title}]({name}.svg)")
    if "slopes" in findings.tables:
        parts.append("## Slopes\n\n" + _slopes(findings.tables["slopes"]))
    if "estimates" in findings.tables:
        parts.append("## Means and differences\n\n" + _estimates(study, findings.tables["estimates"]))
    if findings.correlations:
        parts.append("## Correlation with performance\n\n" + _correlations(study, findings))
    if study.published:
        known = published_tables()
        shown = "\n\n".join(_published(table_named(name, known)) for name in study.published)
        parts.append("## Published\n\n" + _WARNING + "\n\n" + shown)
    parts.append(_LEGEND)
    return "\n\n".join(part for part in parts if part) + "\n"


_WARNING = (
    "Labels, never baselines: another base model, pool, recipe and metric than those measured here, one training seed, "
    "and no intervals. A printed mean that does not follow from its columns is struck through, and the recomputed one "
    "stands beside it; what is flagged enters no difference."
)
_LEGEND = """## Legend

- Slope: Bayesian linear regression with one slope, both precisions set by the evidence; the posterior standard
  deviation and the chance that the slope is above 0 belong to it. The band of a figure is one standard deviation of the
  line. `evidence_for_no_slope`: the evidence grows as the slope goes to 0, and its deviation tells nothing then; see
  least squares.
- Means and differences: 95 % intervals as on the board; differences are paired by item and seed.
- Correlations: over the sets of rows that were chosen, trainings on the same rows averaged; 95 % bootstrap intervals,
  methods drawn whole. Partial: with the mean length held fixed.
- `trials.csv` has every trial with every diversity metric of its rows; `published.csv` every published number with its
  source."""


def _measured_on(findings: StudyFindings) -> str:
    cells = findings.cells
    if not cells:
        return "Nothing was measured."
    first = cells[0]
    budgets = ", ".join(dict.fromkeys(each.budget for each in cells))
    seeds = sorted({each.seed for each in cells})
    return (
        f"Measured on the pool {first.pool.name} ({first.pool.num_rows} rows"
        + (f", {first.pool.num_planted} of them planted with defects" if first.pool.num_planted else "")
        + f") with the base model {first.base.name}; budget {budgets}; seeds {', '.join(map(str, seeds))}; "
        f"{len(findings.trials)} trials."
    )


def _accidents(study: Study, findings: StudyFindings) -> list[str]:
    failed = [each for each in findings.cells if each.status == "failed"]
    short = sorted({each.label for each in findings.cells if each.selection and each.selection.status == "short"})
    found: list[str] = []
    if failed:
        labels = ", ".join(sorted({each.label for each in failed}))
        found.append(f"{len(failed)} cell{'s' if len(failed) > 1 else ''} failed; no table has what failed: {labels}.")
    missing = [each.metric for each in study.performance if each not in findings.performance]
    if missing and findings.trials:
        found.append(f"No finished cell has this metric, so nothing is told of it: {', '.join(missing)}.")
    found += _undescribed(findings)
    if short:
        found.append(f"Fewer rows than the budget allows: {', '.join(short)}.")
    notes = sorted(
        {m.note for c in findings.cells for each in c.diversity.values() for m in each if "budget" in m.note}
    )
    if notes:
        found.append("Some sets are smaller than the token budget of the diversity metrics (`budget_not_reached`).")
    return found


def _undescribed(findings: StudyFindings) -> list[str]:
    """Whose diversity is missing in the tables, by the reason."""
    labels: dict[str, set[str]] = {}
    for cell in findings.cells:
        for each in cell.undescribed.values():
            labels.setdefault(f"{each.error}: {each.message}", set()).add(cell.label)
    return [
        f"The diversity of what was chosen could not be measured for {', '.join(sorted(found))} ({why})."
        for why, found in labels.items()
    ]


def _slopes(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["series", "budget", "metric", "unit", "trials", "slope ± sd", "P(slope > 0)", "least squares", "published"]
    lines = [
        [
            row["series"], row["budget"], row["metric"], row["unit"], row["num_trials"],
            row["note"] or f"{_number(row['slope'])} ± {_number(row['posterior_sd'])}",
            _number(row["p_slope_positive"]),
            f"{_number(row['least_squares_slope'])} ± {_number(row['least_squares_sd'])}", _cell(row),
        ]
        for row in rows
    ]  # fmt: skip
    return _table(head, lines)


def _estimates(study: Study, rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["series", "method", "budget", "metric", "mean [95 %]"]
    head += [f"difference to {study.compare_with}"] if study.compare_with else []
    has_published = any(row["published"] for row in rows)
    lines = []
    for row in rows:
        line = [row["series"], f"`{row['method']}`", row["budget"], f"{row['metric']} ({row['unit']})"]
        line.append(_interval(row, ""))
        line += [_interval(row, "difference_")] if study.compare_with else []
        lines.append(line + ([_cell(row)] if has_published else []))
    return _table(head + (["published"] if has_published else []), lines)


def _correlations(study: Study, findings: StudyFindings) -> str:
    """Each metric against each measure of performance, the strongest first."""
    performance = {each.metric for each in study.performance}
    lines = []
    for component, pairs in findings.correlations.items():
        mine = [each for each in pairs if each.second in performance and each.first not in performance]
        for each in sorted(mine, key=lambda each: (each.second, -abs(each.r) if each.r == each.r else 0)):
            lines.append(
                [
                    component, each.first.partition(":")[2], each.second, each.num_sets,
                    f"{_number(each.r)} [{_number(each.low)}, {_number(each.high)}]",
                    f"{_number(each.partial)} [{_number(each.partial_low)}, {_number(each.partial_high)}]",
                ]
            )  # fmt: skip
    return _table(["component", "metric", "performance", "sets", "r [95 %]", "partial r given length [95 %]"], lines)


def _published(published: Published) -> str:
    table = published.table
    has_mean = any(row.printed is not None for row in table.rows.values())
    head = ["row", *table.columns, *(["mean"] if has_mean else []), "flag"]
    lines = []
    for name, row in table.rows.items():
        mean = NOTHING if row.printed is None else f"{row.printed:.2f}"
        if row.flag == "E!":
            mean = f"~~{row.printed:.2f}~~ {row.mean:.2f}"
        flag: str = "" if row.flag == "ok" else row.flag
        flag += f" ({row.note})" if row.note else ""
        lines.append([name, *(f"{value:g}" for value in row.values), *([mean] if has_mean else []), flag])
    return f"{published.citation} ({table.unit}).\n\n" + _table(head, lines)


def _cell(row: Mapping[str, Any]) -> str:
    flags = {each for each in row["published_flag"].split(" | ") if each not in ("", "ok")}
    return (row["published"] or NOTHING) + (f" ({', '.join(sorted(flags))})" if flags else "")


def _interval(row: Mapping[str, Any], prefix: str) -> str:
    mean, low, high = (row[f"{prefix}{name}"] for name in ("mean", "low", "high"))
    if mean is None:
        return NOTHING
    return _number(mean) + ("" if low is None or high is None else f" [{_number(low)}, {_number(high)}]")


def _number(value: float | None) -> str:
    return NOTHING if value is None or value != value else f"{value:.3g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(str(each).replace("|", "\\|").replace("\n", " ") for each in cells) + " |"

    return "\n".join([line(head), "|" + " --- |" * len(head), *(line(row) for row in rows)])

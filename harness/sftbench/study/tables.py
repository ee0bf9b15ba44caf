"""The tables of a study, each a list of lines with the same keys: what goes into CSV, JSON and the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sftbench.board.statistics import Estimate
from sftbench.board.table import six_digits
from sftbench.study.correlation import Correlation
from sftbench.study.definition import Series, Study
from sftbench.study.estimated import Estimated
from sftbench.study.published import Published, row_named, table_named
from sftbench.study.regression import Line
from sftbench.study.trials import Trial

Row = dict[str, Any]
Rows = list[Row]


def trial_rows(study: Study, trials: Sequence[Trial]) -> Rows:
    """One line per finished cell: where it stands, how it performed, and every diversity metric of its rows."""
    metrics = sorted({name for each in trials for name in each.diversity})
    return [
        _plain(
            {
                "series": each.series, "method": each.label, "budget": each.budget, "seed": each.seed, "x": each.x,
                **{performance.metric: each.performance[performance.metric] for performance in study.performance},
                **{name: each.diversity.get(name) for name in metrics},
            }
        )
        for each in trials
    ]  # fmt: skip


def slope_rows(study: Study, lines: Mapping[tuple[str, str, str], Line], tables: Mapping[str, Published]) -> Rows:
    """One line per series, budget and metric: the slope per step of the axis, and what the paper printed."""
    assert study.x is not None
    step, rows = study.x.step, []
    named = {each.name: each for each in study.series}
    for (series, budget, metric), line in lines.items():
        unit = next(each.unit for each in study.performance if each.metric == metric)
        rows.append(
            _plain(
                {
                    "series": series, "budget": budget, "metric": metric,
                    "unit": f"{unit} per {study.x.step:g} of {study.x.label}", "num_trials": line.num,
                    "slope": line.slope * step, "posterior_sd": line.sd * step, "p_slope_positive": line.p_positive,
                    "least_squares_slope": line.ols_slope * step, "least_squares_sd": line.ols_sd * step,
                    "noise_sd": line.noise, "note": line.note, **_beside(named[series], tables),
                }
            )
        )  # fmt: skip
    return rows


def estimate_rows(study: Study, estimates: Sequence[Estimated], tables: Mapping[str, Published]) -> Rows:
    """One line per method, budget and metric: mean, difference to the one it is held against, published beside it."""
    named = {each.name: each for each in study.series}
    places = {(each.series, each.label): each for each in estimates}
    assert places or not estimates
    units = {each.metric: each.unit for each in study.performance}
    return [
        _plain(
            {
                "series": each.series, "method": each.label, "budget": each.budget, "metric": each.metric,
                "unit": units[each.metric], "num_seeds": each.estimate.num_seeds,
                **_spread("", each.estimate), **_spread("difference_", each.difference),
                **_beside(named[each.series], tables),
            }
        )
        for each in estimates
    ]  # fmt: skip


def correlation_rows(found: Mapping[str, Sequence[Correlation]]) -> Rows:
    """One line per component and pair of columns."""
    return [
        _plain({"component": component, **{name: getattr(each, name) for name in vars(each)}})
        for component, pairs in found.items()
        for each in pairs
    ]


def published_rows(study: Study, tables: Mapping[str, Published]) -> Rows:
    """Every number of the published tables that the study names, with its source."""
    return [_plain(dict(line)) for name in study.published for line in table_named(name, tables).records()]


def _beside(series: Series, tables: Mapping[str, Published]) -> Row:
    """What the paper has for a series: its means, recomputed, with flag and table."""
    texts, flags, sources = [], [], []
    for reference in series.published:
        published, _, row = row_named(reference, tables)
        table = published.table
        if row.printed is None and len(row.values) > 1:
            texts.append(
                "; ".join(f"{value:g} ({name})" for name, value in zip(table.columns, row.values, strict=True))
            )
        elif row.printed is None:
            texts.append(f"{row.values[0]:g}")
        elif row.flag == "E!":
            texts.append(f"{row.mean:.2f} (printed {row.printed:.2f})")
        else:
            texts.append(f"{row.printed:.2f}")
        flags.append(row.flag)
        sources.append(f"{table.table}: {table.base_model}, {table.pool}, {table.budget}; {table.unit}")
    return {
        "published": " | ".join(texts),
        "published_flag": " | ".join(flags),
        "published_source": " | ".join(sources),
    }


def _spread(prefix: str, estimate: Estimate | None) -> Row:
    if estimate is None:
        return {f"{prefix}mean": None, f"{prefix}low": None, f"{prefix}high": None}
    return {f"{prefix}mean": estimate.mean, f"{prefix}low": estimate.low, f"{prefix}high": estimate.high}


def _plain(row: Row) -> Row:
    """Numbers to six digits; what is not finite is nothing."""
    return {
        name: (six_digits(value) if math.isfinite(value) else None) if isinstance(value, float) else value
        for name, value in row.items()
    }

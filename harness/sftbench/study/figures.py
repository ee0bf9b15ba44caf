"""The figures of a study, as SVG and PNG: colours that a colour-blind reader can tell, and marks beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sftbench.errors import EnvironmentProblem
from sftbench.study.correlation import Correlation
from sftbench.study.definition import Axis, Performance, Study
from sftbench.study.estimated import Estimated
from sftbench.study.regression import Line
from sftbench.study.trials import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Okabe and Ito's palette without its yellow, which is too light for a line."""
MARKS = ("o", "s", "^", "D", "v", "P", "X")
STROKES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)), (0, (7, 2)), (0, (3, 1)))
DOTS_PER_INCH = 160
MOST_TICKS = 10
"""Up to so many places of an axis are its ticks, if they are far enough apart to be written."""
GREY = "#666666"


def require_drawing() -> None:
    """Raise `EnvironmentProblem` before any work when figures cannot be drawn."""
    import importlib.util

    if importlib.util.find_spec("matplotlib") is None:
        raise EnvironmentProblem(
            "figures need matplotlib, which is not installed; install it, or leave them out with --no-figures"
        )


@contextmanager
def canvas(
    width: float, height: float, *, rows: int = 1, columns: int = 1, title: str = "", **options: Any
) -> Iterator[Any]:
    """An empty figure and its plots [rows, columns], drawn without any global state."""
    import matplotlib
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "svg.hashsalt": "sftbench", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "grid.color": "#e4e4e4", "grid.linewidth": 0.6, "axes.axisbelow": True,
        "legend.frameon": False, "axes.titlesize": 9, "savefig.bbox": "tight", "savefig.pad_inches": 0.05,
    }  # fmt: skip
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
        if title:
            figure.suptitle(title, fontsize=9, weight="bold")
        yield figure, figure.subplots(rows, columns, squeeze=False, **options)


def save(figure: Figure, folder: Path, name: str) -> list[str]:
    """`NAME.svg` and `NAME.png`, the same bytes for the same data."""
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
    figure.savefig(folder / f"{name}.png", metadata={"Software": None})
    return [f"{name}.svg", f"{name}.png"]


def draw_regression(
    axis: Axis, performance: Performance, trials: Sequence[Trial], lines: Mapping[str, Line],
    out: Path, name: str, *, title: str = "",
) -> list[str]:  # fmt: skip
    """A plot per series: its trials, their line with a band of one standard deviation, and what has no place on the
    axis (a random choice) as a grey line. Without a line there is no figure."""
    if not lines:
        return []
    columns = min(3, len(lines))
    rows = -(-len(lines) // columns)
    size = {"width": 0.8 + 2.75 * columns, "height": 0.9 + 2.35 * rows}
    with canvas(**size, rows=rows, columns=columns, title=title, sharex=True, sharey=True) as (figure, plots):
        for number, (series, line) in enumerate(lines.items()):
            plot = plots[number // columns, number % columns]
            mine = [each for each in trials if each.series == series and each.x is not None]
            xs = np.array([each.x for each in mine], dtype=np.float64)
            ys = np.array([each.performance[performance.metric] for each in mine])
            plot.plot(xs, ys, "o", color=COLOURS[0], markersize=4, alpha=0.75, markeredgewidth=0)
            if np.isfinite(line.slope) and len(xs):
                at = np.linspace(xs.min(), xs.max(), 60)
                middle, reach = line.at(at), line.band(at)
                plot.plot(at, middle, color=COLOURS[1], linewidth=1.6)
                plot.fill_between(at, middle - reach, middle + reach, color=COLOURS[1], alpha=0.2, linewidth=0)
            _references(plot, trials, performance)
            plot.tick_params(labelbottom=number + columns >= len(lines))
            plot.set_title(f"{series}\n{_slope(line, axis)}", fontsize=8)
        for plot in plots.ravel()[len(lines) :]:
            plot.set_visible(False)
        figure.supxlabel(axis.label, fontsize=9)
        figure.supylabel(f"{performance.label} ({performance.unit})", fontsize=9)
        return save(figure, out, name)


def draw_sweep(
    axis: Axis, performance: Performance, estimates: Sequence[Estimated], places: Mapping[tuple[str, str], float],
    out: Path, name: str, *, title: str = "",
) -> list[str]:  # fmt: skip
    """Means with 95 % intervals along the axis, a line per series; `places` gives x by label and budget.

    Where nothing has a place there is no figure.
    """
    mine = [each for each in estimates if each.metric == performance.metric]
    named = list(dict.fromkeys(each.series for each in mine if (each.label, each.budget) in places))
    if not named:
        return []
    xs = np.array(sorted(set(places.values())))
    is_wide = len(xs) > 2 and xs[0] > 0 and xs[-1] / xs[0] >= 8
    with canvas(6.6, 4.4, title=title) as (figure, ((plot,),)):
        for number, series in enumerate(named):
            points = sorted(
                (
                    (places[each.label, each.budget], each.estimate)
                    for each in mine
                    if each.series == series and (each.label, each.budget) in places
                ),
                key=lambda point: point[0],
            )
            # Marks that would lie on each other are moved apart by less than their size.
            shift = 0.012 * (number - (len(named) - 1) / 2)
            at = np.array([x for x, _ in points])
            at = at * 2 ** (shift * np.log2(xs[-1] / xs[0])) if is_wide else at + shift * np.ptp(xs)
            _with_intervals(plot, at, [each for _, each in points], series, _look(number))
        _estimated_references(plot, mine, places)
        if is_wide:
            plot.set_xscale("log", base=2)
            plot.set_xticks(xs, [f"{x:g}" for x in xs])
            plot.minorticks_off()
        elif len(xs) <= MOST_TICKS and (len(xs) == 1 or np.diff(xs).min() >= 0.08 * np.ptp(xs)):
            plot.set_xticks(xs, [f"{x:g}" for x in xs])
        plot.set_xlabel(axis.label)
        plot.set_ylabel(f"{performance.label} ({performance.unit})")
        figure.legend(loc="outside lower center", ncols=3, fontsize=8)
        return save(figure, out, name)


def draw_ablation(
    study: Study, performance: Performance, estimates: Sequence[Estimated], published: Mapping[str, float],
    out: Path, name: str, *, title: str = "",
) -> list[str]:  # fmt: skip
    """Differences to the method that others are held against: measured with intervals, and the paper's beside them.

    A row per method of the `estimates`, which are of one budget. `published` holds the paper's differences by
    series; they have their own panel, since they are of another model, pool and metric. Without a difference
    there is no figure.
    """
    mine = [each for each in estimates if each.metric == performance.metric and each.difference is not None]
    if not mine:
        return []
    series_of_rows = [each.series for each in mine]
    rows = [each.series if series_of_rows.count(each.series) == 1 else each.label for each in mine]
    with canvas(8.2, 1.6 + 0.32 * max(len(rows), 2), columns=2, title=title) as (figure, ((left, right),)):
        for row, found in enumerate(mine):
            difference, series = found.difference, found.series
            assert difference is not None
            if difference.low is not None and difference.high is not None:
                left.plot([difference.low, difference.high], [row, row], color=COLOURS[0], linewidth=1.6)
            left.plot([difference.mean], [row], "o", color=COLOURS[0], markersize=5)
            if series in published:
                right.plot([published[series]], [row], "D", color=COLOURS[1], markersize=5)
        for plot in (left, right):
            plot.axvline(0, color=GREY, linewidth=0.9)
            plot.set_ylim(len(rows) - 0.5, -0.5)
            plot.grid(axis="y", visible=False)
            plot.margins(x=0.08)
        left.set_yticks(range(len(rows)), rows)
        right.set_yticks(range(len(rows)), [""] * len(rows))
        left.set_title(f"measured: {performance.label}")
        left.set_xlabel(f"difference to '{study.compare_with}' ({performance.unit}), 95 % interval")
        right.set_title("published (another model, pool and metric)")
        right.set_xlabel(f"difference to '{study.compare_with}' (points)")
        return save(figure, out, name)


def draw_correlations(
    component: str, found: Sequence[Correlation], names: Sequence[str], out: Path, name: str
) -> list[str]:
    """All correlations as a triangle of coloured cells with their values; those whose interval spans 0 are grey.

    Without any there is no figure.
    """
    if not any(np.isfinite(each.r) for each in found):
        return []
    size = len(names)
    values = np.full((size, size), np.nan)
    clear = np.zeros((size, size), dtype=np.bool_)
    for each in found:
        row, column = names.index(each.second), names.index(each.first)
        values[row, column] = each.r
        clear[row, column] = each.low > 0 or each.high < 0
    with canvas(2.4 + 0.52 * size, 1.9 + 0.46 * size) as (figure, ((plot,),)):
        plot.grid(visible=False)
        image = plot.imshow(np.ma.masked_invalid(values), cmap="RdBu_r", vmin=-1, vmax=1)
        for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True):
            value = values[row, column]
            shade = "white" if abs(value) > 0.6 else "black"
            weight = "bold" if clear[row, column] else "normal"
            colour = shade if clear[row, column] or abs(value) > 0.6 else GREY
            # Nothing is nothing, and not -0.00.
            told = f"{round(value, 2) + 0.0:.2f}"
            plot.text(column, row, told, ha="center", va="center", fontsize=7, color=colour, weight=weight)
        labels = [_short(each, component) for each in names]
        plot.set_xticks(range(size - 1), labels[:-1], rotation=50, ha="right", rotation_mode="anchor")
        plot.set_yticks(range(1, size), labels[1:])
        plot.set_xlim(-0.5, size - 1.5)
        plot.set_ylim(size - 0.5, 0.5)
        figure.colorbar(image, ax=plot, label="Pearson r", shrink=0.7)
        plot.set_title(f"{component} metrics and performance; bold: 95 % interval without 0")
        return save(figure, out, name)


def _look(number: int) -> dict[str, Any]:
    # Past the last colour the marks move on by one, so that no two of 49 lines look the same.
    turn, place = divmod(number, len(COLOURS))
    other = (place + turn) % len(MARKS)
    return {"color": COLOURS[place], "marker": MARKS[other], "linestyle": STROKES[other]}


def _with_intervals(plot: Axes, xs: Any, estimates: Sequence[Any], label: str, look: Mapping[str, Any]) -> None:
    means = np.array([each.mean for each in estimates])
    lows = np.array([each.mean if each.low is None else each.low for each in estimates])
    highs = np.array([each.mean if each.high is None else each.high for each in estimates])
    plot.errorbar(
        xs, means, yerr=[means - lows, highs - means], label=label, markersize=5, capsize=2.5, linewidth=1.2,
        elinewidth=0.9, **look,
    )  # fmt: skip


def _references(plot: Axes, trials: Sequence[Trial], performance: Performance) -> None:
    for series in dict.fromkeys(each.series for each in trials if each.x is None):
        values = [each.performance[performance.metric] for each in trials if each.series == series and each.x is None]
        finite = [value for value in values if np.isfinite(value)]
        if not finite:
            continue
        mean = float(np.mean(finite))
        plot.axhline(mean, color=GREY, linestyle=":")
        plot.annotate(
            series, (1, mean), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=7, color=GREY
        )


def _estimated_references(plot: Axes, estimates: Sequence[Estimated], places: Mapping[tuple[str, str], float]) -> None:
    for each in estimates:
        if (each.label, each.budget) not in places:
            plot.axhline(each.estimate.mean, color=GREY, linestyle=":", label=f"{each.series}")
            if each.estimate.low is not None and each.estimate.high is not None:
                plot.axhspan(each.estimate.low, each.estimate.high, color=GREY, alpha=0.08, linewidth=0)


def _slope(line: Line, axis: Axis) -> str:
    if not np.isfinite(line.slope):
        return f"no line ({line.note})"
    if line.note:
        return "the evidence is for no slope"
    return f"{_with_error(line.slope * axis.step, line.sd * axis.step)} per {axis.step:g}, {_chance(line.p_positive)}"


def _with_error(value: float, error: float) -> str:
    """Both to two digits of the error."""
    digits = max(0, 1 - math.floor(math.log10(error))) if error > 0 else 3
    return f"{value:+.{digits}f} ± {error:.{digits}f}" if digits < 8 else f"{value:+.3g} ± {error:.2g}"


def _chance(p: float) -> str:
    """No chance reads as none or as certain."""
    return "P(slope > 0) " + ("< 0.01" if p < 0.01 else "> 0.99" if p > 0.99 else f"= {p:.2f}")


def _short(name: str, component: str) -> str:
    return name.removeprefix(f"{component}:")

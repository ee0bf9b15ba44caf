"""What a study found, in a sentence per metric, from its table of slopes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sftbench.board.site.alike import listed

SURE = 0.975
"""How probable one direction must be before it is told as found."""


def slopes_found(lines: Iterable[Mapping[str, str]], label: str, bigger_is_better: Mapping[str, bool]) -> list[str]:
    """A sentence per budget and metric: in which series the metric rises or falls with what the study varies.

    `lines` are those of `slopes.csv`; ones without a probability are left out. `label` says what is varied.
    """
    label = label.removesuffix(", %")
    found: dict[tuple[str, str], dict[str, float]] = {}
    for line in lines:
        try:
            chance = float(line["p_slope_positive"])
            found.setdefault((line["budget"], line["metric"]), {})[line["series"]] = chance
        except (KeyError, ValueError):
            continue
    several = len({budget for budget, _ in found}) > 1
    return [
        _sentence(
            metric + ("" if bigger_is_better.get(metric, True) else " (smaller is better)"),
            label,
            f" at {budget}" if several else "",
            series,
        )
        for (budget, metric), series in found.items()
    ]


def _sentence(metric: str, label: str, place: str, series: Mapping[str, float]) -> str:
    rising = [name for name, chance in series.items() if chance >= SURE]
    falling = [name for name, chance in series.items() if chance <= 1 - SURE]
    if not rising and not falling:
        return f"{metric}{place}: no slope over {label} is found in any of {len(series)} series."
    told = [
        f"{word} with {label} in {len(names)} of {len(series)} series ({_quoted(names)})"
        for word, names in (("rises", rising), ("falls", falling))
        if names
    ]
    rest = len(series) - len(rising) - len(falling)
    return f"{metric}{place} {' and '.join(told)}{f'; in {rest} no slope is found' if rest else ''}."


def _quoted(names: list[str]) -> str:
    return listed([f"“{name}”" for name in names])

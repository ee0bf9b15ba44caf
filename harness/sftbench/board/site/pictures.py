"""Where the marks of drawings go: an interval on the scale of its metric, scores against cost with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from sftbench.board.making import unbeaten
from sftbench.board.statistics import Estimate

WIDTH, HEIGHT = 120, 14
_EDGE = 4
LONGEST_LABEL = 28


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The part of a metric's values that its bars show, the same for all rows."""

    low: float
    high: float

    @classmethod
    def of(cls, estimates: Iterable[Estimate]) -> Scale | None:
        """All intervals, unless some are so wide that nothing else could be seen: those are cut.

        The scale reaches beyond the means by no more than half of their spread, or a typical half-width.
        """
        found = list(estimates)
        if not found:
            return None
        least, most = min(each.mean for each in found), max(each.mean for each in found)
        halves = sorted((each.high - each.low) / 2 for each in found if each.low is not None and each.high is not None)
        room = max((most - least) / 2, 1.2 * halves[len(halves) // 2] if halves else 0.0)
        low = max(least - room, min((each.low for each in found if each.low is not None), default=least))
        high = min(most + room, max((each.high for each in found if each.high is not None), default=most))
        low, high = min(low, least), max(high, most)
        return cls(low=low, high=high) if high > low else cls(low=low - 0.5, high=high + 0.5)

    def at(self, value: float, width: float = WIDTH, edge: float = _EDGE) -> float:
        """Where a value stands between the edges; values outside stand at an edge."""
        share = (value - self.low) / (self.high - self.low)
        return round(edge + min(max(share, 0.0), 1.0) * (width - 2 * edge), 1)


@dataclass(frozen=True, kw_only=True)
class Bar:
    """An interval as a line with a dot for the mean, and a thin line where the reference stands."""

    mean: str
    low: str | None
    high: str | None
    reference: str | None


def bar(estimate: Estimate | None, scale: Scale | None, reference: float | None) -> Bar | None:
    """The places of the marks; None where there is nothing to draw."""
    if estimate is None or scale is None:
        return None
    places = [
        None if value is None else f"{scale.at(value):g}"
        for value in (estimate.mean, estimate.low, estimate.high, reference)
    ]
    return Bar(mean=places[0] or "", low=places[1], high=places[2], reference=places[3])


@dataclass(frozen=True, kw_only=True)
class Point:
    """An entry in the chart: `cost` in FLOPs, 0 for none, None where some of it is not known."""

    label: str
    score: float
    cost: float | None
    style: str
    may_be_on_front: bool = True
    on_front: bool = False

    @property
    def is_named(self) -> bool:
        """Whether the drawing has its label. Random rows matched to methods would be too many to name."""
        return self.on_front and self.style != "matched"


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark on an axis, with its place in the drawing."""

    place: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A point with its place; `side` says where its label stands, if it has one."""

    point: Point
    x: float
    y: float
    side: str
    label_y: float


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Everything that the template draws, in units of the drawing."""

    dots: tuple[Dot, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    front: str
    width: int = 760
    height: int = 380
    left: int = 56
    right: int = 20
    top: int = 14
    bottom: int = 46


def pareto(points: list[Point], *, bigger_is_better: bool) -> set[int]:
    """Which points have none that is at least as good at no more cost and better in one of the two."""
    sign = 1 if bigger_is_better else -1
    known = [
        (index, point.cost, sign * point.score)
        for index, point in enumerate(points)
        if point.cost is not None and point.may_be_on_front
    ]
    return set(unbeaten(known))


def chart(points: list[Point]) -> Chart | None:
    """Scores against cost on a logarithmic axis, rows that cost nothing in a lane at its left; None without a cost."""
    drawn = [point for point in points if point.cost is not None]
    paid = [point.cost for point in drawn if point.cost]
    if not paid or len(drawn) < 2:
        return None
    frame = Chart(dots=(), x_ticks=(), y_ticks=(), front="")
    lane = frame.left + (44 if len(paid) < len(drawn) else 0)
    low, high = _logarithmic(min(paid)), _logarithmic(max(paid))
    pad = max(0.12, (high - low) * 0.05)
    low, high = low - pad, high + pad
    steps = _steps(*_spread_out([point.score for point in drawn]))
    floor, ceiling = steps[0], steps[-1]

    def x(cost: float) -> float:
        if not cost:
            return frame.left + 18
        share = (_logarithmic(cost) - low) / (high - low)
        return round(lane + share * (frame.width - frame.right - lane), 1)

    def y(score: float) -> float:
        share = (score - floor) / (ceiling - floor)
        return round(frame.height - frame.bottom - share * (frame.height - frame.bottom - frame.top), 1)

    places = [(point, x(point.cost or 0.0), y(point.score)) for point in drawn]
    digits = max(0, -math.floor(math.log10(steps[1] - steps[0]) + 1e-9))
    ticks = [Tick(place=x(cost), text=_short(cost)) for cost in _decades(low, high)]
    none = [Tick(place=frame.left + 18, text="none")] if lane > frame.left else []
    return Chart(
        dots=tuple(_labelled(places, frame)),
        x_ticks=(*none, *ticks),
        y_ticks=tuple(Tick(place=y(step), text=f"{step:.{digits}f}") for step in steps),
        front=_front([(place, height) for point, place, height in places if point.on_front]),
    )


def _front(corners: list[tuple[float, float]]) -> str:
    """A staircase through the points of the front, in order of cost."""
    path = ""
    for place, height in sorted(corners):
        path += f"H{place:g}V{height:g}" if path else f"M{place:g} {height:g}"
    return path


def _labelled(places: list[tuple[Point, float, float]], frame: Chart) -> list[Dot]:
    """Labels for the front, on the side where there is room, none over another or over a dot of the front."""
    dots = []
    front = [(x, y) for point, x, y in places if point.on_front]
    written: list[tuple[float, float, float]] = []
    for point, x, y in sorted(places, key=lambda each: (each[0].on_front, each[1], each[2], each[0].label)):
        length = 6.8 * len(short_label(point.label)) + 10
        left = x + length > frame.width - frame.right
        start = x - length if left else x
        height = y - 7
        beside = [(at - 6, at + 6, dot + 4) for at, dot in front if at != x]
        while any(
            abs(height - other) < 13 and start < end and begin < start + length
            for begin, end, other in (*written, *beside)
        ):
            height -= 13
        height = max(height, frame.top)
        if point.is_named:
            written.append((start, start + length, height))
        dots.append(Dot(point=point, x=x, y=y, side="end" if left else "start", label_y=round(height, 1)))
    return dots


def short_label(label: str) -> str:
    """A label for the chart. Long ones lose their middle: rows of a sweep differ in the values at the end."""
    if len(label) <= LONGEST_LABEL:
        return label
    head = (LONGEST_LABEL - 1) // 2
    return f"{label[:head]}…{label[head + 1 - LONGEST_LABEL :]}"


def _logarithmic(cost: float) -> float:
    return math.log10(cost)


def _decades(low: float, high: float) -> list[float]:
    """Costs to mark: powers of ten, with twos and fives where these are few."""
    factors: tuple[int, ...] = (1,) if high - low > 3 else (1, 2, 5)
    powers = range(math.floor(low), math.ceil(high) + 1)
    return [factor * 10.0**power for power in powers for factor in factors if low <= math.log10(factor) + power <= high]


def _short(cost: float) -> str:
    for size, prefix in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if cost >= 0.9995 * size:
            return f"{cost / size:.3g} {prefix}"
    return f"{cost:.3g}"


def _spread_out(scores: list[float]) -> tuple[float, float]:
    """The least and the most; where these are one, a little to either side, so that the points stand in the middle."""
    least, most = min(scores), max(scores)
    room = 0.02 * abs(most) or 0.01
    return (least, most) if most - least > 1e-9 * room else (least - room, most + room)


def _steps(least: float, most: float) -> list[float]:
    """Round values from at or below the least to at or above the most, four to eight of them."""
    span = (most - least) or abs(most) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 5))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor * 6.5 >= span)
    first, last = math.floor(least / step + 1e-9), math.ceil(most / step - 1e-9)
    return [round(index * step, 12) for index in range(first, max(last, first + 1) + 1)]

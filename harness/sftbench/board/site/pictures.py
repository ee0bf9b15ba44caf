"""Where the marks of drawings go: an interval on the scale of its metric, scores against cost with the Pareto front."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sftbench.board.making import unbeaten
from sftbench.board.site.hostile import visible
from sftbench.board.site.labels import Box, Disc, Label, placed
from sftbench.board.statistics import Estimate

WIDTH, HEIGHT = 120, 14
_EDGE = 4
LONGEST_LABEL = 28
NUM_BEST = 3
"""Rows that are named in a chart beside those of the front."""
_AT_MOST = 60
_LANE = 44
_APART = 46
"""Units between two costs that are marked."""
_BETWEEN = (((1, 2, 5), 0.301), ((1, 3), 0.477), ((1,), 1.0))
"""What to mark of each power of ten, and how far apart these are at least, in powers of ten."""


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


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark on an axis, with its place in the drawing."""

    place: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A point with its place and its radius; `label` is its name or number, if it has one."""

    point: Point
    x: float
    y: float
    radius: float
    label: Label | None = None


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The size of a drawing and of its margins, in its units. One that is `numbered` has numbers in place of names."""

    width: int = 760
    height: int = 380
    left: int = 56
    right: int = 20
    top: int = 14
    bottom: int = 46
    numbered: bool = False

    @property
    def field(self) -> Box:
        """What is inside of the margins."""
        return Box(left=self.left, top=self.top, right=self.width - self.right, bottom=self.height - self.bottom)


WIDE = Frame()
NARROW = Frame(width=360, height=340, left=46, right=14, numbered=True)
"""For phones, where names would take half of the drawing each."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Everything that the template draws. `named` are the points that have a name or number, in the order of these."""

    frame: Frame
    dots: tuple[Dot, ...]
    named: tuple[Point, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    front: str


def pareto(points: list[Point], *, bigger_is_better: bool) -> set[int]:
    """Which points have none that is at least as good at no more cost and better in one of the two."""
    sign = 1 if bigger_is_better else -1
    known = [
        (index, point.cost, sign * point.score)
        for index, point in enumerate(points)
        if point.cost is not None and point.may_be_on_front
    ]
    return set(unbeaten(known))


def charts(points: list[Point], *, bigger_is_better: bool = True) -> tuple[Chart, Chart] | None:
    """The wide drawing and the narrow one; None without a cost."""
    named = named_points(points, bigger_is_better=bigger_is_better)
    wide, narrow = (chart(points, named, frame) for frame in (WIDE, NARROW))
    return (wide, narrow) if wide and narrow else None


def named_points(points: list[Point], *, bigger_is_better: bool) -> list[Point]:
    """Those on the front and the best few beside them, from the cheapest."""
    known = [point for point in points if point.cost is not None and point.style != "matched"]
    others = [point for point in known if not point.on_front]
    best = sorted(others, key=lambda point: (-point.score if bigger_is_better else point.score, point.label))
    found = [point for point in known if point.on_front] + best[:NUM_BEST]
    return sorted(found, key=lambda point: (point.cost, point.score, point.label))


def chart(points: list[Point], named: Sequence[Point] = (), frame: Frame = WIDE) -> Chart | None:
    """Scores against cost on a logarithmic axis, rows that cost nothing in a lane at its left; None without a cost."""
    drawn = [point for point in points if point.cost is not None]
    paid = [point.cost for point in drawn if point.cost]
    if not paid or len(drawn) < 2:
        return None
    lane = frame.left + (_LANE if len(paid) < len(drawn) else 0)
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

    dots = [Dot(point=point, x=x(point.cost or 0.0), y=y(point.score), radius=_radius(point)) for point in drawn]
    digits = max(0, -math.floor(math.log10(steps[1] - steps[0]) + 1e-9))
    ticks = [Tick(place=x(cost), text=_short(cost)) for cost in _decades(low, high, frame.width - frame.right - lane)]
    none = [Tick(place=frame.left + 18, text="none")] if lane > frame.left else []
    return Chart(
        frame=frame,
        dots=tuple(_labelled(dots, named, frame)),
        named=tuple(named),
        x_ticks=(*none, *ticks),
        y_ticks=tuple(Tick(place=y(step), text=f"{step:.{digits}f}") for step in steps),
        front=_front([(dot.x, dot.y) for dot in dots if dot.point.on_front]),
    )


def _radius(point: Point) -> float:
    return 2.5 if point.style == "matched" else 5 if point.on_front else 4


def _front(corners: list[tuple[float, float]]) -> str:
    """A staircase through the points of the front, in order of cost."""
    path = ""
    for place, height in sorted(corners):
        path += f"H{place:g}V{height:g}" if path else f"M{place:g} {height:g}"
    return path


def _told_apart(labels: list[str]) -> list[str]:
    """Short labels, but those that would be the same are left longer."""
    short = Counter(map(short_label, labels))
    return [found if short[found := short_label(label)] == 1 else label[:_AT_MOST] for label in labels]


def _lines(corners: list[tuple[float, float]]) -> list[Box]:
    """The lines of the staircase, a unit thick."""
    found = []
    for (x, y), (next_x, next_y) in pairwise(corners):
        found.append(Box(left=x, top=y - 0.5, right=next_x, bottom=y + 0.5))
        found.append(Box(left=next_x - 0.5, top=min(y, next_y), right=next_x + 0.5, bottom=max(y, next_y)))
    return found


def _labelled(dots: Sequence[Dot], named: Sequence[Point], frame: Frame) -> list[Dot]:
    """The dots, matched controls below and the front on top, each of `named` with its name or number."""
    ordered = sorted(dots, key=lambda dot: (dot.point.on_front, dot.point.style != "matched", dot.x, dot.y))
    discs = {id(dot): Disc(x=dot.x, y=dot.y, radius=dot.radius) for dot in ordered}
    numbers = {id(point): number for number, point in enumerate(named, 1)}
    told = [dot for dot in ordered if id(dot.point) in numbers]
    names = _told_apart([visible(dot.point.label) for dot in told])
    texts = [str(numbers[id(dot.point)]) for dot in told] if frame.numbered else names
    wanted = [(discs[id(dot)], text) for dot, text in zip(told, texts, strict=True)]
    corners = sorted((dot.x, dot.y) for dot in dots if dot.point.on_front)
    labels = placed(wanted, [*discs.values()], frame.field, _lines(corners))
    by_dot = {id(dot): label for dot, label in zip(told, labels, strict=True)}
    return [dataclasses.replace(dot, label=by_dot.get(id(dot))) for dot in ordered]


def short_label(label: str) -> str:
    """A label for the chart. Long ones lose their middle: rows of a sweep differ in the values at the end."""
    if len(label) <= LONGEST_LABEL:
        return label
    head = (LONGEST_LABEL - 1) // 2
    return f"{label[:head]}…{label[head + 1 - LONGEST_LABEL :]}"


def _logarithmic(cost: float) -> float:
    return math.log10(cost)


def _decades(low: float, high: float, width: float) -> list[float]:
    """Costs to mark: powers of ten, with others between where there is room for their names."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    factors = next((each for each, nearest in _BETWEEN if nearest / (high - low) * width >= _APART), (1,))
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

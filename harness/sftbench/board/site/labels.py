"""Where the names of dots stand in a chart: beside their dot or at the end of a line to it, over no dot and no name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

HEIGHT = 14.0
"""Of a label, in units of the drawing; letters are 12 of them high."""
_BASE = 10.5
"""From the top of a label to the line that it is written on."""
_NARROW = frozenset(" ijlI.,:;'|![]()")
_WIDE = frozenset("mwMWO@%…")
_WIDTHS = (4.7, 7.7, 11.8)
"""Of narrow, usual and wide letters, as in the widest of the fonts that systems have for pages."""
_DIRECTIONS = (
    (1.0, 0.0), (0.92, -0.38), (0.71, -0.71), (0.38, -0.92), (0.0, -1.0), (-0.38, -0.92), (-0.71, -0.71),
    (-0.92, -0.38), (-1.0, 0.0), (-0.92, 0.38), (-0.71, 0.71), (-0.38, 0.92), (0.0, 1.0), (0.38, 0.92), (0.71, 0.71),
    (0.92, 0.38),
)  # fmt: skip
_DISTANCES = (9, 15, 22, 30, 40, 52, 66, 82, 100, 122, 148, 180, 220, 270, 330)
_CROSSED = 25.0
"""How much farther away a label may stand rather than have its line pass over another dot."""
_MISSING = 1000.0
_GAP = 2.0


@dataclass(frozen=True, kw_only=True)
class Box:
    """A part of the drawing."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether the two have a point in common."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


@dataclass(frozen=True, kw_only=True)
class Disc:
    """A dot."""

    x: float
    y: float
    radius: float

    @property
    def box(self) -> Box:
        """What it takes, with a little air."""
        reach = self.radius + _GAP
        return Box(left=self.x - reach, top=self.y - reach, right=self.x + reach, bottom=self.y + reach)


@dataclass(frozen=True, kw_only=True)
class Label:
    """A text at `x` on the line `y`, the box that it takes, and the path to its dot where it stands off.

    `anchor` is what of the text is at `x`: `end` or `middle`, and else its beginning.
    """

    text: str
    x: float
    y: float
    anchor: str
    box: Box
    leader: str


@dataclass(frozen=True, kw_only=True)
class _Place:
    box: Box
    end: tuple[float, float]
    anchor: str
    cost: float


def width_of(text: str) -> float:
    """How long a text is at most, in units of the drawing."""
    return sum(_WIDTHS[0 if each in _NARROW else 2 if each in _WIDE else 1] for each in text)


def placed(
    named: Sequence[tuple[Disc, str]], discs: Sequence[Disc], area: Box, lines: Sequence[Box]
) -> list[Label | None]:
    """A label for each named dot, in their order: near free places in the area; None where there is none.

    A label may stand on `lines`, though rather not. Dots choose one after another, in a few orders of which the one
    with the shortest ways is taken.
    """
    free = [_free(disc, width_of(text), discs, area, lines) for disc, text in named]
    places = min((_chosen(free, named, order) for order in _orders(named, free)), key=_price)
    return [
        None if place is None else _label(text, disc, place) for (disc, text), place in zip(named, places, strict=True)
    ]


def _orders(named: Sequence[tuple[Disc, str]], free: Sequence[Sequence[_Place]]) -> Iterator[list[int]]:
    """The least free dots first, then from each side of the drawing."""
    keys: tuple[Callable[[int], float], ...] = (
        lambda at: len(free[at]),
        lambda at: free[at][0].cost if free[at] else 0.0,
        lambda at: named[at][0].x,
        lambda at: -named[at][0].x,
        lambda at: named[at][0].y,
        lambda at: -named[at][0].y,
    )
    for key in keys:
        yield sorted(range(len(named)), key=lambda at: (key(at), at))


def _chosen(
    free: Sequence[Sequence[_Place]], named: Sequence[tuple[Disc, str]], order: Sequence[int]
) -> list[_Place | None]:
    """For each dot the cheapest place that neither meets a label placed before nor has its line through one."""
    found: list[_Place | None] = [None] * len(free)
    taken: list[tuple[Box, Disc, tuple[float, float]]] = []
    for at in order:
        disc = named[at][0]
        for place in free[at]:
            if not any(
                place.box.meets(box) or _passes(other, end, place.box) or _passes(disc, place.end, box)
                for box, other, end in taken
            ):
                found[at] = place
                taken.append((place.box, disc, place.end))
                break
    return found


def _price(places: Sequence[_Place | None]) -> float:
    return sum(_MISSING if place is None else place.cost for place in places)


def _free(disc: Disc, width: float, discs: Sequence[Disc], area: Box, lines: Sequence[Box]) -> list[_Place]:
    """Places around a dot over no other, the cheapest first: each costs the way, and what it and its line pass."""
    boxes = [each.box for each in discs]
    others = [each.box for each in discs if each != disc]
    found = []
    for distance in _DISTANCES:
        for across, down in _DIRECTIONS:
            x, y = disc.x + distance * across, disc.y + distance * down
            left, anchor = (
                (x, "") if across > 0.3 else (x - width, "end") if across < -0.3 else (x - width / 2, "middle")
            )
            top = y - HEIGHT if down < -0.8 else y if down > 0.8 else y - HEIGHT / 2
            box = Box(left=left, top=top, right=left + width, bottom=top + HEIGHT)
            if _inside(box, area) and not any(map(box.meets, boxes)):
                passed = sum(map(box.meets, lines)) + sum(_passes(disc, (x, y), each) for each in others)
                found.append(_Place(box=box, end=(x, y), anchor=anchor, cost=distance + _CROSSED * passed))
    return sorted(found, key=lambda place: place.cost)


def _passes(start: Disc, end: tuple[float, float], box: Box) -> bool:
    """Whether the line from a dot to a point passes through a box (Liang and Barsky 1984)."""
    first, last = 0.0, 1.0
    for begin, stop, low, high in ((start.x, end[0], box.left, box.right), (start.y, end[1], box.top, box.bottom)):
        step = stop - begin
        if step == 0:
            if not low < begin < high:
                return False
            continue
        near, far = sorted(((low - begin) / step, (high - begin) / step))
        first, last = max(first, near), min(last, far)
    return first < last


def _inside(box: Box, area: Box) -> bool:
    across = area.left <= box.left and box.right <= area.right
    return across and area.top <= box.top and box.bottom <= area.bottom


def _label(text: str, disc: Disc, place: _Place) -> Label:
    x, y = place.end
    box = place.box
    at = {"": box.left, "end": box.right, "middle": x}[place.anchor]
    is_far = abs(x - disc.x) + abs(y - disc.y) > 1.5 * _DISTANCES[0]
    return Label(
        text=text,
        x=round(at, 1),
        y=round(box.top + _BASE, 1),
        anchor=place.anchor,
        box=box,
        leader=f"M{disc.x:g} {disc.y:g}L{x:.1f} {y:.1f}" if is_far else "",
    )

"""Names in charts: over no dot and no other name, in the drawing, and at the end of a line that leads to their dot."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest

from sftbench.board.site.labels import Box, Disc, placed, width_of
from sftbench.board.site.pictures import NUM_BEST, Point, charts, named_points

AREA = Box(left=50, top=10, right=740, bottom=340)


def crowd(seed, many):
    rng = np.random.default_rng(seed)
    middle = rng.uniform((100, 60), (600, 300))
    places = rng.normal(middle, (60, 30), (many, 2)).clip((55, 15), (735, 335))
    return [Disc(x=float(x), y=float(y), radius=float(rng.choice([2.5, 4, 5]))) for x, y in places.round(1)]


def distance(disc, box):
    across = max(box.left - disc.x, 0, disc.x - box.right)
    down = max(box.top - disc.y, 0, disc.y - box.bottom)
    return float(np.hypot(across, down))


@pytest.mark.parametrize("seed", range(6))
def test_no_name_stands_on_a_dot_or_another_name_and_each_has_its_dot(seed):
    discs = crowd(seed, 60)
    named = [(disc, f"method-{at}[level={at}]") for at, disc in enumerate(discs[:9])]
    found = placed(named, discs, AREA, [])
    assert all(each is not None for each in found)
    for label in found:
        assert label.box.left >= AREA.left
        assert label.box.right <= AREA.right
        assert label.box.top >= AREA.top
        assert label.box.bottom <= AREA.bottom
        assert all(distance(disc, label.box) >= disc.radius for disc in discs)
    for one, other in combinations(found, 2):
        assert not one.box.meets(other.box)
    for (disc, text), label in zip(named, found, strict=True):
        assert label.text == text
        if label.leader:
            x, y, to_x, to_y = map(float, re.fullmatch(r"M(\S+) (\S+)L(\S+) (\S+)", label.leader).groups())
            assert (x, y) == (disc.x, disc.y)
            assert distance(Disc(x=to_x, y=to_y, radius=0), label.box) < 0.1
        else:
            nearest = min(discs, key=lambda each: distance(each, label.box) - each.radius)
            assert distance(disc, label.box) <= 14
            assert nearest == disc or distance(nearest, label.box) > nearest.radius


def test_a_name_with_room_stands_right_of_its_dot_without_a_line():
    disc = Disc(x=200, y=200, radius=4)
    (label,) = placed([(disc, "random")], [disc], AREA, [])
    assert (label.anchor, label.leader) == ("", "")
    assert 204 < label.x < 212
    assert label.box.right == pytest.approx(label.x + width_of("random"))


def test_a_name_that_fits_nowhere_is_left_out():
    disc = Disc(x=200, y=200, radius=4)
    assert placed([(disc, "m" * 100)], [disc], AREA, []) == [None]


def test_a_name_keeps_off_the_front_where_it_can():
    disc = Disc(x=200, y=200, radius=4)
    line = Box(left=200, top=199.5, right=700, bottom=200.5)
    (label,) = placed([(disc, "random")], [disc], AREA, [line])
    assert not label.box.meets(line)


def test_the_front_and_the_best_few_are_named_and_numbered_alike():
    points = [
        Point(label=f"m{n}", score=n / 20, cost=10.0 * (20 - n) + 50, style="method", on_front=n in (19, 3))
        for n in range(20)
    ] + [Point(label="matched", score=0.99, cost=9.0, style="matched")]
    named = named_points(points, bigger_is_better=True)
    assert {point.label for point in named} == {"m19", "m3", *(f"m{n}" for n in range(18, 18 - NUM_BEST, -1))}
    assert [point.cost for point in named] == sorted(point.cost for point in named)
    worst = {point.label for point in named_points(points, bigger_is_better=False)}
    assert worst == {"m19", "m3", "m0", "m1", "m2"}
    wide, narrow = charts(points)
    assert {dot.label.text for dot in wide.dots if dot.label} == {point.label for point in named}
    numbers = {dot.label.text: dot.point for dot in narrow.dots if dot.label}
    assert [numbers[str(at)] for at in range(1, len(named) + 1)] == named


def test_labels_that_would_be_cut_to_the_same_are_told_apart():
    labels = [f"topics[generated_share={share},mixing=additive]" for share in (0.1, 0.2)]
    points = [Point(label=label, score=at, cost=10.0**at, style="method") for at, label in enumerate(labels, 1)]
    wide, _ = charts(points)
    assert {dot.label.text for dot in wide.dots} == set(labels)

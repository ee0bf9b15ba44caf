"""The selectors of tags and topics as a run calls them: what they choose, and rows that are not as they should be."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sftbench import Allowance, Ragged, Scores, Selection, UsageError
from sftbench_plugins.m2m.macro import Macro
from sftbench_plugins.m2m.meso import Meso

NUM_ROWS = 400


class Pool:
    ids = tuple(f"row-{index}" for index in range(NUM_ROWS))

    def __len__(self) -> int:
        return NUM_ROWS


class Desk:
    seed = 0

    def __init__(self, lengths: npt.NDArray[np.int64]) -> None:
        self.lengths, self.logged = lengths, list[str]()

    def response_lengths(self) -> npt.NDArray[np.int64]:
        return self.lengths

    def training_tokens(self) -> npt.NDArray[np.int64]:
        return self.lengths

    def log(self, message: str) -> None:
        self.logged.append(message)


@pytest.fixture
def lengths() -> npt.NDArray[np.int64]:
    return np.random.default_rng(1).integers(5, 60, NUM_ROWS)


@pytest.fixture
def tags(lengths: npt.NDArray[np.int64]) -> list[set[str]]:
    """Zipf-like; long rows have more of them."""
    draw = np.random.default_rng(2)
    weights = 1 / np.arange(1, 121)
    drawn = [draw.choice(120, 1 + length // 10, p=weights / weights.sum()).tolist() for length in lengths]
    return [{f"tag{number}" for number in row} for row in drawn]


@pytest.fixture
def topics() -> npt.NDArray[np.int64]:
    """25 topics, large and small, and one row in ten an outlier."""
    draw = np.random.default_rng(3)
    weights = 1 / np.arange(1, 26)
    found = draw.choice(25, NUM_ROWS, p=weights / weights.sum())
    found[::10] = -1
    return found


def tagged(tags: Sequence[set[str]], **more: Any) -> Scores:
    lists = [np.array(sorted(row), dtype=object) for row in tags]
    report = {"component": "response", "tagger": "made-up", "num_duplicate_texts": 0}
    return Scores(values=np.ones(len(tags)), columns={"tags": Ragged.of(lists, dtype=object)}, report=report, **more)


def with_topics(topics: npt.NDArray[np.int64], nearest: npt.NDArray[np.int64] | None = None, **more: Any) -> Scores:
    nearest = np.where(topics < 0, 0, topics) if nearest is None else nearest
    report = {"component": "response", "num_duplicate_texts": 0}
    return Scores(
        values=np.ones(len(topics)), columns={"topic": topics, "nearest_topic": nearest}, report=report, **more
    )


@pytest.fixture
def select(lengths: npt.NDArray[np.int64]) -> Callable[..., Selection]:
    def choose(
        part: Any, scores: Scores | None, num_rows: float = 80, *, unit: str = "rows", desk: Any = None
    ) -> Selection:
        costs = np.ones(NUM_ROWS) if unit == "rows" else lengths.astype(float)
        allowance = Allowance(cap=num_rows, row_costs=costs, unit=unit)
        chosen: Selection = part.select(Pool(), scores, allowance, desk or Desk(lengths))
        assert len(set(chosen.ids)) == len(chosen.ids)
        assert costs[positions(chosen)].sum() <= num_rows
        return chosen

    return choose


def positions(selection: Selection) -> list[int]:
    return [int(row_id.removeprefix("row-")) for row_id in selection.ids]


@pytest.mark.parametrize("level", [0.0, 50.0, 100.0])
def test_the_number_of_tags_reported_is_what_a_plain_count_finds(
    tags: list[set[str]], select: Callable[..., Selection], level: float
) -> None:
    selection = select(Meso(level=level), tagged(tags))
    held = set[str]().union(*(tags[row] for row in positions(selection)))
    assert selection.report["k_actual"] == len(held)
    assert len(selection.ids) == 80
    assert selection.report["percent"] == pytest.approx(level, abs=3)
    json.dumps(dict(selection.report))


@pytest.mark.parametrize("level", [0.0, 50.0, 100.0])
@pytest.mark.parametrize("outliers", ["nearest", "drop"])
def test_the_number_of_topics_reported_is_what_a_plain_count_finds(
    topics: npt.NDArray[np.int64], select: Callable[..., Selection], level: float, outliers: Any
) -> None:
    selection = select(Macro(level=level, outliers=outliers), with_topics(topics))
    rows = positions(selection)
    found = np.where(topics < 0, 0, topics) if outliers == "nearest" else topics
    assert selection.report["k_actual"] == len(set(found[rows].tolist()))
    assert (found[rows] >= 0).all()
    assert len(rows) == 80
    assert selection.report["num_rows"]["outlier"] == (0 if outliers == "nearest" else 40)  # type: ignore[index, call-overload]
    json.dumps(dict(selection.report))


@pytest.mark.parametrize("kind", ["meso", "macro"])
def test_diversity_rises_with_the_level_and_lengths_can_be_matched(
    tags: list[set[str]], topics: npt.NDArray[np.int64], select: Callable[..., Selection], kind: str
) -> None:
    part, scores = (Meso, tagged(tags)) if kind == "meso" else (Macro, with_topics(topics))
    reports = [select(part(level=level), scores).report for level in (0, 50, 100)]
    for figure in ("k_actual", "entropy"):
        values = [float(report[figure]) for report in reports]  # type: ignore[arg-type]
        assert values == sorted(set(values))
    matched = [select(part(level=level, length_control="matched", length_strata=20), scores) for level in (0, 100)]
    means = [float(each.report["mean_response_length"]) for each in matched]  # type: ignore[arg-type]
    assert max(means) / min(means) < 1.05


@pytest.mark.parametrize("kind", ["meso", "macro"])
def test_a_budget_in_tokens_is_used_up_and_never_exceeded(
    tags: list[set[str]],
    topics: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    select: Callable[..., Selection],
    kind: str,
) -> None:
    part, scores = (Meso(level=50), tagged(tags)) if kind == "meso" else (Macro(level=50), with_topics(topics))
    selection = select(part, scores, 2000, unit="tokens")
    assert 2000 - lengths.max() < lengths[positions(selection)].sum() <= 2000


def test_rows_without_tags_text_or_anything_to_train_are_left_out_and_counted(
    tags: list[set[str]], lengths: npt.NDArray[np.int64], select: Callable[..., Selection]
) -> None:
    tags[0], tags[1], lengths[2] = set(), set(), 0
    selection = select(Meso(), tagged(tags, notes={0: "empty_response", 1: "parse_error"}), 300)
    assert not {0, 1, 2} & set(positions(selection))
    counted = selection.report["num_rows"]
    assert counted == {
        "pool": 400, "eligible": 397, "outside_length_range": 0, "nothing_to_train": 1, "empty_component": 1,
        "no_tags": 1, "duplicate_text": 0,
    }  # fmt: skip
    filled = select(Meso(keep_empty=True), tagged(tags, notes={0: "empty_response", 1: "parse_error"}), 399)
    assert {0, 1} <= set(positions(filled))


def test_too_few_rows_with_tags_are_refused_with_the_largest_feasible_budget(
    tags: list[set[str]], select: Callable[..., Selection]
) -> None:
    scores = tagged([row if at < 50 else set() for at, row in enumerate(tags)])
    with pytest.raises(UsageError, match=r"largest feasible budget is 50\b.*frequency_floor"):
        select(Meso(), scores)
    assert len(select(Meso(), scores, 50).ids) == 50


def test_scores_of_another_scorer_are_refused_with_the_way_out(select: Callable[..., Selection]) -> None:
    for scores in (None, Scores(values=np.ones(NUM_ROWS))):
        with pytest.raises(UsageError, match="scorer 'tags'"):
            select(Meso(), scores)
        with pytest.raises(UsageError, match="scorer 'topics'"):
            select(Macro(), scores)


def test_the_same_seed_gives_the_same_ids_and_another_seed_gives_others(
    tags: list[set[str]],
    topics: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    select: Callable[..., Selection],
) -> None:
    other = Desk(lengths)
    other.seed = 1
    for part, scores in ((Meso(level=50), tagged(tags)), (Macro(level=50), with_topics(topics))):
        first = select(part, scores).ids
        assert first == select(part, scores).ids
        assert set(first) != set(select(part, scores, desk=other).ids)


def test_levels_of_one_seed_are_nested_in_their_topics(
    topics: npt.NDArray[np.int64], select: Callable[..., Selection]
) -> None:
    before: set[int] = set()
    for level in range(0, 101, 20):
        rows = positions(select(Macro(level=level, outliers="drop"), with_topics(topics)))
        held = set(topics[rows].tolist())
        assert before <= held
        before = held

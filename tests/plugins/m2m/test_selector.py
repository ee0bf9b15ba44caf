"""The selector as a run calls it: pools of text, budgets, bad rows, refusals."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from transformers import PreTrainedTokenizerFast

from sftbench import Allowance, Pool, Selection, UsageError
from sftbench_plugins import m2m
from sftbench_plugins.m2m.micro import Micro

MakePool = Callable[[Sequence[tuple[str, str]]], Pool]
BAND = {"bands": "absolute", "band_low": 3, "band_high": 60}


def words(row: npt.NDArray[np.int64]) -> str:
    return " ".join(f"w{token}" for token in row)


@pytest.fixture
def pool(corpus: list[npt.NDArray[np.int64]], make_pool: MakePool) -> Pool:
    """1,200 rows whose instructions are the responses of other rows."""
    return make_pool([(words(corpus[1200 + index]), words(corpus[index])) for index in range(1200)])


@pytest.fixture
def select(make_desk: Callable[..., Any], rows_allowed: Callable[[Pool, int], Allowance]) -> Callable[..., Selection]:
    def choose(pool: Pool, num_rows: int = 200, *, seed: int = 0, **parameters: Any) -> Selection:
        given = {**BAND, **parameters}
        return Micro(**given).select(pool, None, rows_allowed(pool, num_rows), make_desk(pool, seed=seed))

    return choose


def mid_types(pool: Pool, ids: Sequence[str], component: str = "response") -> set[str]:
    """By a plain count over the whole pool: words that occur 3 to 60 times, and which of them the rows hold."""
    texts = {row.id: row.prompt if component == "instruction" else row.response for row in pool}
    counts = Counter(word for text in texts.values() for word in text.split())
    return {word for row_id in ids for word in texts[row_id].split() if 3 <= counts[word] <= 60}


@pytest.mark.parametrize("component", ["response", "instruction"])
@pytest.mark.parametrize("level", [0.0, 40.0, 100.0])
def test_the_number_of_types_reported_is_what_a_plain_count_finds(
    pool: Pool, select: Callable[..., Selection], component: str, level: float
) -> None:
    selection = select(pool, component=component, level=level)
    assert len(selection.ids) == len(set(selection.ids)) == 200
    assert selection.report["k_actual"] == len(mid_types(pool, selection.ids, component))


def test_the_most_diverse_level_is_the_default_and_holds_every_type_of_the_pool(
    pool: Pool, select: Callable[..., Selection]
) -> None:
    selection = select(pool, 600)
    assert mid_types(pool, selection.ids) == mid_types(pool, pool.ids)
    assert selection.report["percent"] == 100
    assert selection.report["num_types"]["mid"] == selection.report["k_max"]  # type: ignore[index, call-overload]


def test_the_order_keeps_its_diversity_when_it_is_cut(pool: Pool, select: Callable[..., Selection]) -> None:
    ids = select(pool, 600).ids
    assert len(mid_types(pool, ids[:300])) > 1.03 * len(mid_types(pool, ids[300:]))


def test_the_same_seed_gives_the_same_ids_and_another_seed_gives_others(
    pool: Pool, select: Callable[..., Selection]
) -> None:
    assert select(pool, 600).ids == select(pool, 600).ids
    assert set(select(pool, 600).ids) != set(select(pool, 600, seed=1).ids)


def test_the_report_places_the_set_on_its_axis_and_is_plain_data(pool: Pool, select: Callable[..., Selection]) -> None:
    report = json.loads(json.dumps(select(pool, level=50, levels=5).report))
    assert report["k_min"] < report["random_of_same_size"]["types"] < report["k_max"]
    assert [each["percent"] for each in report["levels"]] == [0, 25, 50, 75, 100]
    assert [each["types"] for each in report["levels"]] == sorted(each["types"] for each in report["levels"])
    assert [each["pool_rows"] for each in report["levels"]] == sorted(each["pool_rows"] for each in report["levels"])
    assert all(each["feasible"] and each["pool_rows"] >= 200 for each in report["levels"])
    assert report["percent"] == pytest.approx(50, abs=2)
    assert 0 < report["entropy"] < report["entropy_max"]
    assert report["band"] == {"kind": "absolute", "low": 3, "high": 60}


def test_more_types_come_with_longer_responses_unless_lengths_are_matched(
    pool: Pool, select: Callable[..., Selection]
) -> None:
    def means(control: str) -> list[float]:
        reports = [select(pool, 300, level=level, length_control=control).report for level in (0, 50, 100)]
        return [float(report["mean_response_length"]) for report in reports]  # type: ignore[arg-type]

    free, matched = means("off"), means("matched")
    assert max(free) / min(free) > 1.5
    assert max(matched) / min(matched) < 1.02


def test_a_length_range_keeps_other_rows_out_and_counts_types_within_it(
    pool: Pool, select: Callable[..., Selection], make_pool: MakePool
) -> None:
    selection = select(pool, 100, length_control="30-50")
    lengths = {row.id: len(row.response.split()) for row in pool}
    assert all(30 <= lengths[row_id] <= 50 for row_id in selection.ids)
    inside = [row for row in pool if 30 <= lengths[row.id] <= 50]
    alone = make_pool([(row.prompt, row.response) for row in inside])
    assert selection.report["k_max"] == select(alone, 100).report["k_max"]
    assert selection.report["num_rows"]["outside_length_range"] == 1200 - len(inside)  # type: ignore[index, call-overload]


def test_a_range_whose_levels_differ_in_length_is_remarked_upon(
    pool: Pool, make_desk: Callable[..., Any], rows_allowed: Callable[[Pool, int], Allowance]
) -> None:
    desk = make_desk(pool)
    Micro(**BAND, length_control="5-250").select(pool, None, rows_allowed(pool, 200), desk)  # type: ignore[arg-type]
    assert any("length_control=matched" in line for line in desk.logged)
    desk.logged.clear()
    Micro(**BAND, length_control="5-250+matched").select(pool, None, rows_allowed(pool, 200), desk)  # type: ignore[arg-type]
    assert desk.logged == []


@pytest.mark.parametrize("level", [0.0, 50.0, 100.0])
def test_a_budget_in_tokens_is_used_up_and_never_exceeded(
    pool: Pool, make_desk: Callable[..., Any], level: float
) -> None:
    desk = make_desk(pool)
    costs = desk.response_lengths().astype(float)
    allowance = Allowance(cap=6000.0, row_costs=costs, unit="tokens")
    selection = Micro(**BAND, level=level).select(pool, None, allowance, desk)  # type: ignore[arg-type]
    spent = costs[[pool.index_of[row_id] for row_id in selection.ids]].sum()
    assert 6000 - costs.max() < spent <= 6000
    assert selection.report["percent"] == pytest.approx(level, abs=4)


def test_lengths_are_matched_under_a_budget_in_tokens_too(pool: Pool, make_desk: Callable[..., Any]) -> None:
    desk = make_desk(pool)
    costs = desk.response_lengths().astype(float)
    allowance = Allowance(cap=12000.0, row_costs=costs, unit="tokens")
    for level in (0.0, 100.0):
        matched = Micro(**BAND, level=level, length_control="matched")  # type: ignore[arg-type]
        rows = [pool.index_of[row_id] for row_id in matched.select(pool, None, allowance, desk).ids]
        assert 0.97 * 12000 < costs[rows].sum() <= 12000
        assert costs[rows].mean() == pytest.approx(costs.mean(), rel=0.02)


def test_a_bad_row_changes_nothing_for_the_others(
    pool: Pool, select: Callable[..., Selection], make_pool: MakePool
) -> None:
    good = [(row.prompt, row.response) for row in pool]
    worse = make_pool([*good, ("say", ""), ("say", "  \n"), ("say", "w0"), ("say", "never seen before")])
    selection = select(worse)
    assert selection.ids == select(pool).ids
    assert selection.report["num_rows"] == {
        "pool": 1204,
        "eligible": 1200 - _typeless(pool),
        "outside_length_range": 0,
        "empty_component": 2,
        "no_mid_band_type": 2 + _typeless(pool),
        "duplicate_text": 0,
    }


def _typeless(pool: Pool) -> int:
    counts = Counter(word for row in pool for word in row.response.split())
    return sum(all(not 3 <= counts[word] <= 60 for word in row.response.split()) for row in pool)


def test_special_tokens_are_no_types(make_pool: MakePool, select: Callable[..., Selection]) -> None:
    pairs = [("say", f"w{index} w{index // 2} unheard words") for index in range(20)]
    report = select(make_pool(pairs), 4, band_low=2, band_high=90).report
    assert report["num_types"] == {"low": 10, "mid": 10, "high": 0}, "forty unknown words are not a type"


def test_rows_without_types_are_filler_when_they_are_kept(
    make_pool: MakePool, select: Callable[..., Selection]
) -> None:
    pairs = [("say", "w1 w2"), ("say", ""), ("say", "w2 w1"), ("say", "w9")]
    with pytest.raises(UsageError, match=r"2 of 4 rows .* largest feasible budget is 2\b"):
        select(make_pool(pairs), 3, band_low=2, band_high=90)
    kept = select(make_pool(pairs), 3, band_low=2, band_high=90, keep_empty=True)
    assert set(kept.ids[:2]) == {"row-0", "row-2"}
    assert kept.ids[2] in ("row-1", "row-3")


def test_a_pool_without_mid_band_types_is_refused_with_a_way_out(
    make_pool: MakePool, select: Callable[..., Selection]
) -> None:
    with pytest.raises(UsageError, match="bands=calibrated"):
        select(make_pool([("say", "w1"), ("say", "w2")]), 1)


def test_rows_that_cannot_be_trained_are_not_chosen(pool: Pool, make_desk: Callable[..., Any]) -> None:
    desk = make_desk(pool)
    costs = np.where(np.arange(1200) % 3 == 0, 0.0, 5.0)
    allowance = Allowance(cap=500.0, row_costs=costs, unit="tokens")
    ids = Micro(**BAND, component="instruction").select(pool, None, allowance, desk).ids  # type: ignore[arg-type]
    assert len(ids) == 100
    assert not {pool.index_of[row_id] % 3 for row_id in ids} & {0}


def test_words_instead_of_tokens_need_no_tokenizer(pool: Pool, select: Callable[..., Selection]) -> None:
    assert Micro(segmentation="words").needs().language_models == ()
    assert Micro().needs().language_models == ("base",)
    assert select(pool, 600, segmentation="words").report["k_max"] == select(pool, 600).report["k_max"]


def test_another_tokenizer_is_read_from_its_folder(
    pool: Pool, select: Callable[..., Selection], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path / "other")
    needs = Micro(tokenizer=str(tmp_path / "other")).needs()
    assert (needs.language_models, needs.tokenizers) == ((), {"foreign": str(tmp_path / "other")})
    assert select(pool, tokenizer=str(tmp_path / "other")).ids == select(pool).ids


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"level": 101}, "level"),
        ({"levels": 1}, "levels"),
        ({"batch": 0}, "batch"),
        ({"band_low": 20, "band_high": 10}, "band_high"),
        ({"length_control": "short"}, "length_control"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(parameters: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Micro(**parameters)


def test_each_level_and_side_is_a_method_and_sides_of_one_level_share_their_parts() -> None:
    methods = {method.name: method for method in m2m.sftbench_methods()}
    assert len(methods) == 6
    for name, method in methods.items():
        level, component = name.split("-")
        assert method.selector.name == level
        told = method.selector if method.scorer is None else method.scorer
        assert told.parameters == {"component": component}


@pytest.mark.reference
def test_on_real_rows_types_entropy_and_length_rise_with_the_level(
    reference_data: Path, make_pool: MakePool, make_desk: Callable[..., Any]
) -> None:
    import gzip

    from transformers import AutoTokenizer

    with gzip.open(reference_data / "data/pools/dolly_3k.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file][:1500]
    pool = make_pool([(row["instruction"], row["output"]) for row in rows])
    desk = make_desk(pool)
    desk._tokenizer = AutoTokenizer.from_pretrained(reference_data / "models/tiny-gpt2")
    allowance = Allowance(cap=300.0, row_costs=np.ones(len(pool)), unit="rows")
    reports = [Micro(level=level).select(pool, None, allowance, desk).report for level in (0, 50, 100)]
    for figure in ("k_actual", "entropy", "mean_response_length"):
        values = [float(report[figure]) for report in reports]  # type: ignore[arg-type]
        assert values == sorted(set(values))

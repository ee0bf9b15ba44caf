"""Classes from the top, and the long tail where a class is cut: by a plain loop, and as the authors' code chooses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sftbench import Allowance, Scores, UsageError
from sftbench_plugins.ds2.selector import ClassThenTail, in_official_order


def choose(make_pool, classes, tail, cap, *, mode="paper", costs=None):
    classes, tail = np.array(classes, dtype=float), np.array(tail, dtype=float)
    pool = make_pool([("ask", "tell")] * len(classes))
    row_costs = np.ones(len(classes)) if costs is None else np.array(costs, dtype=float)
    values = classes + np.nan_to_num(tail)
    reasons = {int(at): "parse_error" for at in np.flatnonzero(np.isnan(classes))}
    scores = Scores(values=values, reasons=reasons, columns={"rating": classes, "long_tail": tail})
    allowance = Allowance(cap=cap, row_costs=row_costs, unit="rows")
    return ClassThenTail(mode=mode).select(pool, scores, allowance, None)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cap", [1, 10, 25, 60])
def test_both_modes_take_the_same_rows_each_in_its_order(make_pool, seed, cap):
    draw = np.random.default_rng(seed)
    classes, tail = draw.integers(6, size=60).astype(float), draw.random(60)
    ranked = sorted(range(60), key=lambda at: (-classes[at], -tail[at], at))[:cap]
    paper = choose(make_pool, classes, tail, cap)
    assert paper.ids == tuple(f"r{at}" for at in ranked)
    official = choose(make_pool, classes, tail, cap, mode="official")
    assert set(official.ids) == set(paper.ids)
    by_hand = []
    for each in range(5, -1, -1):
        members = [at for at in range(60) if classes[at] == each]
        left = cap - len(by_hand)
        by_hand += members if left > len(members) else sorted(members, key=lambda at: -tail[at])[:left]
        if left <= len(members):
            break
    assert official.ids == tuple(f"r{at}" for at in by_hand)
    assert paper.status == official.status == "full"


def test_rows_without_a_class_are_never_taken_and_without_a_tail_come_last(make_pool):
    classes, tail = [5, 5, np.nan, 4, 5], [0.1, np.nan, 0.9, 0.5, 0.2]
    chosen = choose(make_pool, classes, tail, 5)
    assert (chosen.ids, chosen.status) == (("r4", "r0", "r1", "r3"), "short")
    assert chosen.report["num_without_rating"] == 1
    assert chosen.report["reasons"] == {"parse_error": 1}
    assert chosen.report["classes"] == {"5": 3, "4": 1}
    assert choose(make_pool, classes, tail, 4).status == "full"
    assert choose(make_pool, classes, tail, 5, mode="official").status == "short"


def test_ties_at_the_cut_are_counted(make_pool):
    report = choose(make_pool, [5, 5, 5, 4], [0.3, 0.3, 0.3, 0.3], 2).report
    assert (report["num_ties_left_out"], report["last_class"], report["last_long_tail"]) == (1, 5, 0.3)


def test_a_budget_in_tokens_is_kept(make_pool):
    for mode in ("paper", "official"):
        chosen = choose(make_pool, [5, 4, 3], [0.1, 0.1, 0.1], 8, mode=mode, costs=[4, 3, 5])
        assert chosen.ids == ("r0", "r1")


def test_it_reads_the_columns_of_its_scorer_and_nothing_else(make_pool):
    allowance = Allowance(cap=1, row_costs=np.ones(1), unit="rows")
    for scores in (None, Scores(values=np.ones(1))):
        with pytest.raises(UsageError, match="use both together"):
            ClassThenTail().select(make_pool([("a", "b")]), scores, allowance, None)


@pytest.mark.reference
@pytest.mark.parametrize("setting", ["plain", "duplicated"])
def test_official_takes_the_authors_rows_in_their_order_but_for_ties(reference_data, setting):
    folder = reference_data / "golden" / "ds2"
    expected = json.loads((folder / "expected.json").read_text())[setting]
    classes = np.array(expected["curated_scores"], dtype=float)
    tail = np.load(folder / "expected.npz")[f"{setting}_long_tail"][: len(classes)]
    for budget, theirs in expected["selected_row_indices"].items():
        allowance = Allowance(cap=int(budget), row_costs=np.ones(len(classes)), unit="rows")
        mine = allowance.fit(in_official_order(classes, tail, allowance))
        # The order of equals in numpy's default sort depends on the processor.
        assert [(classes[at], tail[at]) for at in mine] == [(classes[at], tail[at]) for at in theirs]
        above = classes > classes[mine[-1]]
        assert sorted(each for each in mine if above[each]) == np.flatnonzero(above).tolist()

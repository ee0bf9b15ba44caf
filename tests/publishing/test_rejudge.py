"""Judging published pairs again: which pairs there are, and how two judges are compared."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from sftbench import plugins
from sftbench.board.reading import read_cells
from sftbench.cli.watching import Silent
from sftbench.errors import UsageError, VerificationError
from sftbench.judging.card.readings import readings_in
from sftbench.publishing.agreement import agreement_of
from sftbench.publishing.checking import Checked, ChecksWanted, check
from sftbench.publishing.gather import BundleWanted
from sftbench.publishing.own import Own
from sftbench.publishing.pairs import PublishedPair, PublishedPairs, pairs_of
from sftbench.publishing.publish import publish
from sftbench.publishing.rejudge import RejudgedPart, _standard_error, compared, rejudge
from sftbench.publishing.verify import verify

FIRST = ["A>B", "B>A", "A=B"]


def pairs(*told, items=None, orders=None):
    answers = {"answer": ("a",), "other": ("b",)}
    return [
        PublishedPair(where="alpha@10/0", item=items[at] if items else str(at), told=value, **answers,
             orders=orders[at] if orders else (math.nan, math.nan))
        for at, value in enumerate(told)
    ]  # fmt: skip


def here(preference, **columns):
    return readings_in(tuple(map(str, range(len(preference)))), preference, columns)


def judged(picked, mine, *, is_same=False, num_told=None, **columns):
    among = PublishedPairs(pairs=tuple(picked), num_told=num_told or len(picked))
    return compared(picked, here(mine, **columns), used="mine", published="theirs", is_same=is_same, among=among)


def test_the_same_judge_must_say_the_same():
    assert judged(pairs(1.0, 0.5), [1.0, 0.5], is_same=True).findings == ()
    found = judged(pairs(1.0, 0.5), [1.0, 0.0], is_same=True)
    assert [(each.where, each.told, each.recomputed) for each in found.findings] == [("alpha@10/0, item 1", 0.5, 0.0)]
    assert found.agreement.value == 0.5


def test_another_judge_may_differ_by_accident_and_not_on_the_whole():
    told = [0.0, 1.0] * 50
    by_accident = [abs(value - 1) if index % 10 < 2 else value for index, value in enumerate(told)]
    found = judged(pairs(*told), by_accident)
    assert (found.agreement.value, found.mean_difference, found.findings) == (0.8, 0.0, ())
    (finding,) = judged(pairs(*[1.0] * 100), told).findings
    assert (finding.told, finding.recomputed) == (1.0, 0.5)


def test_agreement_has_wilsons_interval_over_items():
    """90 of 100: Wilson's score interval is 0.8256 to 0.9448 (Newcombe 1998 gives the formula)."""
    one, other = np.ones(100), np.array([1.0] * 90 + [-1.0] * 10)
    found = agreement_of(one, other, [str(at) for at in range(100)])
    assert (found.value, found.low, found.high) == pytest.approx((0.9, 0.82563, 0.94477), abs=1e-5)
    # The same verdicts on ten items by ten models each tell no more than ten items do.
    clustered = agreement_of(one, other, [str(at % 10) for at in range(100)])
    assert (clustered.value, clustered.num, clustered.num_items) == (0.9, 100, 10)
    assert clustered.low < 0.6


def test_the_standard_error_is_that_of_a_mean_and_grows_where_pairs_share_an_item():
    rng = np.random.default_rng(0)
    values = rng.normal(size=40)
    alone = _standard_error(values, [str(at) for at in range(40)])
    assert alone == pytest.approx(values.std(ddof=1) / math.sqrt(40))
    # Four copies of ten values are ten values.
    copies = np.tile(values[:10], 4)
    shared = _standard_error(copies, [str(at % 10) for at in range(40)])
    assert shared == pytest.approx(values[:10].std(ddof=1) / math.sqrt(10))
    assert math.isnan(_standard_error(values, ["one"] * 40))


def test_single_orders_are_compared_where_both_judges_tell_them():
    orders = [(1.0, 1.0), (1.0, -1.0), (math.nan, math.nan)]
    found = judged(
        pairs(1.0, 0.5, 0.5, orders=orders), [1.0, 0.5, 0.5], model_first=["A>B", "B>A", "A=B"],
        baseline_first=["B>A", "A>>B", "A=B"],
    )  # fmt: skip
    assert {each.order: (each.agreement.value, each.agreement.num) for each in found.orders} == {
        "model first": (0.5, 2), "baseline first": (1.0, 2),
    }  # fmt: skip
    assert judged(pairs(1.0), [1.0]).orders == ()


def lines(found, bundle):
    return list(Checked(verification=verify(bundle), rejudged=found).lines())


def test_what_could_not_be_compared_is_told(bundle):
    found = judged(pairs(1.0, 0.0, 0.5), [1.0, None, 0.5], num_told=10)
    assert (found.num_pairs, found.num_unjudged, found.num_without_text) == (2, 1, 7)
    told = lines(found, bundle)
    assert "2 of 3 pairs; same winner in 100.0% [34.2%, 100.0%]; mean difference +0.0000" in told[0]
    assert "  1 further pairs got no verdict here" in told
    assert "  7 further pairs cannot be judged again: the bundle has no texts of them" in told
    assert "  single orders were not compared: one of the two judges does not tell them" in told
    with pytest.raises(UsageError, match="mine gave no verdict on any of the 2 pairs"):
        judged(pairs(1.0, 0.0), [None, None])


def with_answers(new_run, tmp_path, **changes):
    """A bundle of two rows, `alpha` judged against `beta` by two judges, with answers of two turns to four items."""
    run = new_run()
    for label in ("alpha", "beta"):
        for seed in (0, 1):
            cell = run.cell(label, seed)
            cell["steps"].append({"room": "responses", "part": "", "key": f"{label}-{seed}"})
            if label == "alpha":
                told = {**cell["verdicts"], "judge": "second", "preference": [0.25] * 12}
                told["columns"] = {"model_first": FIRST * 4, "baseline_first": ["A=B"] * 12}
                cell["further_verdicts"] = [told]
            cell.update(changes)
            run.write(cell)
    publish(BundleWanted(results=run.finish()), str(tmp_path / "bundle"))
    (tmp_path / "bundle/responses").mkdir()
    for label in ("alpha", "beta"):
        for seed in (0, 1):
            rows = [
                {"id": f"item-{at}", "response": f"{label} {seed} {at}", "earlier": [f"before {at}"]} for at in range(4)
            ]
            path = tmp_path / f"bundle/responses/{label}-{seed}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "bundle"


def test_pairs_have_every_turn_and_the_verdicts_of_the_judge_that_is_asked_for(new_run, tmp_path):
    bundle = with_answers(new_run, tmp_path)
    cells = read_cells(bundle / "records")
    found = pairs_of(bundle, cells, judge="second", given={})
    assert (len(found.pairs), found.num_told) == (8, 24)
    first = found.pairs[0]
    assert (first.where, first.item, first.told) == ("alpha@10/0", "item-0", 0.25)
    assert (first.answer, first.other) == (("before 0", "alpha 0 0"), ("before 0", "beta 0 0"))
    assert [each.orders for each in found.pairs[:3]] == [(1.0, 0.0), (-1.0, 0.0), (0.0, 0.0)]
    published = pairs_of(bundle, cells, judge="checker", given={})
    assert [each.told for each in published.pairs[:4]] == list(cells[0].verdicts.preference[:4])
    assert not np.isfinite([each.orders for each in published.pairs]).any()


def test_answers_that_no_model_gave_are_one_s_own(new_run, tmp_path):
    bundle = with_answers(new_run, tmp_path)
    for path in (bundle / "records/alpha/10").iterdir():
        cell = json.loads(path.read_text())
        cell["steps"].append({"room": "responses", "part": "", "key": "given"})
        path.write_text(json.dumps(cell))
    found = pairs_of(bundle, read_cells(bundle / "records"), judge="checker", given={"given": {"item-2": ("theirs",)}})
    assert [(each.where, each.item, each.other) for each in found.pairs] == [
        ("alpha@10/0", "item-2", ("theirs",)), ("alpha@10/1", "item-2", ("theirs",)),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["{", "[1]", '{"id": "item-0"}', '{"id": "item-0", "response": 3}'])
def test_a_file_of_answers_that_is_none_is_named(new_run, tmp_path, text):
    bundle = with_answers(new_run, tmp_path)
    (bundle / "responses/beta-0.jsonl").write_text(text + "\n")
    with pytest.raises(VerificationError, match=r"responses/beta-0.jsonl holds something else than answers"):
        pairs_of(bundle, read_cells(bundle / "records"), judge="checker", given={})


def again(bundle, *, of=None, judges=None):
    part = RejudgedPart(share=0.5, of=of)
    return rejudge(
        bundle, read_cells(bundle / "records"), part, own=Own(judges=judges), plugins=plugins.load(), watcher=Silent()
    )


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"of": "chequer"}, "unknown judge of the bundle 'chequer'; did you mean 'checker'"),
        ({"judges": ()}, "--rejudge is done by one judge, and --judge names 0"),
        ({"judges": ("a", "b")}, "--rejudge is done by one judge, and --judge names 2"),
        ({"of": "second"}, "run.json does not tell the settings of the judge second; give one with --judge"),
    ],
)
def test_what_cannot_be_judged_again_is_told(new_run, tmp_path, more, says):
    with pytest.raises(UsageError, match=says):
        again(with_answers(new_run, tmp_path), **more)


def test_a_bundle_without_verdicts_has_nothing_to_judge_again(new_run, tmp_path):
    bundle = with_answers(new_run, tmp_path, verdicts=None, further_verdicts=[])
    with pytest.raises(UsageError, match="has no verdicts of a judge"):
        again(bundle)


def test_a_bundle_without_texts_has_nothing_to_judge_again(bundle):
    with pytest.raises(UsageError, match=r"of 24 pairs that checker judged, none has both texts.*--with-responses"):
        again(bundle)


def test_nothing_is_judged_again_in_a_bundle_that_does_not_verify(bundle):
    (bundle / "lock.json").write_text("{}")
    found = check(bundle, ChecksWanted(rejudge=0.5), plugins=plugins.load(), watcher=Silent())
    assert (found.holds, found.rejudged) == (False, None)

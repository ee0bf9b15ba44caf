"""The selector `kcenter`: whom it begins with, what it reports, and what it does with bad rows."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sftbench import Scores, UsageError
from sftbench_plugins.geometry.kcenter import Kcenter


def positions(selection):
    return [int(each[1:]) for each in selection.ids]


def radius(vectors, chosen):
    apart = np.linalg.norm(vectors[:, None].astype(np.float64) - vectors[chosen][None], axis=2)
    return apart.min(axis=1).max()


def test_the_score_of_a_row_is_the_radius_once_it_is_taken(make_pool, make_desk, make_vectors, allow):
    vectors = make_vectors(60)
    pool, desk = make_pool(60), make_desk(vectors)
    found = Kcenter().select(pool, None, allow(pool, 10), desk)
    chosen = positions(found)
    expected = [radius(vectors, chosen[: count + 1]) for count in range(10)]
    np.testing.assert_allclose(found.scores, expected, rtol=1e-4)
    assert found.report["radius"] == pytest.approx(expected[-1], rel=1e-4)
    assert (found.report["first"], found.report["num_distinct"], found.status) == (found.ids[0], 10, "full")
    assert desk.asked == ["instruction"]
    assert desk.spent["flops"] >= 2 * 10 * vectors.size


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_the_first_row_is_drawn_from_the_seed(make_pool, make_desk, make_vectors, allow, mode):
    pool, vectors = make_pool(60), make_vectors(60)
    firsts = {
        seed: Kcenter(mode=mode).select(pool, None, allow(pool, 3), make_desk(vectors, seed=seed)).ids[0]
        for seed in (0, 1, 2, 3, 4, 0)
    }
    assert len(set(firsts.values())) > 2
    again = Kcenter(mode=mode).select(pool, None, allow(pool, 3), make_desk(vectors, seed=3))
    assert again.ids[0] == firsts[3]


def test_the_first_row_can_be_named_or_be_the_most_central(make_pool, make_desk, make_vectors, allow):
    pool, vectors = make_pool(60), make_vectors(60)
    named = Kcenter(first="r17").select(pool, None, allow(pool, 3), make_desk(vectors))
    assert named.ids[0] == "r17"
    central = Kcenter(first="medoid").select(pool, None, allow(pool, 3), make_desk(vectors))
    squares = (np.linalg.norm(vectors[:, None].astype(np.float64) - vectors[None], axis=2) ** 2).sum(axis=0)
    assert positions(central)[0] == int(np.argmin(squares))
    with pytest.raises(UsageError, match="first=nobody"):
        Kcenter(first="nobody").select(pool, None, allow(pool, 3), make_desk(vectors))
    with pytest.raises(ValueError, match="official"):
        Kcenter(mode="official", first="medoid")


def test_bad_rows_are_left_out_with_reasons_and_shift_no_other(make_pool, make_desk, make_vectors, allow):
    vectors = make_vectors(40)
    rows = [{"id": f"r{at}", "instruction": f"question {at}", "output": f"answer {at}"} for at in range(40)]
    spoilt = vectors.copy()
    rows[3]["instruction"] = "  "
    rows[5]["output"] = ""
    spoilt[8, 2] = np.nan
    spoilt[9] = np.inf
    spoilt[11] = 0
    scores = Scores(values=np.where(np.arange(40) == 20, np.nan, 1.0), reasons={20: "empty_response"})
    pool = make_pool(rows)
    found = Kcenter(first="r0").select(pool, scores, allow(pool, 12), make_desk(spoilt))
    assert found.report["reasons"] == {"empty_instruction": 1, "non_finite": 2, "zero_norm": 1, "no_score": 1}
    assert found.report["num_eligible"] == 35
    kept = [at for at in range(40) if at not in (3, 8, 9, 11, 20)]
    clean = make_pool([rows[at] for at in kept])
    assert found.ids == Kcenter(first="r0").select(clean, None, allow(clean, 12), make_desk(vectors[kept])).ids


def test_an_empty_response_matters_only_where_responses_are_embedded(make_pool, make_desk, make_vectors, allow):
    pool = make_pool([{"id": "r0", "instruction": "a", "output": ""}, {"id": "r1", "instruction": "b", "output": "c"}])
    for component, left in (("instruction", 2), ("response", 1), ("both", 1)):
        found = Kcenter(component=component).select(pool, None, allow(pool, 2), make_desk(make_vectors(2)))
        assert (len(found.ids), found.status) == (left, "full" if left == 2 else "short")
    none = make_pool([{"id": "r0", "instruction": "", "output": "a"}])
    assert Kcenter().select(none, None, allow(none, 1), make_desk(make_vectors(1))).ids == ()


def test_when_distinct_rows_run_out_equal_ones_fill_up_in_order(make_pool, make_desk, make_vectors, allow):
    vectors = np.tile(make_vectors(5), (3, 1))
    pool = make_pool(15)
    found = Kcenter(first="r0").select(pool, None, allow(pool, 9), make_desk(vectors))
    assert sorted(positions(found)[:5]) == [0, 1, 2, 3, 4]
    assert positions(found)[5:] == [5, 6, 7, 8]
    assert (found.report["status"], found.report["num_distinct"], found.status) == ("short_distinct", 5, "full")
    assert found.report["radius"] == 0
    everything = Kcenter(first="r0").select(pool, None, allow(pool, 15), make_desk(vectors))
    assert sorted(positions(everything)) == list(range(15))


def test_a_budget_in_tokens_ends_before_the_first_row_that_is_too_dear(make_pool, make_desk, make_vectors, allow):
    vectors = make_vectors(30)
    pool = make_pool(30)
    order = positions(Kcenter().select(pool, None, allow(pool, 30), make_desk(vectors)))
    costs = np.random.default_rng(0).integers(1, 20, 30).astype(float)
    found = Kcenter().select(pool, None, allow(pool, 60, costs), make_desk(vectors))
    fitting = int(np.searchsorted(np.cumsum(costs[order]), 60, side="right"))
    assert positions(found) == order[:fitting]
    assert len(found.scores) == fitting
    assert found.report["radius"] == pytest.approx(radius(vectors, order[:fitting]), rel=1e-4)


def test_single_turns_of_a_conversation_are_embedded_here(make_pool, make_desk, make_vectors, allow):
    turns = [("system", "be kind"), ("user", "one"), ("assistant", "two"), ("user", "three"), ("assistant", "four")]
    messages = [{"role": role, "content": text} for role, text in turns]
    pool = make_pool([{"id": "r0", "messages": messages}, {"id": "r1", "messages": messages[1:3]}])
    expected = {
        ("first", "instruction"): ["one", "one"],
        ("last", "instruction"): ["three", "one"],
        ("last", "both"): ["three\nfour", "one\ntwo"],
        ("first", "response"): ["two", "two"],
    }
    for (turns_, component), texts in expected.items():
        part = Kcenter(turns=turns_, component=component)
        assert part.needs().embedder
        desk = make_desk(make_vectors(2))
        part.select(pool, None, allow(pool, 1), desk)
        assert (desk.embedded_texts, desk.asked) == (texts, [])
    assert Kcenter().needs().embeddings == ("instruction",)


@pytest.mark.reference
def test_the_rows_are_those_of_the_authors_code(reference_data, make_pool, make_desk, allow):
    folder = reference_data / "golden" / "kcenter"
    arrays = np.load(folder / "input.npz")
    runs = json.loads((folder / "expected.json").read_text())["runs"]
    assert len(runs) == 12
    for run in runs:
        vectors = arrays[run["embedding"]].astype(np.float32)
        pool = make_pool(len(vectors))
        seed, first = run["numpy_seed_if_no_first"] or 0, run["given_first"]
        part = Kcenter(mode="official", first="seeded" if first is None else f"r{first}")
        budget = run["n_returned"]
        found = part.select(pool, None, allow(pool, budget), make_desk(vectors, seed=seed))
        assert positions(found) == run["indices_in_order"]
        assert found.report["radius"] == pytest.approx(run["radius"], abs=1e-4)

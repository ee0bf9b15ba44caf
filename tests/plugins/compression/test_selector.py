"""ZIP against plain loops that compress every text from its beginning, and what it does with bad rows."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch

from sftbench import Allowance, Scores, UsageError
from sftbench_plugins.compression.selector import Zip


def ratio(text):
    return len(text.encode()) / len(zlib.compress(text.encode(), level=9))


def by_loop(texts, budget, k1, k2, k3):
    """Algorithm 1 with rejected rows given back and equal ratios in order, compressing all text each time."""
    state = [ratio(text) for text in texts]
    left, chosen = set(range(len(texts))), []
    while len(chosen) < budget and left:
        first = sorted(left, key=lambda at: (state[at], at))[:k1]
        for at in first:
            state[at] = ratio("\n".join([*(texts[each] for each in chosen), texts[at]]))
        second = sorted(first, key=lambda at: (state[at], at))[:k2]
        group = []
        for _ in range(min(k3, len(second))):
            rest = sorted(set(second) - set(group))
            group.append(min(rest, key=lambda at: ratio("\n".join([*(texts[each] for each in group), texts[at]]))))
        chosen += group
        left -= set(group)
    return chosen[:budget]


def by_official_loop(rows, budget, k1, k2, k3):
    """The authors' procedure: single precision, `torch.topk`, a shortlist that never comes back."""
    state = torch.tensor([ratio(str([row])) for row in rows])
    chosen = []
    while len(chosen) < budget:
        first = torch.topk(state, k1, largest=False).indices
        taken = [rows[at] for at in chosen]
        fresh = torch.tensor([ratio(str([*taken, rows[at]])) for at in first])
        state[first] = fresh
        second = first[torch.topk(fresh, k2, largest=False).indices].tolist()
        state[second] = 1_000_000
        group = []
        for _ in range(k3):
            so_far = [rows[second[at]] for at in group]
            trial = torch.tensor([ratio(str([*so_far, rows[at]])) for at in second])
            trial[group] = 1_000_000
            group += torch.topk(trial, 1, largest=False).indices.tolist()
        chosen += [second[at] for at in group]
    return chosen


def positions(selection):
    return [int(each[1:]) for each in selection.ids]


@pytest.mark.parametrize(
    ("budget", "k1", "k2", "k3"), [(20, 40, 10, 5), (13, 60, 8, 4), (12, 500, 5, 5), (6, 30, 30, 3)]
)
def test_paper_takes_the_rows_of_a_plain_loop(make_pool, make_rows, desk, rows_allowed, budget, k1, k2, k3):
    pool = make_pool(make_rows(80, seed=budget))
    texts = [row.text("both") for row in pool]
    found = Zip(k1=k1, k2=k2, k3=k3).select(pool, None, rows_allowed(pool, budget), desk)
    assert positions(found) == by_loop(texts, budget, k1, k2, k3)
    assert (len(found.ids), found.status) == (budget, "full")


@pytest.mark.parametrize(("budget", "k1", "k2", "k3"), [(20, 40, 10, 5), (13, 60, 8, 4), (30, 50, 6, 6)])
def test_official_takes_the_rows_of_the_authors_procedure(make_pool, make_rows, desk, rows_allowed, budget, k1, k2, k3):
    rows = make_rows(120, seed=budget)
    pool = make_pool(rows)
    found = Zip(mode="official", k1=k1, k2=k2, k3=k3).select(pool, None, rows_allowed(pool, budget), desk)
    expected = by_official_loop(rows, budget, k1, k2, k3)
    assert positions(found) == expected[:budget]
    assert found.report["num_rows_beyond_budget"] == len(expected) - budget
    assert found.report["num_without_source"] == 120


def test_the_report_holds_the_ratio_of_the_whole_choice(make_pool, make_rows, desk, rows_allowed):
    pool = make_pool(make_rows(60))
    found = Zip(k1=30, k2=10, k3=5).select(pool, None, rows_allowed(pool, 12), desk)
    text = "\n".join(pool[at].text("both") for at in positions(found))
    assert found.report["ratio"] == pytest.approx(ratio(text))
    assert found.report["num_bytes"] == len(text.encode())
    assert found.report["zlib"] == zlib.ZLIB_RUNTIME_VERSION


def test_python_notation_is_what_is_compressed_when_asked_for(make_pool, make_rows, desk, rows_allowed):
    pool = make_pool(make_rows(60))
    plain, literal = (
        Zip(text=text, k1=30, k2=10, k3=5).select(pool, None, rows_allowed(pool, 12), desk)
        for text in ("plain", "repr")
    )
    assert set(plain.ids) != set(literal.ids)
    assert literal.report["num_bytes"] == len(str([pool.take([at])[0].original() for at in positions(literal)]))


def test_of_rows_that_stand_twice_the_distinct_ones_are_preferred(make_pool, make_rows, desk, rows_allowed):
    once = make_rows(50)
    pool = make_pool([*once, *({**row, "id": f"r{at}"} for at, row in enumerate(once, 50))])
    chosen = positions(Zip(k1=100, k2=60, k3=30).select(pool, None, rows_allowed(pool, 30), desk))
    assert len({at % 50 for at in chosen}) == 30


def test_a_budget_in_tokens_is_kept_and_used(make_pool, make_rows, desk):
    pool = make_pool(make_rows(80))
    costs = np.random.default_rng(0).integers(5, 40, 80).astype(float)
    found = Zip(k1=40, k2=10, k3=5).select(pool, None, Allowance(cap=200, row_costs=costs, unit="tokens"), desk)
    spent = costs[positions(found)].sum()
    assert 200 - 40 < spent <= 200
    assert positions(found) == by_loop([row.text("both") for row in pool], len(found.ids), 40, 10, 5)


def test_bad_rows_are_left_out_with_reasons_and_shift_no_other(make_pool, make_rows, desk, rows_allowed):
    good = make_rows(40)
    long = {"id": "long", "instruction": "list", "output": " ".join(f"{at:05d}" for at in range(9000))}
    bad = [
        {"id": "a", "instruction": "no answer to this one, however long it may be made to go on", "output": ""},
        {"id": "b", "instruction": "", "output": "nobody asked for this answer, which is as long as any other one"},
        {"id": "c", "instruction": "Yes?", "output": "No."},
        {"id": "d", "instruction": "only spaces are in the answer to this question, and that counts", "output": "  "},
        long,
    ]
    mixed = make_pool([*bad[:2], *good[:20], *bad[2:], *good[20:]])
    settings = Zip(k1=60, k2=10, k3=5)
    found = settings.select(mixed, None, rows_allowed(mixed, 15), desk)
    assert found.report["reasons"] == {"empty_response": 2, "empty_instruction": 1, "too_few_bytes": 1}
    assert found.report["num_over_window"] == 1
    assert found.report["num_incompressible"] == sum(ratio(row.text("both")) < 1 for row in mixed)
    assert found.report["num_eligible"] == 41
    clean = make_pool([*good[:20], long, *good[20:]])
    assert found.ids == settings.select(clean, None, rows_allowed(clean, 15), desk).ids


def test_tiny_texts_win_only_if_they_are_let_in(make_pool, make_rows, desk, rows_allowed):
    pool = make_pool([*make_rows(40), {"id": "tiny", "instruction": "Hi", "output": "Ho"}])
    let_in, kept_out = (
        Zip(k1=50, k2=10, k3=5, min_bytes=least).select(pool, None, rows_allowed(pool, 5), desk) for least in (0, 64)
    )
    assert "tiny" in let_in.ids
    assert "tiny" not in kept_out.ids


def test_official_takes_whatever_stands_there(make_pool, make_rows, desk, rows_allowed):
    rows = [{"id": "e", "instruction": "", "output": ""}, *make_rows(59)]
    pool = make_pool(rows)
    found = Zip(mode="official", k1=30, k2=10, k3=5).select(pool, None, rows_allowed(pool, 10), desk)
    assert found.report["reasons"] == {}
    assert "e" in found.ids


def test_a_row_without_a_score_is_left_out(make_pool, make_rows, desk, rows_allowed):
    pool = make_pool(make_rows(60))
    plain = Zip(k1=30, k2=10, k3=5)
    before = plain.select(pool, None, rows_allowed(pool, 10), desk)
    values = np.zeros(60)
    values[positions(before)[0]] = np.nan
    found = plain.select(pool, Scores(values=values), rows_allowed(pool, 10), desk)
    assert before.ids[0] not in found.ids
    assert found.report["reasons"] == {"no_score": 1}
    untouched = plain.select(pool, Scores(values=np.zeros(60)), rows_allowed(pool, 10), desk)
    assert untouched.ids == before.ids


def test_a_pool_without_enough_rows_gives_all_of_them_once(make_pool, make_rows, desk, rows_allowed):
    pool = make_pool([*make_rows(9), {"id": "e", "instruction": "a", "output": ""}])
    found = Zip().select(pool, None, rows_allowed(pool, 10), desk)
    assert sorted(found.ids) == sorted(f"r{at}" for at in range(9))
    assert found.status == "short"
    nothing = make_pool([{"id": "e", "instruction": "a", "output": ""}])
    assert Zip().select(nothing, None, rows_allowed(nothing, 1), desk).ids == ()


def test_official_says_how_large_a_pool_it_needs(make_pool, make_rows, desk, rows_allowed):
    pool = make_pool(make_rows(30))
    with pytest.raises(UsageError, match="need a pool of 40, and this one has 30"):
        Zip(mode="official", k1=30, k2=10, k3=5).select(pool, None, rows_allowed(pool, 16), desk)
    with pytest.raises(UsageError, match="mode=paper"):
        Zip(mode="official").select(pool, None, rows_allowed(pool, 3), desk)


def test_official_refreshes_no_more_rows_than_there_are(make_pool, make_rows, desk, rows_allowed):
    """The authors' code stops when k1 is more than the pool; where it is the pool, both are the same in one round."""
    pool = make_pool(make_rows(30))
    found, same = (
        Zip(mode="official", k1=k1, k2=10, k3=5).select(pool, None, rows_allowed(pool, 5), desk) for k1 in (10_000, 30)
    )
    assert found.ids == same.ids
    two_rounds = Zip(mode="official", k2=10, k3=5).select(pool, None, rows_allowed(pool, 10), desk)
    assert len(set(two_rounds.ids)) == 10


def test_every_turn_of_a_conversation_is_read(make_pool, make_rows, desk, rows_allowed):
    turns = [
        ("user", "first question of the two"),
        ("assistant", "first answer"),
        ("user", "second"),
        ("assistant", "x" * 90),
    ]
    talk = {"id": "talk", "messages": [{"role": role, "content": text} for role, text in turns]}
    pool = make_pool([talk])
    found = Zip().select(pool, None, rows_allowed(pool, 1), desk)
    assert found.report["num_bytes"] == len("\n".join(text for _, text in turns))


def test_half_a_surrogate_pair_is_no_obstacle(make_pool, desk, rows_allowed):
    rows = [
        {"id": f"r{at}", "instruction": f"half a pair \ud83d {at}", "output": "an answer " * (9 + at)}
        for at in range(4)
    ]
    pool = make_pool(rows)
    assert len(Zip().select(pool, None, rows_allowed(pool, 4), desk).ids) == 4
    official = Zip(mode="official", k1=4, k2=4, k3=4).select(pool, None, rows_allowed(pool, 4), desk)
    assert len(official.ids) == 4


@pytest.mark.parametrize("wrong", [{"k3": 300}, {"k1": 50}, {"k3": 0}, {"min_bytes": -1}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Zip(**wrong)

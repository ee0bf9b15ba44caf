"""`bench select` and `bench score` on real files: forms in and out, awkward rows, and rows that cannot be read."""

from __future__ import annotations

import json
import re

import pytest

pytestmark = pytest.mark.slow

QUESTIONS = ("name a tree", "name a river", "name a stone", "name a star")
ANSWERS = ("birch", "the long river Isar", "granite, which is hard", "Vega")


def alpaca(index):
    row = {"instruction": QUESTIONS[index], "input": "", "output": ANSWERS[index], "source": f"book {index}"}
    return {"id": f"tree-{index}", **row}


def messages(index):
    turns = [("system", "be brief"), ("user", QUESTIONS[index]), ("assistant", ANSWERS[index])]
    return {"messages": [{"role": role, "content": content} for role, content in turns], "mark": index}


def sharegpt(index):
    turns = [("human", QUESTIONS[index]), ("gpt", ANSWERS[index]), ("human", "and?"), ("gpt", "no more")]
    return {"id": f"talk-{index}", "conversations": [{"from": role, "value": text} for role, text in turns]}


@pytest.mark.parametrize("form", [alpaca, messages, sharegpt], ids=["alpaca", "messages", "sharegpt"])
def test_rows_come_back_in_the_form_they_had_with_id_rank_and_score(shared_bench, material, form):
    rows = [form(index) for index in range(4)]
    pool = shared_bench.write(f"{form.__name__}.jsonl", rows)
    chosen = shared_bench.folder / f"{form.__name__}-chosen.jsonl"
    done = shared_bench(
        "select", "longest[unit=characters]", "--pool", pool, "--base", material.model, "--budget", "2",
        "--out", chosen, "-o", "json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    best = sorted(range(4), key=lambda index: -len(ANSWERS[index]))[:2]
    written = [json.loads(line) for line in chosen.read_text().splitlines()]
    for rank, (index, row) in enumerate(zip(best, written, strict=True), start=1):
        extra = {name: row.pop(name) for name in ("_id", "_rank", "_score")}
        assert row == rows[index]
        assert extra["_rank"] == rank
        assert extra["_score"] >= len(ANSWERS[index])
        if "id" in row:
            assert extra["_id"] == row["id"]
    shown = json.loads(done.stdout)
    assert [(row["rank"], row["score"]) for row in shown] == [(1, shown[0]["score"]), (2, shown[1]["score"])]
    assert "written:" in done.stderr


def test_a_choice_by_chance_follows_the_seed_and_is_kept(shared_bench, material):
    command = ("select", "random", "--pool", material.pool, "--base", material.model, "--budget", "10%", "-o", "json")
    first, other = (shared_bench(*command, "--seed", seed) for seed in (1, 2))
    assert first.returncode == other.returncode == 0, first.stderr + other.stderr
    ids = [[row["id"] for row in json.loads(done.stdout)] for done in (first, other)]
    assert [len(each) for each in ids] == [6, 6]
    assert ids[0] != ids[1]
    again = shared_bench(*command, "--seed", 1)
    assert again.stdout == first.stdout
    assert re.search(r"3 steps, 3 of them in the store", again.stderr)


def test_a_budget_above_the_pool_is_refused_with_the_size_of_the_pool(shared_bench, material):
    message = shared_bench.refused(
        2, "select", "random", "--pool", material.pool, "--base", material.model, "--budget", "61"
    )
    assert "61" in message
    assert "60 rows" in message


def test_a_budget_that_buys_no_row_is_over_budget(shared_bench, material):
    message = shared_bench.refused(
        3, "select", "random", "--pool", material.pool, "--base", material.model, "--budget", "1 token"
    )
    assert "cheapest row" in message


BROKEN_POOLS = {
    "broken line": ('{"instruction": "a", "output": "b"}\n{"instruction": "a",\n', "line 2"),
    "line that is no row": ('{"instruction": "a", "output": "b"}\n[1, 2]\n', "line 2"),
    "row of no known form": ('{"instruction": "a", "output": "b"}\n{"question": "c"}\n', "line 2"),
    "empty file": ("", "empty"),
    "two rows with one id": ('{"id": 7, "instruction": "a", "output": "b"}\n' * 2, "7"),
}


@pytest.mark.parametrize("what", BROKEN_POOLS)
def test_a_pool_that_cannot_be_read_is_refused_with_the_place(shared_bench, material, what):
    text, words = BROKEN_POOLS[what]
    pool = shared_bench.folder / f"{what}.jsonl"
    pool.write_text(text)
    message = shared_bench.refused(2, "select", "random", "--pool", pool, "--base", material.model, "--budget", "1")
    assert pool.name in message
    assert words in message


def test_a_row_that_cannot_be_scored_keeps_its_place_with_a_reason(shared_bench, material):
    """One token, no token, and a prompt longer than the window, among plain rows."""
    rows = [
        {"id": f"row {index}", "instruction": f"say {index}", "output": f"this is the number {index}, said aloud"}
        for index in range(10)
    ]
    rows[2]["output"] = ""
    rows[4]["output"] = "x"
    rows[6]["instruction"] = "word " * 2000
    pool = shared_bench.write("awkward.jsonl", rows)
    out = shared_bench.folder / "scores.jsonl"
    done = shared_bench("score", "ifd", "--pool", pool, "--lm", material.model, "--out", out, "-o", "json")
    assert done.returncode == 0, done.stderr
    scores = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["id"] for row in scores] == [row["id"] for row in rows]
    without = {index for index, row in enumerate(scores) if row["score"] is None}
    assert {2, 6} <= without <= {2, 4, 6}
    assert all(scores[index]["reason"] for index in without)
    assert all(row["reason"] is None for index, row in enumerate(scores) if index not in without)
    shown = json.loads(done.stdout)
    assert {row["id"] for row in shown} == {row["id"] for row in rows}
    # The others are scored as if the awkward ones were not there.
    plain = shared_bench.write("plain.jsonl", [row for index, row in enumerate(rows) if index not in without])
    alone = shared_bench("score", "ifd", "--pool", plain, "--lm", material.model, "-o", "json")
    expected = {row["id"]: row["score"] for row in json.loads(alone.stdout)}
    for row in scores:
        if row["score"] is not None:
            assert row["score"] == pytest.approx(expected[row["id"]], rel=1e-4)


def test_in_a_chain_one_method_chooses_from_what_another_leaves_over(shared_bench, material):
    source = ("--pool", material.pool, "--base", material.model)
    longest = "longest[unit=characters]"
    alone = shared_bench("select", longest, *source, "--budget", "12", "-o", "json")
    ranking = [row["id"] for row in json.loads(alone.stdout)]
    done = shared_bench("select", f"{longest} take=3x | random", *source, "--budget", "4", "--seed", "5", "-o", "json")
    assert done.returncode == 0, done.stderr
    chosen = [row["id"] for row in json.loads(done.stdout)]
    assert len(set(chosen)) == 4
    assert set(chosen) <= set(ranking)
    assert chosen != ranking[:4]


def test_a_method_without_a_scorer_ranks_by_the_scores_of_the_one_before_it(shared_bench, material):
    source = ("--pool", material.pool, "--base", material.model)
    longest = "longest[unit=characters]"
    alone = json.loads(shared_bench("select", longest, *source, "--budget", "5", "-o", "json").stdout)
    done = shared_bench(
        "select", "longest[unit=characters,take=50%] | selector=top", *source, "--budget", "5", "-o", "json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == alone


def test_a_share_is_one_of_the_whole_pool_however_few_rows_are_left_to_choose_from(shared_bench, material):
    source = ("--pool", material.pool, "--base", material.model)
    chain = "longest[take=9] | random"
    done = shared_bench("select", chain, *source, "--budget", "10%", "-o", "json")
    assert len(json.loads(done.stdout)) == 6, done.stderr
    short = shared_bench("select", chain, *source, "--budget", "20%", "-o", "json")
    assert len(json.loads(short.stdout)) == 9
    assert "(short)" in short.stderr

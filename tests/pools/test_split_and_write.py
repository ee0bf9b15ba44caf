"""Held-out rows are the same everywhere; selected rows come back as they came in."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from sftbench.errors import UsageError
from sftbench.pools import apart_from, held_out_split, pool_from_rows, pool_of, read_pool, write_rows
from sftbench.rooms import Message, Pool, Row


def pool_with(tmp_path: Path, ids: list[str]) -> Pool:
    rows = [{"id": row_id, "instruction": f"do {row_id}", "output": "done"} for row_id in ids]
    return pool_from_rows(rows, into=tmp_path / "rows.arrow", key="k")


def test_the_split_is_the_smallest_hashes_of_seed_and_text(tmp_path: Path) -> None:
    ids = [f"row {number}" for number in range(50)]
    chosen, held_out = held_out_split(pool_with(tmp_path, ids), share=0.2, seed=3)

    def hashed(row_id: str) -> str:
        prompt = f"do {row_id}"
        text = f"3\0user:{len(prompt)}:{prompt}\0assistant:4:done"
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    assert [ids[index] for index in held_out] == sorted(sorted(ids, key=hashed)[:10], key=ids.index)
    assert sorted([*chosen, *held_out]) == list(range(50))


@pytest.mark.parametrize("seed", range(5))
def test_rows_of_equal_text_are_all_held_out_or_none(tmp_path: Path, seed: int) -> None:
    rows = [{"id": str(number), "instruction": f"do {number % 23}", "output": "done"} for number in range(100)]
    pool = pool_from_rows(rows, into=tmp_path / "rows.arrow", key="k")
    chosen, held_out = held_out_split(pool, share=0.2, seed=seed)
    assert not {index % 23 for index in chosen} & {index % 23 for index in held_out}
    assert 15 <= len(held_out) <= 20


def test_a_pool_of_one_text_has_nothing_to_hold_out(tmp_path: Path) -> None:
    rows = [{"id": str(number), "instruction": "go on", "output": "done"} for number in range(100)]
    with pytest.raises(UsageError, match=r"1 different texts.*--heldout"):
        held_out_split(pool_from_rows(rows, into=tmp_path / "rows.arrow", key="k"))


def test_the_split_does_not_depend_on_the_order_of_the_pool(tmp_path: Path) -> None:
    ids = [f"row {number}" for number in range(40)]
    _, held_out = held_out_split(pool_with(tmp_path, ids))
    _, reversed_out = held_out_split(pool_with(tmp_path, ids[::-1]))
    assert {ids[index] for index in held_out} == {ids[::-1][index] for index in reversed_out}


def test_another_seed_holds_out_other_rows(tmp_path: Path) -> None:
    pool = pool_with(tmp_path, [str(number) for number in range(100)])
    assert held_out_split(pool, seed=0)[1].tolist() != held_out_split(pool, seed=1)[1].tolist()


@pytest.mark.parametrize(
    ("rows", "share", "at_most", "expected"), [(2, 0.1, 200, 1), (100, 0.1, 200, 10), (100, 0.5, 7, 7)]
)
def test_the_share_is_rounded_down_within_one_and_the_limit(
    tmp_path: Path, rows: int, share: float, at_most: int, expected: int
) -> None:
    pool = pool_with(tmp_path, [str(number) for number in range(rows)])
    chosen, held_out = held_out_split(pool, share=share, at_most=at_most)
    assert (len(chosen), len(held_out)) == (rows - expected, expected)


def test_a_pool_of_one_row_has_none_to_hold_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing can be held out of 1 rows"):
        held_out_split(pool_with(tmp_path, ["a"]))
    with pytest.raises(UsageError, match="share"):
        held_out_split(pool_with(tmp_path, ["a", "b"]), share=1.5)


FORMS: list[list[dict[str, Any]]] = [
    [
        {"id": str(number), "instruction": "ä", "input": "", "output": "b", "more": {"n": [number]}}
        for number in range(3)
    ],
    [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}] * 3,
    [
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], "_id": str(n)}
        for n in range(3)
    ],
]


def back(path: Path) -> list[dict[str, Any]]:
    if path.name.endswith(".parquet"):
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
        return rows
    data = gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
    return json.loads(data) if ".json" in path.suffixes else [json.loads(line) for line in data.decode().splitlines()]


@pytest.mark.parametrize("rows", FORMS, ids=["alpaca", "messages", "sharegpt"])
@pytest.mark.parametrize("name", ["o.jsonl", "o.jsonl.gz", "o.json", "o.json.gz", "o.parquet"])
def test_rows_come_back_in_their_form_with_id_rank_and_score(
    tmp_path: Path, rows: list[dict[str, Any]], name: str
) -> None:
    pool = pool_from_rows(rows, into=tmp_path / "rows.arrow", key="k")
    chosen = [pool.ids[2], pool.ids[0]]
    out = write_rows(pool, chosen, np.array([0.5, np.nan]), tmp_path / name)
    expected = [
        {**rows[2], "_id": chosen[0], "_rank": 1, "_score": 0.5},
        {**rows[0], "_id": chosen[1], "_rank": 2, "_score": None},
    ]
    assert back(out) == expected
    again = read_pool(out, into=tmp_path / "again.arrow")
    assert again.ids == chosen
    assert [row.messages for row in again] == [row.messages for row in pool.take([2, 0])]


def test_a_row_whose_source_had_no_messages_gets_them(tmp_path: Path) -> None:
    made = Row(
        id="g",
        messages=(Message(role="user", content="q"), Message(role="assistant", content="r")),
        raw='{"parent":"x"}',
    )
    pool = pool_of([made], into=tmp_path / "rows.arrow", key="k", form="messages")
    row = back(write_rows(pool, ["g"], None, tmp_path / "o.jsonl"))[0]
    assert row == {
        "parent": "x",
        "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}],
        "_id": "g",
        "_rank": 1,
        "_score": None,
    }


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    pool = pool_with(tmp_path, ["a", "b"])
    first = write_rows(pool, ["a"], None, tmp_path / "1.jsonl.gz").read_bytes()
    assert write_rows(pool, ["a"], None, tmp_path / "2.jsonl.gz").read_bytes() == first


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    pool = pool_from_rows(
        [{"instruction": "a", "output": "b", "mixed": 1}, {"instruction": "a", "output": "b", "mixed": "x"}],
        into=tmp_path / "rows.arrow",
        key="k",
    )
    with pytest.raises(UsageError, match=r"write to a \.jsonl"):
        write_rows(pool, pool.ids, None, tmp_path / "o.parquet")
    assert [each.name for each in tmp_path.iterdir()] == ["rows.arrow"]


def test_an_unknown_suffix_or_id_is_refused(tmp_path: Path) -> None:
    pool = pool_with(tmp_path, ["a"])
    with pytest.raises(UsageError, match=r"\.jsonl"):
        write_rows(pool, ["a"], None, tmp_path / "o.csv")
    with pytest.raises(UsageError, match="nobody"):
        write_rows(pool, ["nobody"], None, tmp_path / "o.jsonl")


def test_rows_that_are_held_out_too_are_left_out_of_the_pool(tmp_path: Path) -> None:
    pool = pool_with(tmp_path, [str(number) for number in range(10)])
    rows = [{"id": f"h{number}", "instruction": f"do {number}", "output": "done"} for number in (3, 7, 99)]
    heldout = pool_from_rows(rows, into=tmp_path / "heldout.arrow", key="h")
    assert apart_from(pool, heldout).tolist() == [0, 1, 2, 4, 5, 6, 8, 9]
    with pytest.raises(UsageError, match="every row of the pool"):
        apart_from(heldout, heldout)

"""Every kind of file gives the same pool; what cannot be read is refused with its place; memory stays small."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sftbench.errors import EnvironmentProblem, UsageError
from sftbench.pools import pool_from_rows, pool_key, pool_of, read_pool
from sftbench.pools.hub import HubDataset, hub_dataset
from sftbench.rooms import Message, Pool, Row

ROWS = [
    {"id": "a", "instruction": "Add.", "input": "1 2", "output": "3", "weight": 0.5},
    {"id": "b", "instruction": 'Grüße\n"x"', "input": "", "output": "日本", "weight": 1.0},
    {"id": "c", "instruction": "No input", "input": "", "output": "", "weight": 2.0},
]


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def as_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    (path := path / "pool.jsonl").write_text(lines(rows), encoding="utf-8")
    return path


def as_jsonl_with_blank_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    (path := path / "pool.jsonl").write_text("\ufeff" + lines(rows).replace("\n", "\r\n\r\n"), encoding="utf-8")
    return path


def as_lines_in_json(path: Path, rows: list[dict[str, Any]]) -> Path:
    (path := path / "pool.json").write_text(lines(rows).strip(), encoding="utf-8")
    return path


def as_array(path: Path, rows: list[dict[str, Any]]) -> Path:
    (path := path / "pool.json").write_text(json.dumps(rows), encoding="utf-8")
    return path


def as_indented_array(path: Path, rows: list[dict[str, Any]]) -> Path:
    text = "\ufeff " + json.dumps(rows, indent=2, ensure_ascii=False) + "\n\n"
    (path := path / "pool.json").write_text(text, encoding="utf-8")
    return path


def as_gzip(path: Path, rows: list[dict[str, Any]]) -> Path:
    (path := path / "pool.jsonl.gz").write_bytes(gzip.compress(lines(rows).encode()))
    return path


def as_gzipped_array(path: Path, rows: list[dict[str, Any]]) -> Path:
    (path := path / "pool.json.gz").write_bytes(gzip.compress(json.dumps(rows).encode()))
    return path


def as_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path := path / "pool.parquet")
    return path


KINDS = [
    as_jsonl,
    as_jsonl_with_blank_lines,
    as_lines_in_json,
    as_array,
    as_indented_array,
    as_gzip,
    as_gzipped_array,
    as_parquet,
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_gives_the_same_rows(kind: Callable[..., Path], tmp_path: Path) -> None:
    pool = read_pool(kind(tmp_path, ROWS), into=tmp_path / "rows.arrow")
    assert (pool.form, pool.ids, len(pool)) == ("alpaca", ["a", "b", "c"], 3)
    assert [row.original() for row in pool] == ROWS
    assert [row.prompt for row in pool] == ["Add.\n1 2", 'Grüße\n"x"', "No input"]
    assert [row.response for row in pool] == ["3", "日本", ""]
    assert [row.id for row in pool.take([2, 0, 0])] == ["c", "a", "a"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_takes_the_first_rows_and_changes_the_key(kind: Callable[..., Path], tmp_path: Path) -> None:
    path = kind(tmp_path, ROWS)
    pool = read_pool(path, limit=2, into=tmp_path / "rows.arrow")
    assert pool.ids == ["a", "b"]
    assert pool.key == pool_key(path, limit=2) != pool_key(path)


def test_the_key_follows_the_content_and_not_the_name(tmp_path: Path) -> None:
    first = as_jsonl(tmp_path, ROWS)
    key = pool_key(first)
    assert pool_key(first.rename(tmp_path / "renamed.jsonl")) == key
    assert pool_key(as_jsonl(tmp_path, ROWS[:2])) != key


SURROGATE_FREE = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
CHATS = st.lists(st.tuples(SURROGATE_FREE, SURROGATE_FREE), min_size=1, max_size=3)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(CHATS, min_size=1, max_size=5))
def test_chats_survive_the_arrow_file(tmp_path: Path, chats: list[list[tuple[str, str]]]) -> None:
    rows = [
        {
            "messages": [
                {"role": role, "content": text}
                for pair in chat
                for role, text in zip(("user", "assistant"), pair, strict=True)
            ]
        }
        for chat in chats
    ]
    pool = pool_from_rows(rows, into=tmp_path / "rows.arrow", key="k")
    assert [[{"role": m.role, "content": m.content} for m in row.messages] for row in pool] == [
        r["messages"] for r in rows
    ]
    assert pool.ids == [f"row-{position:07d}" for position in range(len(rows))]


def test_rows_of_several_forms_may_be_mixed(tmp_path: Path) -> None:
    chat = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    pool = pool_from_rows([ROWS[0], chat], into=tmp_path / "rows.arrow", key="k")
    assert pool.form == "mixed"
    assert pool.ids == ["a", "row-0000001"]


def test_half_a_surrogate_pair_stays_in_raw_and_is_replaced_in_messages(tmp_path: Path) -> None:
    (path := tmp_path / "pool.jsonl").write_text('{"instruction": "a\\ud800b", "output": "\\ud83d\\ude00"}\n')
    row = read_pool(path, into=tmp_path / "rows.arrow")[0]
    assert (row.prompt, row.response) == ("a?b", "\U0001f600")
    assert row.original()["instruction"] == "a\ud800b"


def test_rows_made_elsewhere_become_a_pool_with_what_was_planted(tmp_path: Path) -> None:
    rows = [
        Row(id="x", messages=(Message(role="assistant", content="abc"),), planted="filler", planted_spans=((0, 2),)),
        Row(
            id="y", messages=(Message(role="user", content="q"), Message(role="assistant", content="r")), raw='{"a":1}'
        ),
    ]
    assert list(pool_of(rows, into=tmp_path / "rows.arrow", key="k", form="messages")) == rows


def test_a_subset_of_the_dataset_is_a_pool_too(tmp_path: Path) -> None:
    pool = read_pool(as_jsonl(tmp_path, ROWS), into=tmp_path / "rows.arrow")
    subset = Pool(dataset=pool.dataset.select([2, 0]), key="k", form=pool.form)
    assert subset.ids == [row.id for row in subset] == ["c", "a"]
    assert subset.index_of == {"c": 0, "a": 1}
    assert subset[1] == pool[0]
    assert subset.take([]) == []


def refused(tmp_path: Path, name: str, content: bytes | str) -> str:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as caught:
        read_pool(path, into=tmp_path / "rows.arrow")
    assert not list(tmp_path.glob("*rows.arrow*"))
    return str(caught.value)


GOOD = '{"instruction": "a", "output": "b"}\n'


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("p.jsonl", GOOD + '{"instruction": "a", "outp\n', ["p.jsonl, line 2", "not valid JSON"]),
        (
            "p.jsonl",
            GOOD + "\n" + '{"question": 1, "answer": 2}\n',
            ["p.jsonl, line 3", "question, answer", "Alpaca", "ShareGPT"],
        ),
        ("p.jsonl", GOOD + '"text"\n', ["p.jsonl, line 2", "str"]),
        ("p.jsonl", "[" * 100_000, ["p.jsonl", "nested too deeply"]),
        ("p.jsonl", GOOD + '{"instruction": ' + "[" * 100_000 + "\n", ["line 2", "nested too deeply"]),
        ("p.jsonl", GOOD + '{"instruction": "a", "output": 4}\n', ["line 2", "'output' is a int"]),
        ("p.jsonl", b'{"instruction": "\xff", "output": "b"}\n', ["line 1", "UTF-8"]),
        ("p.jsonl", GOOD.encode("utf-16"), ["UTF-8"]),
        ("p.jsonl", "", ["p.jsonl", "empty"]),
        ("p.json", "[]", ["p.json", "empty"]),
        ("p.json", "[\n" + GOOD + ",\n{broken\n]", ["p.json, line 4", "not valid JSON"]),
        ("p.json", "[" + GOOD + GOOD + "]", ["p.json, line 2", "expected ','"]),
        ("p.json", "[" + GOOD, ["p.json", "expected ','"]),
        ("p.json", "[" + GOOD + "] x", ["p.json", "follows"]),
        ("p.json", "[1]", ["p.json, line 1", "int"]),
        ("p.json", b'["\xff"]', ["UTF-8"]),
        ("p.json", '{\n"data": []}', ["line 1", "one row per line"]),
        ("p.jsonl.gz", b"not gzip", ["p.jsonl.gz", "gzip"]),
        ("p.jsonl.gz", gzip.compress(GOOD.encode() * 1000)[:-12], ["p.jsonl.gz", "gzip"]),
        ("p.parquet", b"not parquet", ["p.parquet", "Parquet"]),
        ("p.csv", "a,b", ["p.csv", ".jsonl"]),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(
    tmp_path: Path, name: str, content: bytes | str, named: list[str]
) -> None:
    message = refused(tmp_path, name, content)
    assert [words for words in named if words not in message] == []
    assert len(message) < 700


def test_up_to_five_ids_given_twice_are_named(tmp_path: Path) -> None:
    rows = [{"id": index // 2, "instruction": "a", "output": "b"} for index in range(14)]
    message = refused(tmp_path, "p.jsonl", lines(rows))
    assert "p.jsonl: ids must be unique" in message
    assert "0, 1, 2, 3, 4 and 2 more" in message


def test_bytes_in_a_parquet_column_are_refused_by_name(tmp_path: Path) -> None:
    rows = [{"instruction": "a", "output": "b", "image": b"\x00"}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path := tmp_path / "p.parquet")
    with pytest.raises(UsageError, match=r"p.parquet, row 1: column 'image'"):
        read_pool(path, into=tmp_path / "rows.arrow")


def test_a_missing_file_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    as_jsonl(tmp_path, ROWS)
    with pytest.raises(UsageError, match=r"did you mean .*pool\.jsonl"):
        read_pool(tmp_path / "pol.jsonl", into=tmp_path / "rows.arrow")
    with pytest.raises(UsageError, match="no folder"):
        read_pool(tmp_path / "nowhere" / "pool.jsonl", into=tmp_path / "rows.arrow")
    with pytest.raises(UsageError, match=r"folder.*pool\.jsonl"):
        read_pool(tmp_path, into=tmp_path / "rows.arrow")


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_below_one_is_refused(tmp_path: Path, limit: int) -> None:
    with pytest.raises(UsageError, match=str(limit)):
        read_pool(as_jsonl(tmp_path, ROWS), limit=limit, into=tmp_path / "rows.arrow")


def test_a_pool_that_failed_leaves_an_older_file_alone(tmp_path: Path) -> None:
    into = tmp_path / "rows.arrow"
    read_pool(as_jsonl(tmp_path, ROWS), into=into)
    before = into.read_bytes()
    with pytest.raises(UsageError):
        pool_from_rows([ROWS[0], {"x": 1}], into=into, key="k")
    assert into.read_bytes() == before


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hf:gsm8k", HubDataset(name="gsm8k")),
        ("hf:org/name:test", HubDataset(name="org/name", split="test")),
        ("org/name", HubDataset(name="org/name")),
        ("org/name:train[:10%]", HubDataset(name="org/name", split="train[:10%]")),
        ("data/pool.jsonl", None),
        ("./org/name", None),
        ("pool", None),
        (Path("org/name"), None),
    ],
)
def test_a_hub_dataset_is_told_from_a_path(source: str | Path, expected: HubDataset | None) -> None:
    assert hub_dataset(source) == expected


def test_a_hub_dataset_out_of_reach_is_an_error_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no route to the hub\nand more")

    monkeypatch.setattr("datasets.load_dataset", unreachable)
    with pytest.raises(EnvironmentProblem, match=r"org/name.*no route to the hub.*hf download"):
        read_pool("org/name", into=tmp_path / "rows.arrow")


def test_a_hub_dataset_is_read_like_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = pool_from_rows(ROWS, into=tmp_path / "cache.arrow", key="k").dataset
    asked: list[tuple[object, object]] = []

    def from_cache(name: str, split: str) -> object:
        asked.append((name, split))
        return cached.select_columns(["id", "messages"])

    monkeypatch.setattr("datasets.load_dataset", from_cache)
    pool = read_pool("hf:org/name:test", limit=2, into=tmp_path / "rows.arrow")
    assert set(asked) == {("org/name", "test")}
    assert (pool.form, pool.ids) == ("messages", ["a", "b"])
    assert pool.key == pool_key("hf:org/name:test", limit=2)


MEMORY = """
import resource, sys
from pathlib import Path
import datasets
from sftbench.pools import read_pool
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
pool = read_pool(Path(sys.argv[1]), into=Path(sys.argv[2]))
print(len(pool), peak() - before)
"""


@pytest.mark.parametrize("array", [False, True], ids=["lines", "array"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, array: bool) -> None:
    count, path = 60_000, tmp_path / "pool.json"
    row = json.dumps({"instruction": "a", "input": "", "output": "word " * 400})
    with path.open("w") as stream:
        stream.write("[" if array else "")
        for index in range(count):
            stream.write(("," if array and index else "") + row + "\n")
        stream.write("]" if array else "")
    script = [sys.executable, "-c", MEMORY, str(path), str(tmp_path / "rows.arrow")]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    rows, grown_mib = done.stdout.split()
    assert int(rows) == count
    file_mib = path.stat().st_size / 2**20
    assert float(grown_mib) < file_mib / 2 < file_mib


def test_an_instruction_without_an_output_is_a_row_without_response_in_an_alpaca_pool(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"instruction": "a", "output": "b"}\n{"instruction": "c"}\n', encoding="utf-8")
    pool = read_pool(path, into=tmp_path / "rows.arrow")
    assert [(row.prompt, row.response) for row in pool] == [("a", "b"), ("c", "")]


def test_instructions_alone_are_no_pool(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"instruction": "a", "response": "b"}\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"line 1.*instruction, response"):
        read_pool(path, into=tmp_path / "rows.arrow")

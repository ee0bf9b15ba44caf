"""From texts to types, a batch at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerFast

from sftbench import Pool
from sftbench_plugins.m2m.reading import Reading, Segmenter, Tokens, Words, read

MakePool = Callable[[Sequence[tuple[str, str]]], Pool]


class Count:
    total = 0

    def advance(self, amount: int = 1) -> None:
        self.total += amount


def reading_of(pool: Pool, segment: Segmenter, path: Path, wanted: npt.NDArray[np.bool_] | None = None) -> Reading:
    wanted = np.ones(len(pool), dtype=np.bool_) if wanted is None else wanted
    return read(pool, "response", segment=segment, wanted=wanted, path=path / "types", progress=Count())


def test_types_and_counts_equal_those_of_a_plain_count(
    corpus: list[npt.NDArray[np.int64]], make_pool: MakePool, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    rows = corpus[:1500]
    pool = make_pool([("say", " ".join(f"w{token}" for token in row)) for row in rows])
    reading = reading_of(pool, Tokens(tokenizer), tmp_path)
    counted = Counter(token + 2 for row in rows for token in row.tolist())
    held = Counter(token + 2 for row in rows for token in set(row.tolist()))
    assert {kind: reading.occurrences[kind] for kind in counted} == counted
    assert {kind: reading.num_holders[kind] for kind in held} == held
    assert reading.occurrences.sum() == sum(counted.values())
    matrix = reading.incidence(reading.occurrences >= 5)
    number = {kind: index for index, kind in enumerate(np.flatnonzero(reading.occurrences >= 5).tolist())}
    for index in range(0, len(rows), 31):
        types = matrix.indices[matrix.indptr[index] : matrix.indptr[index + 1]]
        assert set(types.tolist()) == {number[t + 2] for t in set(rows[index].tolist()) if counted[t + 2] >= 5}


def test_long_texts_are_read_in_full(make_pool: MakePool, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    pool = make_pool([("say", " ".join(f"w{number}" for number in range(200)))])
    assert reading_of(pool, Tokens(tokenizer), tmp_path).num_types.tolist() == [200]


def test_empty_rows_and_unwanted_rows_hold_nothing(
    make_pool: MakePool, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    pool = make_pool([("say", "w1 w2 w1"), ("say", ""), ("say", " \n "), ("say", "w1 w3"), ("say", "w1 w2 w1")])
    wanted = np.array([True, True, True, False, True])
    reading = reading_of(pool, Tokens(tokenizer), tmp_path, wanted)
    assert reading.num_types.tolist() == [2, 0, 0, 0, 2]
    assert reading.empty.tolist() == [False, True, True, False, False]
    assert reading.occurrences[[3, 4, 5]].tolist() == [4, 2, 0]
    assert reading.num_duplicate_texts == 1


def test_words_are_lower_cased_runs_of_word_characters(make_pool: MakePool, tmp_path: Path) -> None:
    words = Words()
    pool = make_pool([("say", "The naïve cat, THE cat's 2nd!"), ("say", "Кот и кот"), ("say", "?!")])
    reading = reading_of(pool, words, tmp_path)
    assert words.number_of == {w: i for i, w in enumerate(["the", "naïve", "cat", "s", "2nd", "кот", "и"])}
    assert reading.occurrences[:7].tolist() == [2, 1, 2, 1, 1, 2, 1]
    assert reading.empty.tolist() == [False, False, True]


def test_counters_grow_with_the_number_of_types(make_pool: MakePool, tmp_path: Path) -> None:
    text = " ".join(f"v{number}" for number in range(70_000))
    reading = reading_of(make_pool([("say", text), ("say", "v69999 last")]), Words(), tmp_path)
    assert reading.occurrences[69_999] == 2
    assert reading.occurrences[70_000] == 1
    assert reading.num_types.tolist() == [70_000, 2]

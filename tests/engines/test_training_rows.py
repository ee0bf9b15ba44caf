"""From a selection to weighted tokens: labels, skipped rows and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import datasets
import numpy as np
import pytest

from sftbench.engines.encode import Encoded
from sftbench.engines.training.rows import training_rows
from sftbench.errors import ContractError, UsageError
from sftbench.rooms import Pool, Ragged, Row, Selection


@dataclass
class LetterDesk:
    """Encodes a row as its letters: the prompt's, then the response's, cut at a length."""

    max_length: int = 12

    def training_encoding(self, rows: Iterable[Row], *, max_length: int | None = None) -> Iterator[Encoded]:
        for row in rows:
            ids = np.frombuffer((row.prompt + row.response).encode(), dtype=np.uint8).astype(np.int32)
            response = (np.arange(len(ids)) >= len(row.prompt))[: max_length or self.max_length]
            reason = None if response.any() else "prompt_too_long" if row.response else "empty_response"
            yield Encoded(
                row_id=row.id, token_ids=ids[: len(response)], response=response, spans=np.empty((0, 2), np.int32),
                kept_share=response.sum() / max(1, len(row.response)), reason=reason,
            )  # fmt: skip


def pool(*pairs: tuple[str, str]) -> Pool:
    rows = [
        {
            "id": f"r{place}",
            "messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}],
            "raw": "{}",
            "planted": None,
            "planted_spans": [],
        }
        for place, (prompt, response) in enumerate(pairs)
    ]
    return Pool(dataset=datasets.Dataset.from_list(rows), key="k", form="alpaca")


def labels(*lists: list[int]) -> Ragged:
    return Ragged.of([np.array(each, dtype=np.uint8) for each in lists], np.uint8)


def test_without_labels_every_response_token_is_trained() -> None:
    made = training_rows(pool(("ab", "cde"), ("f", "gh")), Selection(ids=("r1", "r0")), LetterDesk())  # type: ignore[arg-type]
    assert [row.ce_weights.tolist() for row in made.rows] == [[0, 1, 1], [0, 0, 1, 1, 1]]
    assert not any(row.kd_weights.any() for row in made.rows)
    assert made.rows[0].token_ids.tolist() == list(b"fgh")


def test_labels_say_which_term_a_token_belongs_to() -> None:
    selection = Selection(ids=("r0",), token_labels=labels([1, 0, 2]))
    (row,) = training_rows(pool(("ab", "cde")), selection, LetterDesk()).rows  # type: ignore[arg-type]
    assert row.ce_weights.tolist() == [0, 0, 1, 0, 0]
    assert row.kd_weights.tolist() == [0, 0, 0, 0, 1]


def test_labels_of_tokens_that_truncation_cut_off_are_dropped() -> None:
    selection = Selection(ids=("r0",), token_labels=labels([1, 0, 1]))
    made = training_rows(pool(("ab", "cde")), selection, LetterDesk(max_length=4))  # type: ignore[arg-type]
    assert made.rows[0].ce_weights.tolist() == [0, 0, 1, 0]
    assert made.num_truncated == 1


def test_rows_without_a_trained_token_are_skipped_and_counted_by_reason() -> None:
    rows = pool(("ab", "cd"), ("ab", ""), ("a" * 12, "x"), ("ab", "cd"), ("", "x"))
    selection = Selection(ids=("r0", "r1", "r2", "r3", "r4"), token_labels=labels([1, 1], [], [1], [0, 0], [1]))
    made = training_rows(rows, selection, LetterDesk())  # type: ignore[arg-type]
    assert len(made.rows) == 1
    assert made.skipped == {"empty_response": 1, "prompt_too_long": 1, "no_trained_token": 2}


def test_the_first_token_of_a_row_is_never_predicted() -> None:
    (row,) = training_rows(pool(("", "xyz")), Selection(ids=("r0",)), LetterDesk()).rows  # type: ignore[arg-type]
    assert row.ce_weights.tolist() == [0, 1, 1]


def test_an_empty_selection_is_refused() -> None:
    with pytest.raises(UsageError, match="empty"):
        training_rows(pool(("a", "b")), Selection(ids=()), LetterDesk())  # type: ignore[arg-type]


def test_a_selection_without_any_response_token_is_refused_with_the_reasons() -> None:
    with pytest.raises(UsageError, match=r"none of the 2.*empty_response: 2"):
        training_rows(pool(("a", ""), ("b", "")), Selection(ids=("r0", "r1")), LetterDesk())  # type: ignore[arg-type]


def test_labels_that_do_not_fit_are_a_broken_contract() -> None:
    rows = pool(("ab", "cde"), ("f", "gh"))
    for selection in (
        Selection(ids=("r0",), token_labels=labels([1, 1])),
        Selection(ids=("r0", "r1"), token_labels=labels([1, 1, 1])),
        Selection(ids=("nobody",)),
    ):
        with pytest.raises(ContractError):
            training_rows(rows, selection, LetterDesk())  # type: ignore[arg-type]

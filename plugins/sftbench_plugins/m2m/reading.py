"""One pass over the texts of a pool: which types each row holds.

The distinct types of the rows go to a file, so that memory does not grow with the length of the texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol

import numpy as np
import numpy.typing as npt

from sftbench import Pool, Progress

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from transformers import PreTrainedTokenizerFast

_WORD = re.compile(r"\w+")
_ROWS_AT_ONCE = 16_384


class Segmenter(Protocol):
    """Cuts texts into pieces, each with a number that stands for its type."""

    @property
    def ignored(self) -> list[int]:
        """Types that never count."""
        ...

    def __call__(self, texts: Sequence[str]) -> list[list[int]]: ...


@dataclass(frozen=True, eq=False)
class Tokens:
    """Pieces are tokens, in full length and without those that a tokenizer adds."""

    tokenizer: PreTrainedTokenizerFast

    @property
    def ignored(self) -> list[int]:
        return list(self.tokenizer.all_special_ids)

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        encoded = self.tokenizer(
            list(texts),
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        ids: list[list[int]] = encoded["input_ids"]
        return ids


@dataclass(frozen=True, eq=False)
class Words:
    """Pieces are lower-cased runs of Unicode word characters, numbered as they come up."""

    number_of: dict[str, int] = field(default_factory=dict)
    ignored: list[int] = field(default_factory=list)

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        number_of = self.number_of
        return [[number_of.setdefault(word, len(number_of)) for word in _WORD.findall(text.lower())] for text in texts]


@dataclass(kw_only=True, eq=False)
class Reading:
    """What the pass found, for `n` rows and `V` types.

    `num_types` int32 [n]: distinct types per row; their numbers lie in `path` (int32, row after row).
    `occurrences` and `num_holders` int64 [V]: how often a type occurs, and in how many rows. `empty`
    bool [n]: nothing to read. `counted` bool [n]: rows that were looked at; the others hold nothing.
    """

    path: Path
    num_types: npt.NDArray[np.int32]
    empty: npt.NDArray[np.bool_]
    counted: npt.NDArray[np.bool_]
    occurrences: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1 << 16, dtype=np.int64))
    num_holders: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1 << 16, dtype=np.int64))
    num_duplicate_texts: int = 0

    def count(self, start: int, pieces: list[list[int]], out: BinaryIO) -> None:
        """Take in the rows from position `start` on."""
        sizes = np.fromiter(map(len, pieces), dtype=np.int64, count=len(pieces))
        flat = np.fromiter(chain.from_iterable(pieces), dtype=np.int64, count=int(sizes.sum()))
        while flat.max(initial=0) >= len(self.occurrences):
            self.occurrences = np.concatenate([self.occurrences, np.zeros_like(self.occurrences)])
            self.num_holders = np.concatenate([self.num_holders, np.zeros_like(self.num_holders)])
        np.add.at(self.occurrences, flat, 1)
        pairs = np.unique(np.repeat(np.arange(len(pieces)), sizes) << 32 | flat)
        held = (pairs & 0xFFFFFFFF).astype(np.int32)
        np.add.at(self.num_holders, held, 1)
        self.num_types[start : start + len(pieces)] = np.bincount(pairs >> 32, minlength=len(pieces))
        held.tofile(out)

    def incidence(self, wanted: npt.NDArray[np.bool_]) -> csr_array:
        """Which row holds which of the wanted types: int8 ones, [n, number wanted]."""
        from scipy.sparse import csr_array

        number = np.cumsum(wanted, dtype=np.int32) - 1
        columns, num_kept = [np.empty(0, dtype=np.int32)], np.zeros(len(self.num_types) + 1, dtype=np.int64)
        for rows, held in self._chunks():
            kept = wanted[held]
            columns.append(number[held[kept]])
            owner = np.repeat(np.arange(rows.stop - rows.start), self.num_types[rows])
            num_kept[1 + rows.start : 1 + rows.stop] = np.bincount(owner[kept], minlength=rows.stop - rows.start)
        indices = np.concatenate(columns)
        ends = np.cumsum(num_kept)
        ones = np.ones(len(indices), dtype=np.int8)
        return csr_array((ones, indices, ends), shape=(len(self.num_types), int(wanted.sum())))

    def _chunks(self) -> Iterator[tuple[slice, npt.NDArray[np.int32]]]:
        with self.path.open("rb") as file:
            for start in range(0, len(self.num_types), _ROWS_AT_ONCE):
                rows = slice(start, min(start + _ROWS_AT_ONCE, len(self.num_types)))
                yield rows, np.fromfile(file, dtype=np.int32, count=int(self.num_types[rows].sum()))


def read(
    pool: Pool,
    component: Literal["instruction", "response"],
    *,
    segment: Segmenter,
    wanted: npt.NDArray[np.bool_],
    path: Path,
    progress: Progress,
) -> Reading:
    """Read one side of the rows that are `wanted` (bool [n]), turns joined by a newline, in full length."""
    num_rows, start = len(pool), 0
    empty, digests = np.zeros(num_rows, dtype=np.bool_), np.zeros(num_rows, dtype=np.int64)
    reading = Reading(path=path, num_types=np.zeros(num_rows, dtype=np.int32), empty=empty, counted=wanted)
    with path.open("wb") as out:
        for rows in pool.batches():
            here = slice(start, start + len(rows))
            texts = [row.text(component) for row in rows]
            asked = [text.strip() and want for text, want in zip(texts, wanted[here], strict=True)]
            pieces = segment([text if ask else "" for text, ask in zip(texts, asked, strict=True)])
            reading.count(start, pieces, out)
            empty[here] = [not cut for cut in pieces]
            digests[here] = [hash(text) for text in texts]
            start += len(rows)
            progress.advance(len(rows))
    empty &= wanted
    reading.num_duplicate_texts = num_rows - len(np.unique(digests))
    return reading

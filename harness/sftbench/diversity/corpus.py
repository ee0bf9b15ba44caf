"""Texts as token ids, one flat array: by the student's tokenizer, and as words between white space."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sftbench.rooms import Ragged

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TEXTS_AT_ONCE = 1000
Segmenter = Callable[[Sequence[str]], list[list[int]]]
"""Gives the ids of each text."""
Rereading = Callable[[npt.NDArray[np.int64]], Iterator[str]]
"""Gives the texts at these positions, in this order, again."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """One side of a set of rows.

    `tokens` and `words` are int32 ids, ragged over the rows; an empty text (or one of white space alone) has
    none. `is_repeated` marks the rows whose text stood in an earlier row.
    """

    tokens: Ragged
    words: Ragged
    is_empty: npt.NDArray[np.bool_]
    is_repeated: npt.NDArray[np.bool_]
    reread: Rereading

    def __len__(self) -> int:
        return len(self.is_empty)

    @property
    def filled(self) -> npt.NDArray[np.int64]:
        """Positions of the rows that have text."""
        return np.flatnonzero(~self.is_empty)


def read_corpus(texts: Iterable[str], reread: Rereading, *, tokenize: Segmenter) -> Corpus:
    """Read texts once, in order; `reread` gives them again when a metric needs their characters."""
    collecting = {"tokens": _Collecting(), "words": _Collecting()}
    words = Words()
    empty: list[bool] = []
    digests = array("Q")
    for batch in _batches(texts, TEXTS_AT_ONCE):
        blank = [not text.strip() for text in batch]
        filled = ["" if none else text for text, none in zip(batch, blank, strict=True)]
        collecting["tokens"].add(tokenize(filled))
        collecting["words"].add(words(filled))
        empty += blank
        digests.extend(_digest(text) for text in filled if text)
    is_empty = np.array(empty, dtype=np.bool_)
    _, first = np.unique(np.asarray(digests, dtype=np.uint64), return_index=True)
    is_repeated = np.zeros(len(empty), dtype=np.bool_)
    is_repeated[np.delete(np.flatnonzero(~is_empty), first)] = True
    return Corpus(
        tokens=collecting["tokens"].done(),
        words=collecting["words"].done(),
        is_empty=is_empty,
        is_repeated=is_repeated,
        reread=reread,
    )


def corpus_of(texts: Sequence[str], *, tokenize: Segmenter) -> Corpus:
    """A corpus of texts that are in memory."""
    return read_corpus(texts, lambda order: (texts[int(at)] for at in order), tokenize=tokenize)


def student_tokens(tokenizer: PreTrainedTokenizerFast) -> Segmenter:
    """Ids of the student's tokenizer: no special tokens added, no template, nothing cut."""

    def tokenize(texts: Sequence[str]) -> list[list[int]]:
        ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    return tokenize


class Words:
    """Words between white space, as they are written; ids in the order in which words are first seen."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        known = self.ids
        return [[known.setdefault(word, len(known)) for word in text.split()] for text in texts]


class _Collecting:
    def __init__(self) -> None:
        self.values: list[npt.NDArray[np.int32]] = []
        self.lengths = array("q")

    def add(self, ids: Sequence[Sequence[int]]) -> None:
        self.lengths.extend(len(each) for each in ids)
        self.values.append(np.fromiter(chain.from_iterable(ids), dtype=np.int32))

    def done(self) -> Ragged:
        values = np.concatenate(self.values) if self.values else np.empty(0, dtype=np.int32)
        ends = np.cumsum(np.asarray(self.lengths, dtype=np.int64))
        return Ragged(values=values, offsets=np.concatenate([[0], ends]).astype(np.int64))


def joined(first: Ragged, second: Ragged) -> Ragged:
    """The rows of both, the first's before the second's."""
    return Ragged(
        values=np.concatenate([first.values, second.values]),
        offsets=np.concatenate([first.offsets, second.offsets[1:] + first.offsets[-1]]),
    )


def taken(ragged: Ragged, rows: npt.NDArray[np.int64]) -> Ragged:
    """The rows at these positions, in this order."""
    lengths = np.diff(ragged.offsets)[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    at = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - ragged.offsets[:-1][rows], lengths)
    return Ragged(values=ragged.values[at], offsets=offsets)


def lengths_of(ragged: Ragged) -> npt.NDArray[np.int64]:
    """Tokens of each row [n]."""
    return np.diff(ragged.offsets)


def _digest(text: str) -> int:
    # Two of a million texts share one of these by chance once in thirty million corpora.
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    stream = iter(texts)
    while batch := list(islice(stream, size)):
        yield batch

"""What each token of a response is for, as pieces of its text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sftbench.anatomy.sides import NamedSelection

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def labelled_rows(
    side: NamedSelection, places: Sequence[int], tokenizer: PreTrainedTokenizerFast
) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows at some ranks of a selection: id, and `pieces` of the last response as (text, label), neighbours of one
    label together; text between tokens has the label None. And what could not be told."""
    from sftbench.engines.encode import encode_rows

    texts = side.texts
    if texts is None or texts.token_labels is None:
        return [], []
    rows = [texts.rows[place] for place in places]
    encodings = encode_rows(rows, tokenizer, template="training", max_length=texts.max_length or 2048)
    found, missing = [], []
    for place, row, encoded in zip(places, rows, encodings, strict=True):
        labels = texts.token_labels[place]
        if len(labels) != len(encoded.spans):
            missing.append(
                f"{side.name}: row {row.id} has {len(labels)} labels and {len(encoded.spans)} response tokens: "
                "is this the tokenizer of the run?"
            )
            continue
        spans = [(int(start), int(end)) for start, end in encoded.spans]
        found.append({"id": row.id, "pieces": pieces_of(row.response, spans, [int(label) for label in labels])})
    return found, missing


def pieces_of(text: str, spans: Sequence[tuple[int, int]], labels: Sequence[int]) -> list[tuple[str, int | None]]:
    """A text as pieces with the label of the token that each character belongs to (the later one, where two share it).

    Spans that start below 0 belong to no character: end-of-turn tokens, and other turns.
    """
    marks: list[int | None] = [None] * len(text)
    for (start, end), label in zip(spans, labels, strict=True):
        if start >= 0:
            marks[start:end] = [label] * (end - start)
    grouped = groupby(range(len(text)), key=marks.__getitem__)
    return [("".join(text[place] for place in places), label) for label, places in grouped]

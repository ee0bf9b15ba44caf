"""What a board says of the servers that wrote answers, where they were not all alike."""

from __future__ import annotations

from collections.abc import Iterable

from sftbench.board.cells import Cell
from sftbench.board.texts import one_line

_MOST_NAMED = 6


def serving_notes(cells: Iterable[Cell]) -> list[str]:
    """By which vLLM, and in which form of a trained model, answers were written: a sentence where that differs.

    The untrained base is always whole.
    """
    by: dict[str, dict[str, None]] = {}
    form: dict[str, dict[str, None]] = {}
    for cell in cells:
        told = cell.answered_by or {}
        if told.get("served_by"):
            by.setdefault(one_line(str(told["served_by"])), {})[one_line(cell.label)] = None
        if told.get("served_as") and cell.selection is not None:
            form.setdefault(one_line(str(told["served_as"])), {})[one_line(cell.label)] = None
    found = (("by", by), ("from", form))
    return [
        f"Answers were written {word} {_listed(groups)}: the same model may answer otherwise in one than in another."
        for word, groups in found
        if len(groups) > 1
    ]


def _listed(groups: dict[str, dict[str, None]]) -> str:
    return ", ".join(f"{name} ({_shortened(list(labels))})" for name, labels in sorted(groups.items()))


def _shortened(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more

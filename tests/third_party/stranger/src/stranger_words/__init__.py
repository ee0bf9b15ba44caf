"""Rows whose responses use many different words, by somebody who knows sftbench from its guide alone."""

from __future__ import annotations

from sftbench import Method, PartUse, Scorer, hookimpl
from stranger_words.scorer import DifferentWords


@hookimpl
def sftbench_scorers() -> list[type[Scorer]]:
    return [DifferentWords]


@hookimpl
def sftbench_methods() -> list[Method]:
    return [
        Method(
            name="stranger-words",
            summary="the rows with the most different words",
            scorer=PartUse(name="stranger-words"),
            selector=PartUse(name="top"),
        )
    ]

"""How a judge is named: as a part with parameters, or, in short, by the language model that is to judge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sftbench.chat import Endpoint
from sftbench.errors import UsageError
from sftbench.parameters import PartUse, parse_use
from sftbench.serving.description import PREFIX

PAIRWISE = "pairwise"
"""The judge that a language model alone stands for."""
_URLS = ("http://", "https://")


def judge_use(text: str) -> PartUse:
    """`vllm:MODEL` and `URL#MODEL` mean `pairwise[model=...]`, whatever signs are in them; all else is a part.

    Raises `UsageError` for a text that is none of these.
    """
    named = text.strip()
    if named.startswith(PREFIX):
        if named == PREFIX:
            raise UsageError(f"'{PREFIX}' lacks the model: a folder or hub name, as {PREFIX}/models/judge")
        return PartUse(name=PAIRWISE, parameters={"model": named})
    if named.startswith(_URLS):
        return PartUse(name=PAIRWISE, parameters={"model": str(Endpoint.parse(named))})
    return parse_use(named)


def refuse_unasked(parts: Iterable[Any], *, chat: str | None) -> None:
    """A judge or evaluator that asks a language model says so before anything is spent where none is named."""
    for part in parts:
        if part.needs().chat and chat is None:
            raise UsageError(
                f"{part.name} asks a language model and none is named: {part.name}[model=URL#MODEL], "
                f"{part.name}[model=vllm:MODEL], or --chat URL#MODEL"
            )

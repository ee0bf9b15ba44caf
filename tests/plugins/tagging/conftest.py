"""A desk whose encoder and chat model are made up, and pools of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt
import pytest

from sftbench import ChatAnswer, ChatRequest, Pool


class Tagger:
    """A chat model that gives the answers of a function of the text between the lines."""

    model = "made-up"

    def __init__(self, answer: Callable[[str], str]) -> None:
        self.answer, self.asked = answer, list[ChatRequest]()

    def ask(
        self,
        requests: Sequence[ChatRequest],
        parse: Callable[[str], Any],
        *,
        num_attempts: int = 2,
        lenient: bool = False,
    ) -> list[Any]:
        return [self._answered(request, parse, num_attempts) for request in requests]

    def _answered(self, request: ChatRequest, parse: Callable[[str], Any], num_attempts: int) -> ChatAnswer[Any]:
        self.asked.append(request)
        text = self.answer(request.messages[-1].content.split("==========")[1].strip())
        try:
            return ChatAnswer(value=parse(text), text=text, reason=None, attempts=1)
        except ValueError:
            return ChatAnswer(value=None, text=text, reason="parse_error", attempts=num_attempts)


@dataclass
class Desk:
    """What the scorer asks of a desk."""

    chat_model: Tagger | None = None
    encode: Callable[[Sequence[str]], npt.NDArray[np.float32]] | None = None
    logged: list[str] = field(default_factory=list)
    stand_ins: list[str] = field(default_factory=list)

    def chat(self, *, stand_in: str) -> Tagger | None:
        if self.chat_model is None:
            self.stand_ins.append(stand_in)
        return self.chat_model

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """By default no text is like any other."""
        return self.encode(texts) if self.encode else np.eye(len(texts), dtype=np.float32)

    def progress(self, total: int, unit: str) -> Any:
        return nullcontext(self)

    def advance(self, amount: int = 1) -> None: ...

    def log(self, message: str) -> None:
        self.logged.append(message)


@pytest.fixture
def make_desk() -> Callable[..., Desk]:
    return Desk


@pytest.fixture
def make_tagger() -> Callable[..., Tagger]:
    return Tagger


@pytest.fixture
def make_pool() -> Callable[[Sequence[Sequence[tuple[str, str]]]], Pool]:
    """From the turns (role, content) of every row."""

    def make(rows: Sequence[Sequence[tuple[str, str]]]) -> Pool:
        columns = {
            "id": [f"row-{index}" for index in range(len(rows))],
            "messages": [[{"role": role, "content": content} for role, content in row] for row in rows],
            "raw": ["{}"] * len(rows),
            "planted": [None] * len(rows),
            "planted_spans": [[] for _ in rows],
        }
        return Pool(dataset=datasets.Dataset.from_dict(columns), key="test", form="messages")

    return make

"""A toy scorer that asks two language models: the one that the user names, and one that it names itself."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sftbench import ChatRequest, Needs, Scorer, Scores, hookimpl, param
from sftbench.rooms import Message


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Characters of what is answered, over both models."""

    name: ClassVar[str] = "asker"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    model: str = param("", "a language model")
    attempt: int = param(0, "changes nothing but the key")
    seconds: float = param(0.0, "how long it does nothing afterwards")

    def needs(self) -> Needs:
        return Needs(asks={"judge": self.model}) if self.model else Needs(chat=True)

    def score(self, pool, desk):
        chat = desk.chat_with("judge") if self.model else desk.chat(stand_in="nothing")
        requests = [ChatRequest(messages=(Message(role="user", content=row.id),), max_new_tokens=4) for row in pool]
        answers = chat.ask(requests, str)
        time.sleep(self.seconds)
        return Scores(values=np.array([float(len(each.text)) for each in answers]))


@hookimpl
def sftbench_scorers() -> list[type[Scorer]]:
    return [Asker]

"""How long a judge may take and how much it may read and write: what is left, and for how many more items."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sftbench import Chat, ChatAnswer, ChatRequest

_FIRST, _MOST = 8, 64
_CHARACTERS_PER_TOKEN = 4


@dataclass(kw_only=True)
class Purse:
    """Seconds and tokens, None without a bound. Tokens count whether an answer was kept from before or not, so that
    the same items are judged again; an endpoint that does not count them is taken to use one for four characters."""

    max_seconds: float | None
    max_tokens: int | None
    num_items: int = 0
    num_tokens: int = 0
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of(cls, chat: Chat, *, max_seconds: float | None, max_tokens: int | None) -> Purse:
        """A purse for asking a model: the time in which its server starts is not the judge's."""

        def clock() -> float:
            return time.monotonic() - chat.seconds_starting

        return cls(max_seconds=max_seconds, max_tokens=max_tokens, clock=clock)

    def __post_init__(self) -> None:
        self._started = self.clock()

    def next_items(self, num_left: int) -> int:
        """How many of the items that are left are to be taken up at once; 0 when nothing more fits.

        Without bounds all of them, since each pause costs throughput. With one, no more than what is left pays for,
        at what the items until now have taken each.
        """
        if self.max_seconds is None and self.max_tokens is None:
            return num_left
        wanted = min(num_left, _MOST if self.num_items else _FIRST)
        for most, spent in ((self.max_seconds, self.clock() - self._started), (self.max_tokens, self.num_tokens)):
            if most is not None:
                each = spent / self.num_items if self.num_items else 0.0
                fitting = int((most - spent) / each) if each else wanted
                wanted = min(wanted, fitting) if spent < most else 0
        return wanted

    def spend(self, requests: Sequence[ChatRequest], answers: Sequence[ChatAnswer[Any]]) -> None:
        """Note what was asked and answered."""
        for request, answer in zip(requests, answers, strict=True):
            if answer.num_tokens is not None:
                self.num_tokens += answer.num_tokens
            elif answer.text is not None:
                asked = sum(len(turn.content) for turn in request.messages)
                self.num_tokens += (asked + len(answer.text)) // _CHARACTERS_PER_TOKEN

"""Ask a judge about many things: again where a reply is of no use, with shorter answers where they do not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from sftbench import Chat, ChatAnswer, ChatRequest, Json, Message, Progress
from sftbench_plugins.judges.purse import Purse

T = TypeVar("T")
LEAST_SHOWN = 200
"""Characters of each answer; where not even these fit, it is the question that is too long."""


class Matter(Protocol):
    """What a judge is asked about, in one or more requests."""

    @property
    def longest(self) -> int:
        """Characters of its longest answer."""
        ...

    def requests(self, limit: int | None) -> tuple[ChatRequest, ...]:
        """What is asked, with at most `limit` characters of each answer."""
        ...


@dataclass(kw_only=True)
class Heard(Generic[T]):
    """The answers to the requests of one matter, None where there is none of use, and what went wrong."""

    answers: list[ChatAnswer[T] | None] = field(default_factory=list)
    flags: dict[str, None] = field(default_factory=dict)
    num_useless: int = 0


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a judge is asked again where its reply was of no use; not at all where no reply is."""

    retry_temperature: float
    seed: int
    retries: bool = True

    def again(self, request: ChatRequest) -> ChatRequest:
        """The request as it is made where the first reply was of no use: at another temperature, with another seed."""
        return replace(request, temperature=self.retry_temperature, seed=self.seed + 1)


def turns(system: str, user: str, *, system_role: bool) -> tuple[Message, ...]:
    """What is said to the judge: in two turns, or in one for models that know no system role."""
    if not system_role:
        return (Message(role="user", content=f"{system}\n\n{user}"),)
    return Message(role="system", content=system), Message(role="user", content=user)


@dataclass(kw_only=True)
class Hearing(Generic[T]):
    """Asks about matters, and counts. `parse` raises `ValueError` for a reply that is of no use."""

    chat: Chat
    parse: Callable[[str], T]
    manner: Manner
    purse: Purse
    max_shown: int | None = None
    num_calls: int = 0
    num_retries: int = 0
    _progress: Progress | None = None

    def counts(self) -> dict[str, Json]:
        """What was asked: requests, those made again, and tokens read and written."""
        return {"num_calls": self.num_calls, "num_retries": self.num_retries, "num_tokens": self.purse.num_tokens}

    def hear(self, matters: Sequence[Matter], progress: Progress) -> list[Heard[T]]:
        """What is said on each, in order. What the purse does not pay for has the flag `over_budget`."""
        self._progress = progress
        found: list[Heard[T]] = []
        while len(found) < len(matters) and (count := self.purse.next_items(len(matters) - len(found))):
            found += self._heard(matters[len(found) : len(found) + count])
            self.purse.num_items += count
        return found + [Heard(flags={"over_budget": None}) for _ in matters[len(found) :]]

    def _heard(self, matters: Sequence[Matter]) -> list[Heard[T]]:
        found: list[Heard[T]] = [Heard() for _ in matters]
        limits = [self.max_shown for _ in matters]
        waiting = list(range(len(matters)))
        while waiting:
            requests = [matters[at].requests(limits[at]) for at in waiting]
            answers = iter(self._answers([request for each in requests for request in each]))
            again = []
            for at, asked in zip(waiting, requests, strict=True):
                said = [next(answers) for _ in asked]
                if any(each.reason == "too_long" for each in said):
                    limits[at] = _shorter(limits[at], matters[at].longest)
                    again.append(at)
                else:
                    found[at] = self._sorted(said)
            for at in [at for at in again if not limits[at]]:
                found[at].flags["question_too_long"] = None
            waiting = [at for at in again if limits[at]]
        for matter, limit, each in zip(matters, limits, found, strict=True):
            if limit and matter.longest > limit:
                each.flags["judge_truncated"] = None
        return found

    def _sorted(self, said: Sequence[ChatAnswer[T]]) -> Heard[T]:
        heard: Heard[T] = Heard()
        for each in said:
            if each.reason == "model_error":
                heard.flags["model_error"] = None
            elif self._is_useless(each):
                heard.flags["unparsable"] = None
                heard.num_useless += 1
            heard.answers.append(None if each.reason or self._is_useless(each) else each)
        return heard

    def _answers(self, requests: Sequence[ChatRequest]) -> list[ChatAnswer[T]]:
        """Asked once, and once more where a reply is of no use."""
        answers = self._asked(requests)
        useless = [at for at, answer in enumerate(answers) if self._is_useless(answer)]
        self.num_retries += len(useless)
        for at, answer in zip(useless, self._asked([self.manner.again(requests[at]) for at in useless]), strict=True):
            answers[at] = answer
        return answers

    def _asked(self, requests: Sequence[ChatRequest]) -> list[ChatAnswer[T]]:
        if not requests:
            return []

        def parse(reply: str) -> T:
            if self._progress is not None:
                self._progress.advance()
            return self.parse(reply)

        answers = self.chat.ask(requests, parse, num_attempts=1)
        self.num_calls += len(answers)
        self.purse.spend(requests, answers)
        return answers

    def _is_useless(self, answer: ChatAnswer[T]) -> bool:
        """Nothing could be read, or the reply was cut off: what was to come might have said otherwise."""
        if not self.manner.retries or answer.reason in ("model_error", "too_long"):
            return False
        return answer.reason == "parse_error" or not answer.ended


def _shorter(limit: int | None, longest: int) -> int:
    """Half of what was shown; 0 where that would be too little."""
    half = min(limit or longest, longest) // 2
    return half if half >= LEAST_SHOWN else 0

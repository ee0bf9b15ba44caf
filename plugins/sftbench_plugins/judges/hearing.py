"""Ask a judge about many things: again where a reply is of no use, with shorter answers where they do not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from sftbench import Chat, ChatAnswer, ChatRequest, Json, Message, Progress, Room
from sftbench_plugins.judges.fitting import SPARE, Fitting
from sftbench_plugins.judges.purse import Purse

T = TypeVar("T")


class Matter(Protocol):
    """What a judge is asked about, in one or more requests."""

    @property
    def lengths(self) -> tuple[int, ...]:
        """Characters of each of its answers."""
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
        whole = self._said([(matter, self.max_shown) for matter in matters])
        found = [self._sorted(said) for said in whole]
        limits: list[int | None] = [self.max_shown] * len(matters)
        refused = [at for at, said in enumerate(whole) if _is_too_long(said)]
        searches = [self._search(matters[at], whole[at]) for at in refused]
        fitted = self._fitted([matters[at] for at in refused], searches)
        for at, (shown, heard) in zip(refused, fitted, strict=True):
            limits[at], found[at] = shown, heard
        for matter, limit, each in zip(matters, limits, found, strict=True):
            if limit and max(matter.lengths) > limit:
                each.flags["judge_truncated"] = None
        return found

    def _search(self, matter: Matter, said: Sequence[ChatAnswer[T]]) -> Fitting:
        size = sum(len(turn.content) for turn in matter.requests(self.max_shown)[0].messages)
        search = Fitting(lengths=[min(each, self.max_shown or each) for each in matter.lengths], size=size)
        search.too_long(max(search.lengths), next((each.room for each in said if each.room is not None), None))
        return search

    def _fitted(self, matters: Sequence[Matter], searches: Sequence[Fitting]) -> list[tuple[int, Heard[T]]]:
        """What is said on matters that do not fit as they are, and how many characters of each answer were shown.

        That is nearly the most that fit. Where not even a few do, nothing is said, and the question is too long.
        """
        found: list[tuple[int, Heard[T]]] = [(0, Heard(flags={"question_too_long": None})) for _ in matters]
        measured = self._measured(matters, searches)
        trying = {at: each.best or each.next() for at, each in enumerate(searches)}
        while asked := [(at, limit) for at, limit in trying.items() if limit]:
            trying = {}
            for (at, limit), said in zip(asked, self._said([(matters[at], each) for at, each in asked]), strict=True):
                search = searches[at]
                if _is_too_long(said):
                    search.too_long(limit, next((each.room for each in said if each.room is not None), None))
                    measured.discard(at)
                else:
                    request = matters[at].requests(limit)[0]
                    search.fits(limit, _used(said, request.max_new_tokens, search.window))
                    if limit == search.best:
                        found[at] = limit, self._sorted(said)
                if at not in measured:
                    trying[at] = search.next()
        return found

    def _measured(self, matters: Sequence[Matter], searches: Sequence[Fitting]) -> set[int]:
        """Find what fits by the server's tokenizer, where a refusal did not tell by how much; returns for whom."""
        found: set[int] = set()
        waiting = {at: max(each.lengths) for at, each in enumerate(searches) if each.window is None}
        while waiting:
            rooms = self.chat.measured([matters[at].requests(limit)[0] for at, limit in waiting.items()])
            following: dict[int, int] = {}
            for (at, limit), room in zip(waiting.items(), rooms, strict=True):
                if room is not None and (at in found or room.asked > room.window - SPARE):
                    found.add(at)
                    searches[at].measure(limit, room)
                    if wanted := searches[at].next():
                        following[at] = wanted
            waiting = following
        return found

    def _said(self, asked: Sequence[tuple[Matter, int | None]]) -> list[list[ChatAnswer[T]]]:
        """The answers to all requests of each matter, shown so much of its answers."""
        requests = [matter.requests(limit) for matter, limit in asked]
        answers = iter(self._answers([request for each in requests for request in each]))
        return [[next(answers) for _ in each] for each in requests]

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

        answers = self.chat.ask(requests, parse, num_attempts=1, lenient=True)
        self.num_calls += len(answers)
        self.purse.spend(requests, answers)
        return answers

    def _is_useless(self, answer: ChatAnswer[T]) -> bool:
        """Nothing could be read, or the reply was cut off: what was to come might have said otherwise."""
        if not self.manner.retries or answer.reason in ("model_error", "too_long"):
            return False
        return answer.reason == "parse_error" or not answer.ended


def _is_too_long(said: Sequence[ChatAnswer[T]]) -> bool:
    return any(each.reason == "too_long" for each in said)


def _used(said: Sequence[ChatAnswer[T]], max_new_tokens: int, window: int | None) -> Room | None:
    """What requests that fit have asked for, a little too much: what was written counts twice."""
    counts = [each.num_tokens for each in said if each.num_tokens is not None]
    return Room(asked=max(counts) + max_new_tokens, window=window) if counts and window is not None else None

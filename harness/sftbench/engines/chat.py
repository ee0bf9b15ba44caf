"""A client of an OpenAI-compatible endpoint: cached by content, several requests at a time, nothing unparsable lost."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sftbench.chat import REFUSED, ChatAnswer, ChatRequest, Room, Service
from sftbench.engines.endpoint import Reply, Sender, StubbornError, is_too_long, optional_fields, room_in
from sftbench.errors import EnvironmentProblem
from sftbench.fingerprint import key_of
from sftbench.rooms import Json
from sftbench.store import write_atomically

if TYPE_CHECKING:
    # A client of an endpoint needs no torch, which takes longer to import than kept answers to read.
    from sftbench.engines.forward import WorkMeter

T = TypeVar("T")
MOST_REFUSED = 16
"""So many refusals and no answer at all: it is not the requests."""
TEMPERATURE_OF_A_RETRY = 0.7
"""A greedy answer that cannot be parsed would only come again."""
DISPENSABLE = ("response_format", "seed")
"""Fields of a request that are left out where an endpoint does not know them."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why an endpoint does not answer this one request, and what it says of its length."""

    reason: Literal["model_error", "too_long"]
    why: str = ""
    room: Room | None = None


@dataclass(kw_only=True)
class ChatClient:
    """A model behind an endpoint, or one that is served when it is first asked.

    `cache` is a folder shared by all runs, of answers and of what was too long; `unparsed` a file of texts of no use.
    """

    endpoint: Service
    cache: Path
    unparsed: Path
    meter: WorkMeter
    log: Callable[[str], None]
    num_at_once: int | None = None
    """None: what is fit for the endpoint."""
    another: str = "name another"
    """How the user has another model asked."""
    timeout_seconds: float = 600.0
    waits: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)
    num_requests: int = 0
    num_unparsable: int = 0
    num_failed: int = 0
    num_uncounted: int = 0
    num_refused: int = 0
    """Requests that the endpoint refused, or failed over every time: they are not kept, and may be made again."""
    num_answered: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._left_out: set[str] = set()
        self._measures = True
        self._why_refused = ""
        self._sender = Sender(
            service=self.endpoint, timeout_seconds=self.timeout_seconds, waits=self.waits, another=self.another
        )

    def counts(self) -> dict[str, Json]:
        """What became of the requests."""
        by = {"served_by": self.endpoint.server} if self.endpoint.server else {}
        refused: dict[str, Json] = {REFUSED: self.num_refused} if self.num_refused else {}
        return {
            "model": self.model,
            **by,
            "num_requests": self.num_requests,
            "num_unparsable_texts": self.num_unparsable,
            "num_failed": self.num_failed,
            "num_uncounted_texts": self.num_uncounted,
            **refused,
        }

    @property
    def model(self) -> str:
        return self.endpoint.model

    @property
    def seconds_starting(self) -> float:
        """See `sftbench.chat.Chat`."""
        return self._sender.seconds_starting

    def ask(
        self,
        requests: Sequence[ChatRequest],
        parse: Callable[[str], T],
        *,
        num_attempts: int = 2,
        lenient: bool = False,
    ) -> list[ChatAnswer[T]]:
        """See `sftbench.chat.Chat`."""
        answers: list[ChatAnswer[T]] = []
        with self._workers() as workers:
            waiting = [workers.submit(self._answered, each, parse, num_attempts, lenient) for each in requests]
            try:
                for each in waiting:
                    answer, refusal = each.result()
                    answers.append(answer)
                    self._note(refusal, answer, lenient=lenient)
                if lenient:
                    self._refuse_a_mute(at_least=1)
            except BaseException:
                _cancel(waiting)
                raise
        self.num_requests += len(answers)
        self.num_failed += sum(answer.reason is not None for answer in answers)
        return answers

    def measured(self, requests: Sequence[ChatRequest]) -> list[Room | None]:
        """See `sftbench.chat.Chat`."""
        if requests and self._measures:
            with self._workers() as workers:
                found = list(workers.map(self._measured, requests))
            self._measures = any(each is not None for each in found)
            return found
        return [None] * len(requests)

    def _measured(self, request: ChatRequest) -> Room | None:
        place = self._place({"measured": dataclasses.asdict(request)})
        room = _room(_told(place))
        if room is None and (room := self._sender.room(request)) is not None:
            self._write(place, {"room": dataclasses.asdict(room)})
        return room

    def _workers(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.num_at_once or self.endpoint.num_at_once)

    def _note(self, refusal: Refusal | None, answer: ChatAnswer[T], *, lenient: bool) -> None:
        """Count in the order of the requests, so that an endpoint that refuses everything is noticed early."""
        self.num_answered += answer.text is not None
        if refusal is not None and refusal.reason == "model_error":
            self.num_refused += 1
            self._why_refused = refusal.why
            if lenient:
                self._refuse_a_mute(at_least=MOST_REFUSED)

    def _refuse_a_mute(self, *, at_least: int) -> None:
        """Failures of single requests are recorded; an endpoint that answers none is the user's to mend."""
        if not self.num_answered and self.num_refused >= at_least:
            raise EnvironmentProblem(
                f"{self.endpoint.identity} has answered none of {self.num_refused} requests: {self._why_refused}"
            )

    def _answered(
        self, request: ChatRequest, parse: Callable[[str], T], num_attempts: int, lenient: bool
    ) -> tuple[ChatAnswer[T], Refusal | None]:
        told: dict[str, Any] = {}
        counts: list[int | None] = []
        for attempt in range(num_attempts):
            reply = self._reply(_otherwise(request, attempt), lenient=lenient)
            if isinstance(reply, Refusal):
                answer = ChatAnswer[T](
                    value=None, text=None, reason=reply.reason, attempts=attempt + 1, num_tokens=_sum(counts),
                    room=reply.room,
                )  # fmt: skip
                return answer, reply
            counts.append(reply.num_tokens)
            told = {"text": reply.text, "ended": reply.ended, "top_logprobs": reply.top_logprobs,
                    "num_tokens": _sum(counts)}  # fmt: skip
            try:
                value = parse(reply.text)
            except ValueError as problem:
                self._keep(request, reply.text, str(problem))
            else:
                return ChatAnswer(value=value, reason=None, attempts=attempt + 1, **told), None
        told = {"text": None, **told}
        return ChatAnswer(value=None, reason="parse_error", attempts=num_attempts, **told), None

    def _reply(self, request: ChatRequest, *, lenient: bool) -> Reply | Refusal:
        """The answer from the cache or the endpoint, or why the endpoint refuses this one request.

        Answers are counted alike, so that what a step costs does not depend on what was asked before it.
        """
        reply = self._found(request, lenient=lenient)
        if isinstance(reply, Reply):
            self._count(reply)
        return reply

    def _found(self, request: ChatRequest, *, lenient: bool) -> Reply | Refusal:
        for _ in range(1 + len(DISPENSABLE)):
            left_out = frozenset(self._left_out) & set(optional_fields(request))
            place = self._place({"request": dataclasses.asdict(request), "left_out": sorted(left_out)})
            kept = _kept(place)
            if kept is not None:
                return kept
            import openai

            try:
                reply = self._sender.sent(request, left_out, lenient=lenient)
            except StubbornError as problem:
                return self._refused(f"failed over a request again and again, and answers others: {problem}")
            except openai.APIStatusError as problem:
                if is_too_long(str(problem)):
                    room = room_in(str(problem), request.max_new_tokens)
                    self._write(place, {"refused": "too_long", "room": dataclasses.asdict(room) if room else None})
                    return Refusal(reason="too_long", room=room)
                refused = {name for name in DISPENSABLE if name in str(problem)} - left_out
                if not refused:
                    return self._refused(f"refused a request: {problem}")
                self.log(f"{self.model} does not know {', '.join(sorted(refused))}; going on without")
                self._left_out |= refused
            else:
                self._write(place, dataclasses.asdict(reply))
                return reply
        return Refusal(reason="model_error", why="it knows none of the fields of a request")

    def _refused(self, why: str) -> Refusal:
        self.log(f"{self.model} {why[:300]}")
        return Refusal(reason="model_error", why=why[:300])

    def _place(self, asked: Mapping[str, Json]) -> Path:
        """Where the cache has what this endpoint said to a request, as it is sent: without the fields left out."""
        key = key_of({"endpoint": self.endpoint.identity, **asked})
        return self.cache / key[:2] / f"{key}.json"

    def _write(self, place: Path, told: Mapping[str, Json]) -> None:
        write_atomically(place, json.dumps({"endpoint": self.endpoint.identity, **told}, ensure_ascii=False))

    def _count(self, reply: Reply) -> None:
        with self._lock:
            if reply.prompt_tokens is None or reply.completion_tokens is None:
                self.num_uncounted += 1
            else:
                self.meter(tokens_forward=reply.prompt_tokens, tokens_generated=reply.completion_tokens)

    def _keep(self, request: ChatRequest, text: str, why: str) -> None:
        asked = request.prompt if request.prompt is not None else request.messages[-1].content
        line = json.dumps({"asked": asked, "answer": text, "why": why}, ensure_ascii=False)
        with self._lock, self.unparsed.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
            self.num_unparsable += 1


def _sum(counts: Sequence[int | None]) -> int | None:
    """None where one of them is not known."""
    known = [each for each in counts if each is not None]
    return sum(known) if len(known) == len(counts) else None


def _told(place: Path) -> dict[str, Any]:
    """What the cache has in a place; nothing where it has nothing, or what another version wrote."""
    try:
        told = json.loads(place.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _kept(place: Path) -> Reply | Refusal | None:
    """An answer as the cache has it, or that the request was refused as too long; None where it has neither."""
    told = _told(place)
    if told.get("refused") == "too_long":
        return Refusal(reason="too_long", room=_room(told))
    try:
        names = [each.name for each in dataclasses.fields(Reply) if each.name != "top_logprobs"]
        return Reply(**{name: told[name] for name in names}, top_logprobs=tuple(told.get("top_logprobs", ())))
    except (KeyError, TypeError):
        return None


def _room(told: Mapping[str, Any]) -> Room | None:
    """The room in what the cache has; None where none was told."""
    try:
        return Room(asked=int(told["room"]["asked"]), window=int(told["room"]["window"]))
    except (KeyError, TypeError, ValueError):
        return None


def _otherwise(request: ChatRequest, attempt: int) -> ChatRequest:
    """The request as it is made the next time."""
    if not attempt:
        return request
    return dataclasses.replace(
        request, seed=(request.seed or 0) + attempt, temperature=request.temperature or TEMPERATURE_OF_A_RETRY
    )


def _cancel(waiting: Sequence[Future[Any]]) -> None:
    for each in waiting:
        each.cancel()

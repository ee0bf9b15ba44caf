"""A client of an OpenAI-compatible endpoint: cached by content, several requests at a time, nothing unparsable lost."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from sftbench.chat import ChatAnswer, ChatRequest, Endpoint
from sftbench.engines.endpoint import Reply, Sender, is_too_long, optional_fields
from sftbench.engines.forward import Meter
from sftbench.fingerprint import key_of
from sftbench.rooms import Json
from sftbench.store import write_atomically

T = TypeVar("T")
Refusal = Literal["model_error", "too_long"]
TEMPERATURE_OF_A_RETRY = 0.7
"""A greedy answer that cannot be parsed would only come again."""
DISPENSABLE = ("response_format", "seed")
"""Fields of a request that are left out where an endpoint does not know them."""


@dataclass(kw_only=True)
class ChatClient:
    """A model behind an endpoint. `cache` is a folder shared by all runs; `unparsed` a file of texts of no use."""

    endpoint: Endpoint
    cache: Path
    unparsed: Path
    meter: Meter
    log: Callable[[str], None]
    num_at_once: int = 16
    timeout_seconds: float = 600.0
    waits: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)
    num_requests: int = 0
    num_unparsable: int = 0
    num_failed: int = 0
    num_uncounted: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._left_out: set[str] = set()
        self._sender = Sender(endpoint=self.endpoint, timeout_seconds=self.timeout_seconds, waits=self.waits)

    def counts(self) -> dict[str, Json]:
        """What became of the requests."""
        return {
            "model": self.model,
            "num_requests": self.num_requests,
            "num_unparsable_texts": self.num_unparsable,
            "num_failed": self.num_failed,
            "num_uncounted_texts": self.num_uncounted,
        }

    @property
    def model(self) -> str:
        return self.endpoint.model

    def ask(
        self, requests: Sequence[ChatRequest], parse: Callable[[str], T], *, num_attempts: int = 2
    ) -> list[ChatAnswer[T]]:
        """See `sftbench.chat.Chat`."""
        answers: list[ChatAnswer[T]] = []
        with ThreadPoolExecutor(self.num_at_once) as workers:
            waiting = [workers.submit(self._answered, each, parse, num_attempts) for each in requests]
            try:
                for each in waiting:
                    answers.append(each.result())
            except BaseException:
                _cancel(waiting)
                raise
        self.num_requests += len(answers)
        self.num_failed += sum(answer.reason is not None for answer in answers)
        return answers

    def _answered(self, request: ChatRequest, parse: Callable[[str], T], num_attempts: int) -> ChatAnswer[T]:
        told: dict[str, Any] = {}
        counts: list[int | None] = []
        for attempt in range(num_attempts):
            reply = self._reply(_otherwise(request, attempt))
            if not isinstance(reply, Reply):
                return ChatAnswer(value=None, text=None, reason=reply, attempts=attempt + 1, num_tokens=_sum(counts))
            counts.append(reply.num_tokens)
            told = {"text": reply.text, "ended": reply.ended, "top_logprobs": reply.top_logprobs,
                    "num_tokens": _sum(counts)}  # fmt: skip
            try:
                value = parse(reply.text)
            except ValueError as problem:
                self._keep(request, reply.text, str(problem))
            else:
                return ChatAnswer(value=value, reason=None, attempts=attempt + 1, **told)
        return ChatAnswer(value=None, reason="parse_error", attempts=num_attempts, **{"text": None, **told})

    def _reply(self, request: ChatRequest) -> Reply | Refusal:
        """The answer from the cache or the endpoint, or why the endpoint refuses this one request.

        Counted alike, so that what a step costs does not depend on what was asked before it.
        """
        reply = self._found(request)
        if isinstance(reply, Reply):
            self._count(reply)
        return reply

    def _found(self, request: ChatRequest) -> Reply | Refusal:
        import openai

        for _ in range(1 + len(DISPENSABLE)):
            left_out = frozenset(self._left_out) & set(optional_fields(request))
            place = self._place(request, left_out)
            reply = _kept(place)
            if reply is not None:
                return reply
            try:
                reply = self._sender.sent(request, left_out)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as problem:
                if is_too_long(str(problem)):
                    return "too_long"
                refused = {name for name in DISPENSABLE if name in str(problem)} - left_out
                if not refused:
                    self.log(f"{self.model} refused a request: {str(problem)[:200]}")
                    return "model_error"
                self.log(f"{self.endpoint.url} does not know {', '.join(sorted(refused))}; going on without")
                self._left_out |= refused
            else:
                kept = {"endpoint": str(self.endpoint), **dataclasses.asdict(reply)}
                write_atomically(place, json.dumps(kept, ensure_ascii=False))
                return reply
        return "model_error"

    def _place(self, request: ChatRequest, left_out: frozenset[str]) -> Path:
        """Where the cache has the answer of this endpoint to a request, as it is sent: without the fields left out."""
        asked: dict[str, Json] = {"endpoint": str(self.endpoint), "request": dataclasses.asdict(request)}
        key = key_of({**asked, "left_out": sorted(left_out)})
        return self.cache / key[:2] / f"{key}.json"

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


def _kept(place: Path) -> Reply | None:
    """An answer as the cache has it; None where it has none, or what another version wrote."""
    try:
        told = json.loads(place.read_text(encoding="utf-8"))
        names = [each.name for each in dataclasses.fields(Reply) if each.name != "top_logprobs"]
        return Reply(**{name: told[name] for name in names}, top_logprobs=tuple(told.get("top_logprobs", ())))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
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

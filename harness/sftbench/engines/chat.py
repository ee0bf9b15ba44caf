"""A client of an OpenAI-compatible endpoint: cached by content, several requests at a time, nothing unparsable lost."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sftbench.chat import ChatAnswer, ChatRequest, Endpoint
from sftbench.engines.forward import Meter
from sftbench.errors import EnvironmentProblem
from sftbench.fingerprint import key_of
from sftbench.rooms import Json
from sftbench.store import write_atomically

if TYPE_CHECKING:
    from openai import OpenAI

T = TypeVar("T")
TEMPERATURE_OF_A_RETRY = 0.7
"""A greedy answer that cannot be parsed would only come again."""


@dataclass(kw_only=True)
class ChatClient:
    """A model behind an endpoint. `cache` is a folder shared by all runs; `unparsed` a file of texts of no use.

    The key of `OPENAI_API_KEY` is sent if there is one, and written nowhere.
    """

    endpoint: Endpoint
    cache: Path
    unparsed: Path
    meter: Meter
    log: Callable[[str], None]
    num_at_once: int = 16
    timeout_seconds: float = 600.0
    num_retries: int = 5
    num_requests: int = 0
    num_unparsable: int = 0
    num_failed: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._left_out: set[str] = set()

    def counts(self) -> dict[str, Json]:
        """What became of the requests."""
        return {
            "model": self.model,
            "num_requests": self.num_requests,
            "num_unparsable_texts": self.num_unparsable,
            "num_failed": self.num_failed,
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
        text: str | None = None
        for attempt in range(num_attempts):
            text = self._text(_otherwise(request, attempt))
            if text is None:
                return ChatAnswer(value=None, text=None, reason="model_error", attempts=attempt + 1)
            try:
                return ChatAnswer(value=parse(text), text=text, reason=None, attempts=attempt + 1)
            except ValueError as problem:
                self._keep(request, text, str(problem))
        return ChatAnswer(value=None, text=text, reason="parse_error", attempts=num_attempts)

    def _text(self, request: ChatRequest) -> str | None:
        """The answer from the cache or the endpoint; None when the endpoint refuses this one request."""
        key = key_of({"model": self.model, "request": dataclasses.asdict(request)})
        kept = self.cache / key[:2] / f"{key}.json"
        try:
            return str(json.loads(kept.read_text(encoding="utf-8"))["text"])
        except (FileNotFoundError, ValueError, KeyError):
            pass
        text = self._asked(request)
        if text is not None:
            write_atomically(kept, json.dumps({"model": self.model, "text": text}, ensure_ascii=False))
        return text

    def _asked(self, request: ChatRequest) -> str | None:
        import openai

        for _ in range(3):
            left_out = frozenset(self._left_out)
            try:
                with _explained(self.endpoint):
                    return self._sent(request, left_out)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as problem:
                refused = {name for name in ("response_format", "seed") if name in str(problem)} - left_out
                if not refused:
                    self.log(f"{self.model} refused a request: {str(problem)[:200]}")
                    return None
                self.log(f"{self.endpoint.url} does not know {', '.join(sorted(refused))}; going on without")
                self._left_out |= refused
            except (openai.APITimeoutError, openai.InternalServerError) as problem:
                self.log(f"{self.model} gave no answer: {type(problem).__name__}")
                return None
        return None

    def _sent(self, request: ChatRequest, left_out: frozenset[str]) -> str:
        more: dict[str, Any] = {} if request.seed is None else {"seed": request.seed}
        if request.json_schema is not None:
            schema = {"name": "answer", "schema": dict(request.json_schema), "strict": True}
            more["response_format"] = {"type": "json_schema", "json_schema": schema}
        if request.stop:
            more["stop"] = list(request.stop)
        shared: dict[str, Any] = {
            "model": self.model,
            "max_tokens": request.max_new_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            **{name: value for name, value in more.items() if name not in left_out},
        }
        answer: Any
        if request.prompt is not None:
            answer = self._client.completions.create(prompt=request.prompt, **shared)
            text = answer.choices[0].text
        else:
            turns: Any = [{"role": each.role, "content": each.content} for each in request.messages]
            answer = self._client.chat.completions.create(messages=turns, **shared)
            text = answer.choices[0].message.content
        if answer.usage is not None:
            with self._lock:
                self.meter(tokens_forward=answer.usage.prompt_tokens, tokens_generated=answer.usage.completion_tokens)
        return text or ""

    @cached_property
    def _client(self) -> OpenAI:
        from openai import OpenAI

        return OpenAI(
            base_url=self.endpoint.url,
            api_key=os.environ.get("OPENAI_API_KEY") or "none",
            timeout=self.timeout_seconds,
            max_retries=self.num_retries,
        )

    def _keep(self, request: ChatRequest, text: str, why: str) -> None:
        asked = request.prompt if request.prompt is not None else request.messages[-1].content
        line = json.dumps({"asked": asked, "answer": text, "why": why}, ensure_ascii=False)
        with self._lock, self.unparsed.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
            self.num_unparsable += 1


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


@contextmanager
def _explained(endpoint: Endpoint) -> Iterator[None]:
    """An endpoint that cannot be used at all, as a message with the way out."""
    import openai

    try:
        yield
    except openai.APITimeoutError:
        raise
    except openai.APIConnectionError:
        raise EnvironmentProblem(
            f"nothing answers at {endpoint.url}; start the server, or give another with --chat. "
            "What was answered until now is kept; run again to go on"
        ) from None
    except openai.NotFoundError:
        raise EnvironmentProblem(
            f"{endpoint.url} does not serve a model '{endpoint.model}' (or the URL lacks its /v1)"
        ) from None
    except (openai.AuthenticationError, openai.PermissionDeniedError):
        raise EnvironmentProblem(f"{endpoint.url} wants a key: set OPENAI_API_KEY") from None
    except openai.RateLimitError:
        raise EnvironmentProblem(
            f"{endpoint.url} allows no more requests now; what was answered is kept, run again later"
        ) from None

"""One request to an OpenAI-compatible endpoint: what is sent, what comes back, and what its problems mean."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sftbench.chat import ChatRequest, Endpoint
from sftbench.errors import EnvironmentProblem

if TYPE_CHECKING:
    from openai import OpenAI, OpenAIError

LONGEST_WAIT = 60.0


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What an endpoint wrote, and the tokens that it read and wrote for it; None where it does not count them.

    `ended` is False for a text that the limit of new tokens cut off.
    """

    text: str
    ended: bool
    prompt_tokens: int | None
    completion_tokens: int | None
    top_logprobs: tuple[Mapping[str, float], ...] = ()

    @property
    def num_tokens(self) -> int | None:
        """Read and written together; None where either is not counted."""
        read, written = self.prompt_tokens, self.completion_tokens
        return None if read is None or written is None else read + written


class BrokenAnswerError(Exception):
    """An answer that says that all went well, and is half a JSON, or one of another kind than was asked for."""


@dataclass(kw_only=True)
class Sender:
    """Sends requests to an endpoint, from several threads at once.

    The key of `OPENAI_API_KEY` is sent if there is one, and written nowhere.
    """

    endpoint: Endpoint
    timeout_seconds: float
    waits: tuple[float, ...]
    """Seconds before a request is sent again that the endpoint was too busy for, or broke over."""

    def sent(self, request: ChatRequest, left_out: frozenset[str]) -> Reply:
        """The answer to a request without the optional fields `left_out`.

        Raises `EnvironmentProblem` for an endpoint that cannot be used, or is silent, and what openai raises for a
        request that is refused by itself.
        """
        with self._explained():
            return self._patiently(request, left_out)

    def _patiently(self, request: ChatRequest, left_out: frozenset[str]) -> Reply:
        import openai

        for wait in self.waits:
            try:
                return self._answered(request, left_out)
            except openai.APITimeoutError:
                # It has had all the time that an answer may take, and each further try would take as much.
                raise
            except (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError) as problem:
                time.sleep(_asked_to_wait(problem) or wait)
            except BrokenAnswerError:
                time.sleep(wait)
        return self._answered(request, left_out)

    def _answered(self, request: ChatRequest, left_out: frozenset[str]) -> Reply:
        try:
            return self._read(request, left_out)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as problem:
            raise BrokenAnswerError(f"{type(problem).__name__}: {problem}") from None

    def _read(self, request: ChatRequest, left_out: frozenset[str]) -> Reply:
        shared: dict[str, Any] = {
            "model": self.endpoint.model,
            "max_tokens": request.max_new_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            **{name: value for name, value in optional_fields(request).items() if name not in left_out},
        }
        answer: Any
        if request.prompt is not None:
            answer = self._client.completions.create(prompt=request.prompt, **shared)
            choice = answer.choices[0]
            text = choice.text
        else:
            turns: Any = [{"role": each.role, "content": each.content} for each in request.messages]
            answer = self._client.chat.completions.create(messages=turns, **shared)
            choice = answer.choices[0]
            text = choice.message.content
        usage = answer.usage
        return Reply(
            text=text or "",
            ended=choice.finish_reason != "length",
            prompt_tokens=usage.prompt_tokens if usage is not None else None,
            completion_tokens=usage.completion_tokens if usage is not None else None,
            top_logprobs=_top_logprobs(choice.logprobs) if request.top_logprobs else (),
        )

    @cached_property
    def _client(self) -> OpenAI:
        from openai import OpenAI

        return OpenAI(
            base_url=self.endpoint.url,
            api_key=os.environ.get("OPENAI_API_KEY") or "none",
            timeout=self.timeout_seconds,
            max_retries=0,
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """An endpoint that cannot be used at all, as a message with the way out."""
        import openai

        url, model = self.endpoint.url, self.endpoint.model
        again = "what was answered until now is kept; run again to go on"
        try:
            yield
        except openai.APITimeoutError:
            raise EnvironmentProblem(f"{url} gave no answer within {self.timeout_seconds:g} s; {again}") from None
        except openai.APIConnectionError:
            raise EnvironmentProblem(
                f"nothing answers at {url}; start the server, or give another with --chat; {again}"
            ) from None
        except (openai.BadRequestError, openai.UnprocessableEntityError):
            raise
        except openai.NotFoundError:
            raise EnvironmentProblem(f"{url} does not serve a model '{model}' (or the URL lacks its /v1)") from None
        except (openai.AuthenticationError, openai.PermissionDeniedError):
            raise EnvironmentProblem(f"{url} wants a key: set OPENAI_API_KEY") from None
        except openai.RateLimitError:
            raise EnvironmentProblem(
                f"{url} allows no more requests now; what was answered is kept, run again later"
            ) from None
        except BrokenAnswerError as problem:
            raise EnvironmentProblem(f"{url} sends what is no whole answer ({str(problem)[:200]}); {again}") from None
        except openai.APIStatusError as problem:
            raise EnvironmentProblem(
                f"{url} answers with an error ({problem.status_code}: {str(problem)[:200]}); {again}"
            ) from None


def _top_logprobs(told: Any) -> tuple[dict[str, float], ...]:
    """By token text at each place written, from the form of chats or from that of raw completions."""
    if told is None:
        return ()
    if getattr(told, "content", None):
        return tuple({each.token: float(each.logprob) for each in place.top_logprobs} for place in told.content)
    return tuple({text: float(value) for text, value in place.items()} for place in told.top_logprobs or ())


def optional_fields(request: ChatRequest) -> dict[str, Any]:
    """The fields of a request that an endpoint may not know, as they are sent."""
    fields: dict[str, Any] = {} if request.seed is None else {"seed": request.seed}
    if request.json_schema is not None:
        schema = {"name": "answer", "schema": dict(request.json_schema), "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.stop:
        fields["stop"] = list(request.stop)
    if request.top_logprobs:
        of_chat = {"logprobs": True, "top_logprobs": request.top_logprobs}
        fields |= of_chat if request.prompt is None else {"logprobs": request.top_logprobs}
    return fields


_TOO_LONG = re.compile(
    r"context[ _](length|window)|max(imum)?[ _]model[ _]len|max_model_len|prompt is too long|input is too long",
    re.IGNORECASE,
)
"""How vLLM, llama.cpp, SGLang and the hosted services say it."""


def is_too_long(message: str) -> bool:
    """Whether an endpoint refused a request because it does not fit into the model's context."""
    return _TOO_LONG.search(message) is not None


def _asked_to_wait(problem: OpenAIError) -> float | None:
    """The seconds that an endpoint asks for before it is tried again, at most `LONGEST_WAIT`."""
    response = getattr(problem, "response", None)
    try:
        return min(float(response.headers["retry-after"]), LONGEST_WAIT) if response is not None else None
    except (KeyError, ValueError):
        return None

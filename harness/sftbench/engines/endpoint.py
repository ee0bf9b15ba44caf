"""One request to an OpenAI-compatible endpoint: what is sent, what comes back, and what its problems mean."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sftbench.chat import ChatRequest, Endpoint
from sftbench.errors import EnvironmentProblem

if TYPE_CHECKING:
    from openai import OpenAI


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What an endpoint wrote, and the tokens that it read and wrote for it; None where it does not count them."""

    text: str
    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass(kw_only=True)
class Sender:
    """Sends requests to an endpoint, from several threads at once.

    The key of `OPENAI_API_KEY` is sent if there is one, and written nowhere.
    """

    endpoint: Endpoint
    timeout_seconds: float
    num_retries: int

    def sent(self, request: ChatRequest, left_out: frozenset[str]) -> Reply:
        """The answer to a request without the optional fields `left_out`.

        Raises `EnvironmentProblem` for an endpoint that cannot be used, and what openai raises for a request that is
        refused by itself.
        """
        with _explained(self.endpoint):
            return self._answered(request, left_out)

    def _answered(self, request: ChatRequest, left_out: frozenset[str]) -> Reply:
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
            text = answer.choices[0].text
        else:
            turns: Any = [{"role": each.role, "content": each.content} for each in request.messages]
            answer = self._client.chat.completions.create(messages=turns, **shared)
            text = answer.choices[0].message.content
        usage = answer.usage
        return Reply(
            text=text or "",
            prompt_tokens=usage.prompt_tokens if usage is not None else None,
            completion_tokens=usage.completion_tokens if usage is not None else None,
        )

    @cached_property
    def _client(self) -> OpenAI:
        from openai import OpenAI

        return OpenAI(
            base_url=self.endpoint.url,
            api_key=os.environ.get("OPENAI_API_KEY") or "none",
            timeout=self.timeout_seconds,
            max_retries=self.num_retries,
        )


def optional_fields(request: ChatRequest) -> dict[str, Any]:
    """The fields of a request that an endpoint may not know, as they are sent."""
    fields: dict[str, Any] = {} if request.seed is None else {"seed": request.seed}
    if request.json_schema is not None:
        schema = {"name": "answer", "schema": dict(request.json_schema), "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.stop:
        fields["stop"] = list(request.stop)
    return fields


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

"""What is asked of a language model that writes text, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from sftbench.errors import UsageError
from sftbench.rooms import Json, Message

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a model is served, and its name there."""

    url: str
    model: str

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """`http://127.0.0.1:8000/v1#MODEL`. Raises `UsageError` for anything else, and for a URL that holds a key."""
        url, sign, model = text.partition("#")
        # First, and without showing it: what may hold a key is told to nobody.
        if "?" in url or "@" in url.partition("://")[2].partition("/")[0]:
            raise UsageError(
                "a URL with a password or with parameters behind '?' would end up in records; give the key in "
                "OPENAI_API_KEY instead"
            )
        if not sign or not model or not url.startswith(("http://", "https://")):
            raise UsageError(f"cannot read the endpoint '{text}': expected URL#MODEL, as http://127.0.0.1:8000/v1#NAME")
        return cls(url=url.rstrip("/"), model=model)

    def __str__(self) -> str:
        return f"{self.url}#{self.model}"


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """One request: `messages` of a conversation, or a raw `prompt` that the model goes on with.

    Two equal requests have one answer; give them different seeds where several are wanted.
    `json_schema` constrains the answer where the endpoint can do that.
    """

    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: Mapping[str, Json] | None = None
    top_logprobs: int | None = None
    """So many of the likeliest tokens are wanted with their log-probabilities, at each place that was written."""

    def __post_init__(self) -> None:
        if (self.prompt is None) == (not self.messages):
            raise ValueError("a chat request has either messages or a prompt")


@dataclass(frozen=True, kw_only=True)
class ChatAnswer(Generic[T]):
    """What `parse` made of an answer, or why there is nothing; `text` is the last that was written.

    The endpoint has refused a request with the reason `model_error`; `too_long` is its own word for a request, with
    the answer that it asks for, that does not fit into the model's context.
    `ended` is False where `max_new_tokens` cut that text off: `parse` may have taken a part for the whole.
    `top_logprobs` has log-probabilities by token text, for each token written; empty where none were asked for,
    or the endpoint gave none. `num_tokens` were read and written in all attempts, whether kept or not; None where
    the endpoint does not count them.
    """

    value: T | None
    text: str | None
    reason: Literal["parse_error", "model_error", "too_long"] | None
    attempts: int
    ended: bool = True
    top_logprobs: tuple[Mapping[str, float], ...] = ()
    num_tokens: int | None = None


class Chat(Protocol):
    """A language model that can be asked."""

    @property
    def model(self) -> str:
        """Its name."""
        ...

    def ask(
        self, requests: Sequence[ChatRequest], parse: Callable[[str], T], *, num_attempts: int = 2
    ) -> list[ChatAnswer[T]]:
        """An answer per request, in order. `parse` raises ValueError for a text that it cannot use.

        Such a text is kept for people to read, and the request is made again, otherwise seeded, until
        it was made `num_attempts` times. Raises `EnvironmentProblem` when the endpoint cannot be used
        at all; what was answered until then is not asked again.
        """
        ...

"""What is asked of a language model that writes text, and what comes back."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar
from urllib.parse import urlsplit

from sftbench.errors import UsageError
from sftbench.rooms import Json, Message

T = TypeVar("T")
REFUSED = "num_refused"
"""By this name a record tells how many requests an endpoint refused or failed over; it is there where any were."""
NUM_AT_ONCE_NEAR = 96
"""Requests at a time to a server of one's own: enough for large batches."""
NUM_AT_ONCE_FAR = 16
"""To a host that others ask too."""
MOST_AT_ONCE = 512
"""What a user may set: each is a thread and a connection."""


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

    @property
    def identity(self) -> str:
        """Behind a URL nobody can see more than the URL."""
        return str(self)

    @property
    def server(self) -> str | None:
        return None

    @property
    def num_at_once(self) -> int:
        """As many as to a served model on this machine and in its network; few where others may ask too."""
        return NUM_AT_ONCE_NEAR if is_near(self.url) else NUM_AT_ONCE_FAR

    def reach(self) -> Endpoint:
        """See `Service`."""
        return self

    def reach_again(self, lost: Endpoint, *, silent: bool, forgiven: bool = False) -> Endpoint | None:
        """See `Service`: what others serve cannot be started again from here."""
        return None


def is_loopback(url: str) -> bool:
    """Whether a URL is one of this machine."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def is_near(url: str) -> bool:
    """Whether a URL is one of this machine or of its own network: a private address, or a name without a domain."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host != "" and ("." not in host or host.endswith((".localhost", ".local")))
    return address.is_loopback or address.is_private or address.is_link_local


class Service(Protocol):
    """A language model that can be reached, now at one URL and after a crash at another."""

    @property
    def model(self) -> str:
        """Its name at the endpoint."""
        ...

    @property
    def identity(self) -> str:
        """What its answers are kept under."""
        ...

    @property
    def server(self) -> str | None:
        """What serves it, by name and version, once that is known."""
        ...

    @property
    def num_at_once(self) -> int:
        """So many requests at a time, unless the one who asks says otherwise."""
        ...

    def reach(self) -> Endpoint:
        """Where it answers; it is started if need be. Raises `EnvironmentProblem` when it cannot be."""
        ...

    def reach_again(self, lost: Endpoint, *, silent: bool, forgiven: bool = False) -> Endpoint | None:
        """Where it answers after an endpoint was lost, or was silent for too long; None when nobody here can mend that.

        `forgiven` says that neither this loss nor those before it are to be counted.
        Raises `EnvironmentProblem` when it was mended too often.
        """
        ...


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
class Room:
    """What a request asks for in tokens, prompt and longest answer together, and what the model's context holds."""

    asked: int
    window: int


@dataclass(frozen=True, kw_only=True)
class ChatAnswer(Generic[T]):
    """What `parse` made of an answer, or why there is nothing; `text` is the last that was written.

    The endpoint has refused a request with the reason `model_error`, or, where that was allowed (`Chat.ask`), has
    failed over it again and again; `too_long` is its own word for a request, with the answer that it asks for, that
    does not fit into the model's context, and `room` is by how much, where it tells.
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
    room: Room | None = None


class Chat(Protocol):
    """A language model that can be asked."""

    @property
    def model(self) -> str:
        """Its name."""
        ...

    @property
    def seconds_starting(self) -> float:
        """How long everybody has waited for its server to start, also anew after a crash."""
        ...

    def ask(
        self,
        requests: Sequence[ChatRequest],
        parse: Callable[[str], T],
        *,
        num_attempts: int = 2,
        lenient: bool = False,
    ) -> list[ChatAnswer[T]]:
        """An answer per request, in order. `parse` raises ValueError for a text that it cannot use.

        Such a text is kept for people to read, and the request is made again, otherwise seeded, until
        it was made `num_attempts` times. Raises `EnvironmentProblem` when the endpoint cannot be used
        at all; what was answered until then is not asked again.

        A request over which the endpoint breaks every time (an error of its own, half an answer, silence) ends
        everything too, unless it is asked `lenient`ly: then it has the reason `model_error` if the endpoint still
        answers something else; one that has answered nothing and refuses many, or all there are, cannot be used.
        """
        ...

    def measured(self, requests: Sequence[ChatRequest]) -> list[Room | None]:
        """What each request would ask for, by the endpoint's own tokenizer; None where it cannot be asked for that."""
        ...

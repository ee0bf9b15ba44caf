"""One request to an OpenAI-compatible endpoint: what is sent, what comes back, and what its problems mean."""

from __future__ import annotations

import os
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from sftbench.chat import ChatRequest, Endpoint, Room, Service, is_loopback
from sftbench.engines.entrance import Entrance
from sftbench.errors import EnvironmentProblem
from sftbench.rooms import Message

if TYPE_CHECKING:
    from openai import OpenAI

T = TypeVar("T")
LONGEST_WAIT = 60.0
OF_ONE_REQUEST = (400, 413, 422)
"""With such a status a request is refused by itself."""
TRIFLE_SECONDS = 60.0
"""A server that works writes one token in this time."""
SUSPECT = 2
"""So often may a server be lost while it has a request before that is asked alone."""
MOST_LOSSES = 4
"""So often and no more, whatever was answered in between, where nobody is lenient."""
FORGIVING = 100
"""After so many answers since its start, earlier losses of a server are no longer counted."""


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


class StubbornError(Exception):
    """An endpoint that breaks over one request again and again, and answers others."""


@dataclass(kw_only=True)
class Sender:
    """Sends requests to an endpoint, from several threads at once.

    The key of `OPENAI_API_KEY` is sent if there is one, and written nowhere.
    """

    service: Service
    timeout_seconds: float
    another: str = "name another"
    """How the user has another model asked."""
    waits: tuple[float, ...]
    """Seconds before a request is sent again that the endpoint was too busy for, or broke over."""
    seconds_starting: float = 0.0
    """How long its server was waited for, also after a crash; all requests wait together."""
    _num_answers: int = 0
    """Since the server was last lost."""
    _entrance: Entrance = field(default_factory=Entrance)
    _endpoint: Endpoint | None = None
    _clients: dict[str, OpenAI] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sent(self, request: ChatRequest, left_out: frozenset[str], *, lenient: bool = False) -> Reply:
        """The answer to a request without the optional fields `left_out`.

        Raises `EnvironmentProblem` for an endpoint that cannot be used, or is silent, and what openai raises for a
        request that is refused by itself; where `lenient`, `StubbornError` for one that all tries break over while
        another is answered, and for one that the server is lost over again and again.
        """
        trifle = partial(_read, request=_trifle(request), left_out=frozenset()) if lenient else None
        return self.asked(partial(_read, request=request, left_out=left_out), trifle=trifle)

    def asked(self, ask: Callable[[OpenAI, str], T], *, trifle: Callable[[OpenAI, str], object] | None = None) -> T:
        """What `ask(client, model)` returns, where the model answers; it is called again as `sent` sends again.

        Whatever it raises of an answer's form is taken for half an answer. Raises as `sent` does; it is lenient where
        there is a `trifle`, which asks for what the model answers if it answers anything.
        """
        with self._explained():
            try:
                return self._patiently(ask, trifle)
            except Exception as problem:
                if trifle is not None and _may_be_the_request(problem) and self._answers(trifle, *self.waits[:1]):
                    raise _stubborn(problem) from None
                raise

    def room(self, request: ChatRequest) -> Room | None:
        """What a chat would ask for, by the tokenizer of a vLLM server; None where there is no such thing to ask."""
        import openai

        endpoint = self._reached()
        turns = [{"role": each.role, "content": each.content} for each in request.messages]
        try:
            told: Any = self._client(endpoint.url).post(
                endpoint.url.removesuffix("/v1") + "/tokenize",
                cast_to=object,
                body={"model": endpoint.model, "messages": turns, "add_generation_prompt": True},
            )
            return Room(asked=int(told["count"]) + request.max_new_tokens, window=int(told["max_model_len"]))
        except (openai.OpenAIError, AttributeError, KeyError, TypeError, ValueError):
            return None

    def _answers(self, trifle: Callable[[OpenAI, str], object], *waits: float) -> bool:
        """Whether the model answers a trifle where it is now; asked again after each of `waits`, in seconds."""
        import openai

        for wait in (*waits, None):
            try:
                self._answered(self._reached(), trifle, at_most=TRIFLE_SECONDS)
            except (openai.OpenAIError, BrokenAnswerError):
                time.sleep(wait or 0.0)
            else:
                return True
        return False

    def _patiently(self, ask: Callable[[OpenAI, str], T], trifle: Callable[[OpenAI, str], object] | None) -> T:
        """Among others, and alone once the server was lost too often while it had this request."""
        losses, waits = 0, list(self.waits)
        while True:
            with ExitStack() as stack:
                with self._entrance.among_others():
                    endpoint = self._reached()
                    try:
                        return self._answered(endpoint, ask)
                    except _fleeting() as problem:
                        failure = problem
                    is_lost, silent = _is_loss(failure), _is_silence(failure)
                    # It has had all the time that an answer may take, and each further try would take as much.
                    if silent and trifle is not None and self._answers(trifle):
                        raise _stubborn(failure)
                    num = SUSPECT if silent else 1
                    if is_lost and trifle is not None and losses + num >= SUSPECT:
                        # Before the server is there again: no other like it may come in between.
                        stack.enter_context(self._entrance.closed())
                    if is_lost and self._moved(endpoint, silent=silent):
                        losses, wait = losses + num, 0.0
                    elif silent or not waits:
                        raise failure
                    else:
                        wait = _asked_to_wait(failure) or waits[0]
                        del waits[0]
                if losses >= SUSPECT and trifle is not None:
                    return self._alone(ask, trifle)
            if losses >= MOST_LOSSES:
                raise EnvironmentProblem(
                    f"the server of {self.service.model} was lost {losses} times over one request; what was answered "
                    "until now is kept"
                )
            time.sleep(wait)

    def _alone(self, ask: Callable[[OpenAI, str], T], trifle: Callable[[OpenAI, str], object]) -> T:
        """Ask while nobody else does. Raises `StubbornError` where a server that works is lost, or fails, over it."""
        with self._entrance.alone():
            self._make_sure(trifle)
            endpoint = self._reached()
            for _ in range(2):
                try:
                    return self._answered(endpoint, ask)
                except _fleeting() as problem:
                    failure = problem
                # An engine that has died answers with errors until its server has ended too.
                if not self._answers(trifle):
                    self._moved(endpoint, silent=_is_silence(failure), blamed=True)
                    break
                if _is_silence(failure):
                    break
            raise _stubborn(failure)

    def _make_sure(self, trifle: Callable[[OpenAI, str], object]) -> None:
        """Have a server that answers a trifle. Raises `EnvironmentProblem` when it is lost over that too often."""
        while True:
            endpoint = self._reached()
            try:
                self._answered(endpoint, trifle, at_most=TRIFLE_SECONDS)
            except _fleeting() as problem:
                if not self._moved(endpoint, silent=_is_silence(problem)):
                    raise
            else:
                return

    def _reached(self) -> Endpoint:
        """Where the model answers now; the first request waits for its start, and all others with it."""
        with self._lock:
            if self._endpoint is None:
                with self._starting():
                    self._endpoint = self.service.reach()
            return self._endpoint

    def _moved(self, lost: Endpoint, *, silent: bool, blamed: bool = False) -> bool:
        """Whether the model answers elsewhere now. `blamed`: it is known over which request it was lost."""
        with self._lock:
            if self._endpoint == lost:
                forgiven = blamed or self._num_answers >= FORGIVING
                with self._starting():
                    found = self.service.reach_again(lost, silent=silent, forgiven=forgiven)
                if found is not None and found != lost:
                    self._endpoint, self._num_answers = found, 0
            return self._endpoint != lost

    @contextmanager
    def _starting(self) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds_starting += time.monotonic() - begun

    def _answered(self, endpoint: Endpoint, ask: Callable[[OpenAI, str], T], *, at_most: float | None = None) -> T:
        client = self._client(endpoint.url)
        if at_most is not None and at_most < self.timeout_seconds:
            client = client.with_options(timeout=at_most)
        try:
            answer = ask(client, endpoint.model)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as problem:
            raise BrokenAnswerError(f"{type(problem).__name__}: {problem}") from None
        self._num_answers += 1
        return answer

    def _client(self, url: str) -> OpenAI:
        import openai

        with self._lock:
            if url not in self._clients:
                # What this machine serves is reached without any proxy that the environment names.
                connections = openai.DefaultHttpxClient(trust_env=not is_loopback(url))
                weakref.finalize(self, connections.close)
                self._clients[url] = openai.OpenAI(
                    base_url=url,
                    api_key=os.environ.get("OPENAI_API_KEY") or "none",
                    timeout=self.timeout_seconds,
                    max_retries=0,
                    http_client=connections,
                )
            return self._clients[url]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """An endpoint that cannot be used at all, as a message with the way out."""
        import openai

        url, model = (self._endpoint.url if self._endpoint else self.service.identity), self.service.model
        again = "what was answered until now is kept; run again to go on"
        try:
            yield
        except openai.APITimeoutError:
            raise EnvironmentProblem(
                f"{url} gave no answer within {self.timeout_seconds:g} s (if it was asked too much at once, give a "
                f"smaller --concurrency); {again}"
            ) from None
        except openai.APIConnectionError:
            raise EnvironmentProblem(
                f"nothing answers at {url}; start the server, or {self.another}; {again}"
            ) from None
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
            if problem.status_code in OF_ONE_REQUEST:
                raise
            raise EnvironmentProblem(
                f"{url} answers with an error ({problem.status_code}: {str(problem)[:200]}); {again}"
            ) from None


def _read(client: OpenAI, model: str, *, request: ChatRequest, left_out: frozenset[str]) -> Reply:
    """The answer to one request, as it comes."""
    shared: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_new_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        **{name: value for name, value in optional_fields(request).items() if name not in left_out},
    }
    answer: Any
    if request.prompt is not None:
        answer = client.completions.create(prompt=request.prompt, **shared)
        choice = answer.choices[0]
        text = choice.text
    else:
        turns: Any = [{"role": each.role, "content": each.content} for each in request.messages]
        answer = client.chat.completions.create(messages=turns, **shared)
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
    r"context[ _](length|window|size)|max(imum)?[ _]model[ _]len|max_model_len|prompt is too long|input is too long"
    r"|max_tokens must be at least 1, got (0|-\d+)",
    re.IGNORECASE,
)
"""How vLLM, llama.cpp, SGLang and the hosted services say it; the last is vLLM's of a prompt that fills its context."""


def is_too_long(message: str) -> bool:
    """Whether an endpoint refused a request because it does not fit into the model's context."""
    return _TOO_LONG.search(message) is not None


_PROMPT_AND_ANSWER = re.compile(r"requested (?:about )?(\d+) tokens")
_PROMPT = re.compile(
    r"(?:has|contains|passed) (\d+) input tokens|messages resulted in (\d+) tokens|prompt \(length (\d+)\)"
    r"|request \((\d+) tokens\)|n_prompt_tokens\W+(\d+)",
)
_WINDOW = re.compile(
    r"context length is (?:only )?(\d+)|model length of (\d+)|max_model_len\W+(?:is )?(\d+)"
    r"|context size \((\d+) tokens\)|n_ctx\W+(\d+)"
)
"""How vLLM, llama.cpp and OpenAI tell numbers of tokens; `at least 2049` is none."""


def room_in(message: str, max_new_tokens: int) -> Room | None:
    """By how much a request did not fit, from the words in which it was refused; None where they do not tell."""
    window, whole, prompt = (form.search(message) for form in (_WINDOW, _PROMPT_AND_ANSWER, _PROMPT))
    if window is None or (whole is None and prompt is None):
        return None
    asked = _number(whole) if whole else _number(prompt) + max_new_tokens  # type: ignore[arg-type]
    room = Room(asked=asked, window=_number(window))
    return room if room.asked > room.window else None


def _number(found: re.Match[str]) -> int:
    return int(next(each for each in found.groups() if each is not None))


def _may_be_the_request(problem: Exception) -> bool:
    """Whether an error may be due to what was asked; a key, a name and a limit of requests are not."""
    import openai

    if isinstance(problem, openai.APIStatusError):
        # What is refused by itself is told as it is.
        return problem.status_code not in (*OF_ONE_REQUEST, 401, 403, 404, 429)
    return isinstance(problem, (openai.APIConnectionError, BrokenAnswerError))


def _fleeting() -> tuple[type[Exception], ...]:
    """What may pass, or be mended by another start of a server."""
    import openai

    return (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError, BrokenAnswerError)


def _is_loss(problem: Exception) -> bool:
    import openai

    return isinstance(problem, openai.APIConnectionError)


def _is_silence(problem: Exception) -> bool:
    import openai

    return isinstance(problem, openai.APITimeoutError)


def _stubborn(problem: Exception) -> StubbornError:
    return StubbornError(f"{type(problem).__name__}: {problem}")


def _trifle(request: ChatRequest) -> ChatRequest:
    """What any endpoint answers that answers at all, asked for in the same way."""
    if request.prompt is not None:
        return ChatRequest(prompt="yes", max_new_tokens=1)
    return ChatRequest(messages=(Message(role="user", content="Say yes."),), max_new_tokens=1)


def _asked_to_wait(problem: Exception) -> float | None:
    """The seconds that an endpoint asks for before it is tried again, at most `LONGEST_WAIT`."""
    response = getattr(problem, "response", None)
    try:
        return min(float(response.headers["retry-after"]), LONGEST_WAIT) if response is not None else None
    except (KeyError, ValueError):
        return None

"""Answers to rows by a served model: it reads the token ids that this process would, and tells those that it wrote."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sftbench.chat import Service
from sftbench.engines.endpoint import Sender, StubbornError
from sftbench.engines.forward import LanguageModel
from sftbench.engines.generate import Continuation, Ids, meter_generation, prompt_tokens, stop_tokens
from sftbench.engines.kept_answers import KeptAnswers
from sftbench.errors import SftbenchError
from sftbench.fingerprint import key_of
from sftbench.rooms import Json, Row

if TYPE_CHECKING:
    from openai import OpenAI

MOST_REFUSED = 16
"""So many refusals and no answer at all: it is not the prompts."""


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """One prompt, and how it is to be gone on with."""

    ids: Ids
    num_new: int
    temperature: float
    seed: int | None


@dataclass(kw_only=True)
class ServedWriter:
    """A model behind an endpoint that takes token ids; `model` is the same without weights.

    The endpoint is vLLM's, whose completions take `stop_token_ids` and tell `token_ids`.
    """

    service: Service
    model: LanguageModel
    served_as: str = "whole model"
    """Or `adapter loaded`, into its base, or `adapter merged`, with it."""
    timeout_seconds: float = 600.0
    waits: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)
    num_at_once: int | None = None
    """Requests at a time; None: as many as the service says."""
    kept: KeptAnswers | None = None
    """Where answers are kept until the step has ended, for a model that was reached before."""
    log: Callable[[str], None] = lambda line: None
    num_answers: int = 0
    num_cut_off: int = 0
    num_refused: int = 0
    """Prompts that it refused, or was lost over again and again; they are answered by nothing."""

    def __post_init__(self) -> None:
        self._sender = Sender(service=self.service, timeout_seconds=self.timeout_seconds, waits=self.waits)
        self._stop = stop_tokens(self.model)
        self._why_refused = ""
        if self.kept is not None and len(self.kept):
            self.log(f"{len(self.kept)} answers of an attempt that did not end are kept and not asked for again")

    @property
    def seconds_starting(self) -> float:
        """How long its server was waited for."""
        return self._sender.seconds_starting

    def answer_rows(
        self,
        rows: Sequence[Row],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        seeds: Sequence[int] = (),
        advance: Callable[[int], None] | None = None,
    ) -> list[Continuation]:
        """What the model answers to each row; see `sftbench.engines.generate.answer_rows`.

        The likeliest answers are those that a process would write, but for ties in rounding; drawn ones are drawn by
        the server. Several requests are under way at a time; one that was answered is not made again, whatever becomes
        of the server. A prompt that it refuses is answered by nothing, and counted. Raises `EnvironmentProblem` when it
        cannot be used, `SftbenchError` when it refuses the first sixteen prompts, or all there are.
        """
        prompts = prompt_tokens(self.model, rows, max_new_tokens=max_new_tokens)
        written = [Continuation(text="", ended=True)] * len(prompts)
        places = [at for at, ids in enumerate(prompts) if ids]
        wanted = [
            _Asked(
                ids=prompts[at],
                num_new=max(1, min(max_new_tokens, self.model.max_length - len(prompts[at]))),
                temperature=temperature,
                seed=seeds[at] if temperature else None,
            )
            for at in places
        ]
        if advance is not None and len(places) < len(prompts):
            advance(len(prompts) - len(places))
        with ThreadPoolExecutor(self.num_at_once or self.service.num_at_once) as workers:
            waiting = [workers.submit(self._new_tokens, each) for each in wanted]
            try:
                for at, each in zip(places, waiting, strict=True):
                    written[at] = self._continuation(prompts[at], each.result())
                    if advance is not None:
                        advance(1)
                self._refuse_a_mute(at_least=1)
            except BaseException:
                for each in waiting:
                    each.cancel()
                raise
        self.num_cut_off += sum(not each.ended for each in written)
        return written

    def told(self) -> dict[str, Json]:
        """By whom the answers were written, for the record."""
        return {
            "served_by": self.service.server,
            "served_as": self.served_as,
            "num_answers": self.num_answers,
            "num_cut_off": self.num_cut_off,
            "num_refused": self.num_refused,
        }

    def _continuation(self, prompt: Ids, found: tuple[Ids, bool] | None) -> Continuation:
        """What was written after a prompt; counted in the order of the prompts."""
        if found is None:
            self.num_refused += 1
            self._refuse_a_mute(at_least=MOST_REFUSED)
            return Continuation(text="", ended=True)
        ids, ended = found
        self.num_answers += 1
        meter_generation(self.model, [prompt], [ids])
        return Continuation(text=str(self.model.tokenizer.decode(ids, skip_special_tokens=True)), ended=ended)

    def _refuse_a_mute(self, *, at_least: int) -> None:
        if not self.num_answers and self.num_refused >= at_least:
            raise SftbenchError(
                f"{self.service.model} has answered none of {self.num_refused} prompts: {self._why_refused}"
            )

    def _new_tokens(self, asked: _Asked) -> tuple[Ids, bool] | None:
        """The tokens written before one that ends the answer, and whether there was one; None for a refusal."""
        import openai

        key = self._key(asked)
        found = self.kept.get(key) if self.kept is not None else None
        if found is not None:
            return found
        # It is shorter than what any model must be able to read.
        trifle = partial(_completed, asked=replace(asked, ids=asked.ids[:1], num_new=1), stop=self._stop)
        try:
            ids, ended = self._sender.asked(partial(_completed, asked=asked, stop=self._stop), trifle=trifle)
        except (openai.APIStatusError, StubbornError) as problem:
            # Any other status has been told as a problem of the endpoint.
            self._why_refused = f"it refuses a prompt of {len(asked.ids)} tokens: {str(problem)[:200]}"
            self.log(f"{self.service.model}: {self._why_refused}")
            return None
        if self.kept is not None:
            self.kept.keep(key, ids, ended=ended)
        return ids, ended

    def _key(self, asked: _Asked) -> str:
        by: dict[str, Json] = {"model": self.service.identity, "as": self.served_as, "by": self.service.server}
        return key_of({**dataclasses.asdict(asked), **by})


def _completed(client: OpenAI, model: str, *, asked: _Asked, stop: frozenset[int]) -> tuple[Ids, bool]:
    # What the server takes for an end by itself is not asked: the tokens that end an answer are given.
    ends: dict[str, Any] = {"stop_token_ids": sorted(stop), "ignore_eos": True, "return_token_ids": True}
    warm: dict[str, Any] = {} if asked.seed is None else {"seed": asked.seed}
    answer: Any = client.completions.create(
        model=model, prompt=asked.ids, max_tokens=asked.num_new, temperature=asked.temperature, extra_body=ends, **warm
    )
    choice = answer.choices[0]
    new = [int(each) for each in choice.token_ids]
    end = next((at for at, each in enumerate(new) if each in stop), None)
    if end is None and (choice.finish_reason != "length" or len(new) != asked.num_new):
        raise ValueError(f"an answer of {len(new)} tokens ended by '{choice.finish_reason}'")
    return new[:end], end is not None

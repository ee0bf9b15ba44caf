"""The two games of a pair: what is asked in each, and what the judge thinks of the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sftbench import ChatAnswer, ChatRequest, EnvironmentProblem, Json, Label, Progress
from sftbench_plugins.judges.hearing import Heard, Hearing, turns
from sftbench_plugins.judges.material import Exhibit, cut_middle, shown
from sftbench_plugins.judges.template import Template
from sftbench_plugins.judges.verdict import SCHEMA, NoChanceError, chance_of_first, label_alone, label_behind_reasons

NUM_LOGPROBS = 20
_LABEL_TOKENS = 48
"""More than the longest JSON object with a verdict takes, in any tokenizer."""
Style = Literal["label", "rationale", "logprobs"]
SLOTS = ("question", "first", "second", "task")
TASKS: tuple[Style, ...] = ("rationale", "label", "logprobs")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One item: a question and two answers to it, and the answer that a judge may compare them with."""

    at: int
    question: str
    model: str
    baseline: str
    reference: str = ""


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """Of one game: the chance that the answer shown first is the better one, as a label or from log-probabilities."""

    chance: float
    label: Label | None = None
    mass: float | None = None


@dataclass(kw_only=True)
class Ruling:
    """On one pair: the game in which the model's answer is first, then that in which the baseline's is."""

    games: Sequence[Opinion | None] = (None, None)
    flags: dict[str, None] = field(default_factory=dict)
    num_unread: int = 0
    """Games whose reply said nothing that could be read."""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """In which words a judge is asked."""

    style: Style
    template: Template
    max_new_tokens: int
    temperature: float
    seed: int
    system_role: bool

    @classmethod
    def read(
        cls, path: Path, *, style: Style, max_new_tokens: int, temperature: float, seed: int, system_role: bool
    ) -> Asking:
        """With the template of a file, and as many tokens as a reply of that style may have."""
        most = {"logprobs": 1, "label": min(_LABEL_TOKENS, max_new_tokens), "rationale": max_new_tokens}[style]
        template = Template.of(path, slots=SLOTS, tasks=TASKS)
        return cls(
            template=template, style=style, max_new_tokens=most, temperature=temperature, seed=seed,
            system_role=system_role,
        )  # fmt: skip

    def request(self, pair: Pair, first: str, second: str) -> ChatRequest:
        """One game."""
        reference = [Exhibit(name="reference", text=pair.reference)] if pair.reference else []
        question, answer_a, answer_b, *more = shown(
            [
                Exhibit(name="question", text=pair.question),
                Exhibit(name="answer-A", text=first),
                Exhibit(name="answer-B", text=second),
                *reference,
            ]
        )
        asked = "\n\n".join([question, *more])
        task = self.template.task(self.style)
        user = self.template.user({"question": asked, "first": answer_a, "second": answer_b, "task": task})
        return ChatRequest(
            messages=turns(self.template.system, user, system_role=self.system_role),
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            seed=self.seed,
            json_schema=SCHEMA if self.style == "label" else None,
            top_logprobs=NUM_LOGPROBS if self.style == "logprobs" else None,
        )

    @property
    def parse(self) -> Callable[[str], Label | None]:
        """The label of a reply; None where the text is not what counts."""
        readers: Mapping[Style, Callable[[str], Label | None]] = {
            "label": label_alone, "rationale": label_behind_reasons, "logprobs": lambda reply: None,
        }  # fmt: skip
        return readers[self.style]


@dataclass(frozen=True, kw_only=True)
class Games:
    """Both games of a pair, as a matter of a hearing."""

    pair: Pair
    asking: Asking

    @property
    def lengths(self) -> tuple[int, ...]:
        return len(self.pair.model), len(self.pair.baseline)

    def requests(self, limit: int | None) -> tuple[ChatRequest, ...]:
        """The model's answer first, then the baseline's; both answers are cut to the same length."""
        model, baseline = cut_middle(self.pair.model, limit), cut_middle(self.pair.baseline, limit)
        return self.asking.request(self.pair, model, baseline), self.asking.request(self.pair, baseline, model)


@dataclass(kw_only=True)
class Court:
    """Has pairs heard, and rules on them."""

    hearing: Hearing[Label | None]
    asking: Asking

    def rule(self, pairs: Sequence[Pair], progress: Progress) -> dict[int, Ruling]:
        """A ruling on each pair, by its place."""
        heard = self.hearing.hear([Games(pair=pair, asking=self.asking) for pair in pairs], progress)
        if self.asking.style == "logprobs":
            self._check_logprobs(heard)
        return {pair.at: self._ruling(each) for pair, each in zip(pairs, heard, strict=True)}

    def told(self) -> dict[str, Json]:
        """Who was asked what, and how often."""
        return {
            "judge": self.hearing.chat.model, "template": self.asking.template.told(), **self.hearing.counts()
        }  # fmt: skip

    def _ruling(self, heard: Heard[Label | None]) -> Ruling:
        ruling = Ruling(flags=dict(heard.flags), num_unread=heard.num_useless)
        if heard.answers:
            ruling.games = [self._opinion(answer, ruling) for answer in heard.answers]
        return ruling

    def _opinion(self, answer: ChatAnswer[Label | None] | None, ruling: Ruling) -> Opinion | None:
        if answer is None:
            return None
        if answer.value is not None:
            return Opinion(chance=_chance(answer.value), label=answer.value)
        try:
            chance, mass = chance_of_first(answer.top_logprobs[0] if answer.top_logprobs else {})
        except NoChanceError as problem:
            ruling.flags[problem.flag] = None
            ruling.num_unread += 1
            return None
        return Opinion(chance=chance, mass=mass)

    def _check_logprobs(self, heard: Sequence[Heard[Label | None]]) -> None:
        """An endpoint that tells none at all is not to be taken for a judge without an opinion."""
        answers = [answer for each in heard for answer in each.answers if answer is not None and answer.text]
        if answers and not any(answer.top_logprobs for answer in answers):
            raise EnvironmentProblem(
                f"the endpoint of {self.hearing.chat.model} tells no log-probabilities; take labels=five-way"
            )


def _chance(label: Label) -> float:
    from sftbench import winner

    won = winner(label)
    return 0.5 if won == 0 else float(won > 0)

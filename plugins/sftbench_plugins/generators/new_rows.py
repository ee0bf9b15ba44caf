"""New rows by a language model: a few real rows shown, a new one asked for, with or without a text or a topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sftbench import Chat, Json
from sftbench_plugins.generators.asking import (
    ROW_SCHEMA,
    Fitted,
    NewRow,
    Prompt,
    Sampling,
    Unusable,
    ask,
    fitted,
    new_row,
    prompt,
    shown,
)
from sftbench_plugins.generators.chance import draws, seed_of
from sftbench_plugins.generators.drafts import Attempt, Draft, Rejected
from sftbench_plugins.generators.harvest import Harvest
from sftbench_plugins.generators.parents import Parent, Parents
from sftbench_plugins.generators.settings import Settings

KIND = "new"
_SUPPORTED = "The answer is a piece of the text, word for word."


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """One new row: what is shown, and what it is to be about."""

    number: int
    examples: Sequence[Parent]
    topic: str | None
    seed: int

    @property
    def parent(self) -> Parent:
        """The row that the new one may share a text with."""
        return self.examples[0]

    @property
    def context(self) -> str:
        """The text to ask about; a row about a topic gets none."""
        if self.topic is not None:
            return ""
        return "\n".join(filter(None, (self.parent.said_before, self.parent.context)))

    @property
    def is_extractive(self) -> bool:
        """Whether the parent's own answer is a piece of its text, as the new one's then must be."""
        return bool(self.context) and _plain(self.parent.answer) in _plain(self.context)

    @property
    def template(self) -> Prompt:
        """Which prompt asks for it."""
        name = "new-row" if not self.context else "new-row-in-context"
        return prompt(name if self.topic is None else "topic-row")


@dataclass(kw_only=True)
class NewRows:
    """Row number k is asked for with parent number k and up to `num_examples` - 1 more drawn by chance."""

    settings: Settings
    chat: Chat
    parents: Parents
    seed: int
    harvest: Harvest
    num_examples: int
    temperature: float
    about: Mapping[str, Json] = field(default_factory=dict)

    def made(self, numbers: Sequence[int], topics: Sequence[str] | None = None) -> list[Attempt]:
        """One attempt per number; `topics` has a topic for each."""
        wishes = [self._wish(number, topics[at] if topics is not None else None) for at, number in enumerate(numbers)]
        ready = [self._messages(wish) for wish in wishes]
        asked = [(wish, each.messages) for wish, each in zip(wishes, ready, strict=True) if each.messages is not None]
        sampling = Sampling(temperature=self.temperature, max_new_tokens=self.settings.max_new_tokens)
        found = ask(
            self.chat, [messages for _, messages in asked], new_row, seeds=[wish.seed for wish, _ in asked],
            sampling=sampling, json_schema=ROW_SCHEMA,
        )  # fmt: skip
        answers = {wish.number: answer for (wish, _), answer in zip(asked, found, strict=True)}
        return [
            self._attempt(wish, answers.get(wish.number, Unusable("prompt_too_long")), each)
            for wish, each in zip(wishes, ready, strict=True)
        ]

    def _wish(self, number: int, topic: str | None) -> _Wish:
        rng = draws(self.seed, "examples", number)
        others = [rng.randrange(len(self.parents)) for _ in range(rng.randint(1, self.num_examples) - 1)]
        numbers = dict.fromkeys((number % len(self.parents), *others))
        return _Wish(
            number=number, examples=self.parents.take(list(numbers)), topic=topic,
            seed=seed_of(self.seed, "new row", number),
        )  # fmt: skip

    def _messages(self, wish: _Wish) -> Fitted:
        slots = {"topic": wish.topic} if wish.topic is not None else {}
        support = {"support": _SUPPORTED if wish.is_extractive else ""} if wish.context else {}
        ready = fitted(
            wish.template, most=self.settings.max_prompt_characters, context=wish.context,
            examples=[shown(each) for each in wish.examples], **slots, **support,
        )  # fmt: skip
        self.harvest.notes.update(ready.notes)
        return ready

    def _attempt(self, wish: _Wish, answer: NewRow | Unusable, ready: Fitted) -> Attempt:
        if isinstance(answer, Unusable):
            return Rejected(kind=KIND, reason=answer.reason)
        if wish.is_extractive and _plain(answer.response) not in _plain(wish.context):
            return Rejected(kind=KIND, reason="unsupported_answer")
        topic = {"topic": wish.topic} if wish.topic is not None else {}
        notes = {"notes": list(ready.notes)} if ready.notes else {}
        return Draft(
            question=answer.instruction,
            answer=answer.response,
            context=wish.parent.context if wish.context else answer.context,
            history=wish.parent.history if wish.context else (),
            kind=KIND,
            prompt_id=wish.template.name,
            seed=wish.seed,
            # The text is the first example's, shown as one or not.
            parent_ids=tuple(each.row.id for each in wish.examples[: max(ready.num_examples, bool(wish.context))]),
            about={**self.about, **topic, **notes},
        )


def _plain(text: str) -> str:
    """Small letters, single spaces, no full stop at the end."""
    return " ".join(text.lower().split()).rstrip(".")

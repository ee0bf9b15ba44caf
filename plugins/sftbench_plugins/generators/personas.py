"""Persons to write for: out of texts and out of each other by a language model, or put together from a list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from sftbench import Chat, Desk
from sftbench_plugins.generators import asking
from sftbench_plugins.generators.asking import Sampling, Unusable, ask, fitted, prompt
from sftbench_plugins.generators.chance import draws, seed_of, shuffled
from sftbench_plugins.generators.closeness import Kept
from sftbench_plugins.generators.parents import Parents

ALIKE = 0.9
"""A persona is known already when it overlaps so much with one before: by words (Jaccard) or by embeddings (cosine)."""
ASKED_AT_ONCE = 32
MAX_ROUNDS = 200


@dataclass(frozen=True, kw_only=True)
class Persona:
    """Somebody, and the row of the pool that they were told from, if they were."""

    text: str
    parent: int | None = None


@cache
def trades_and_circumstances() -> tuple[list[str], list[str], str]:
    """The two lists of the data file, and its version."""
    import yaml

    told: dict[str, Any] = yaml.safe_load((files(__package__) / "prompts" / "personas.yaml").read_text("utf-8"))
    return told["trades"], told["circumstances"], str(told["version"])


def listed(wanted: int, seed: int) -> list[Persona]:
    """At most so many personas of the list, in an order drawn by chance; a longer draw begins with a shorter one."""
    trades, circumstances, _ = trades_and_circumstances()
    order = shuffled(len(trades) * len(circumstances), seed, "personas")[:wanted]
    return [Persona(text=f"{trades[at % len(trades)]} {circumstances[at // len(trades)]}") for at in order.tolist()]


@dataclass(kw_only=True)
class Gathering:
    """Personas as a language model describes them: half of the requests are about a real row, half about a persona
    known before (text-to-persona and persona-to-persona)."""

    chat: Chat
    parents: Parents
    desk: Desk
    most_characters: int
    temperature: float
    found: list[Persona] = field(default_factory=list)

    def gather(self, wanted: int) -> list[Persona]:
        """At most so many, none like another; fewer when the model has no more."""
        kept, words = Kept(cap=ALIKE), Words()
        for turn in range(MAX_ROUNDS):
            if len(self.found) >= wanted:
                break
            new = self._asked(turn)
            if not new:
                continue
            vectors = self.desk.embed([each.text for each in new])
            for persona, vector in zip(new, vectors, strict=True):
                if not words.has_alike(persona.text) and kept.admits(vector):
                    words.add(persona.text)
                    self.found.append(persona)
        return self.found[:wanted]

    def _asked(self, turn: int) -> list[Persona]:
        rng = draws(self.desk.seed, "personas", turn)
        half = ASKED_AT_ONCE // 2
        numbers = range(turn * half, (turn + 1) * half)
        requests, sources = [], []
        for number, parent in zip(numbers, self.parents.take(numbers), strict=True):
            text = f"{parent.asked}\n{parent.answer}"
            ready = fitted(prompt("persona-from-text"), most=self.most_characters, context=text)
            if ready.messages is not None:
                requests.append(ready.messages)
                sources.append(number % len(self.parents))
        known = rng.sample(self.found, min(half, len(self.found)))
        requests += [prompt("persona-related").filled(persona=each.text) for each in known]
        seeds = [seed_of(self.desk.seed, "persona", turn, at) for at in range(len(requests))]
        answers = ask(
            self.chat, requests, _persona, seeds=seeds,
            sampling=Sampling(temperature=self.temperature, max_new_tokens=256),
            json_schema=asking.schema(persona={"type": "string"}), most=self.most_characters,
        )  # fmt: skip
        told: Sequence[int | None] = [*sources, *([None] * len(known))]
        return [
            Persona(text=answer, parent=parent)
            for answer, parent in zip(answers, told, strict=True)
            if not isinstance(answer, Unusable)
        ]


@dataclass(kw_only=True)
class Words:
    """Sets of words that are known: an exact comparison where MinHash would estimate one."""

    _sets: list[frozenset[str]] = field(default_factory=list)
    _holders: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def has_alike(self, text: str) -> bool:
        """Whether a known set has a Jaccard overlap above `ALIKE` with the words of this text."""
        words = frozenset(text.lower().split())
        near = {number for word in words for number in self._holders.get(word, ())}
        return any(_overlap(words, self._sets[number]) > ALIKE for number in near)

    def add(self, text: str) -> None:
        """Know a text from now on."""
        words = frozenset(text.lower().split())
        for word in words:
            self._holders[word].append(len(self._sets))
        self._sets.append(words)


def _overlap(left: frozenset[str], right: frozenset[str]) -> float:
    return len(left & right) / len(left | right)


def _persona(text: str) -> str:
    return asking.text_field(asking.json_object(text), "persona", empty="empty_response")

"""The generator `persona`: instructions that different people would give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from math import lcm
from typing import ClassVar, Literal

from sftbench import Chat, Desk, Generated, Message, Needs, Pool, param
from sftbench_plugins.generators import asking
from sftbench_plugins.generators.asking import (
    INSTRUCTION_SCHEMA,
    Sampling,
    Unusable,
    ask,
    fitted,
    new_instruction,
    plain_answer,
    prompt,
)
from sftbench_plugins.generators.chance import draws, seed_of
from sftbench_plugins.generators.drafts import Attempt, Draft, Rejected, reworded
from sftbench_plugins.generators.harvest import Harvest, StandIn, needed_for_keeping
from sftbench_plugins.generators.mixing import Mixture
from sftbench_plugins.generators.parents import Parents
from sftbench_plugins.generators.personas import Gathering, Persona, listed, trades_and_circumstances
from sftbench_plugins.generators.settings import TOPIC_GRID, Settings, at_level

STAND_IN = StandIn(
    what="real rows of which the instruction says who asks, out of a list of people; the responses stay", who="rules"
)
_KIND = "new"


@dataclass(frozen=True, kw_only=True)
class PersonaDriven(Settings):
    """Instructions that different people would give, with their answers (Persona Hub, arXiv 2406.20094).

    Personas are told from real rows and from each other, without those that are alike; row k is written for persona k,
    counted round and round. More personas, more varied rows: `level` 0 to 6 is 1, 5, 20, 50, 100, 300, 1000 of them.
    `shots` says what a request shows: nothing, real instructions (few), or real instructions with the personas told
    from them (persona-few). Without a language model a list of people asks what the real rows ask.
    """

    name: ClassVar[str] = "persona"
    version: ClassVar[str] = "2"
    deterministic: ClassVar[bool] = False

    level: int = param(3, "diversity level, 0 (least) to 6 (most): how many personas")
    num_personas: int | None = param(None, "personas; none: what the level says")
    shots: Literal["zero", "few", "persona-few"] = param("persona-few", "what a request shows; see above")
    num_examples: int = param(3, "instructions shown, at most; drawn from 1 on")
    temperature: float = param(1.0, "temperature of personas and instructions")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.wanted < 1 or self.num_examples < 1:
            raise ValueError("num_personas and num_examples must be at least 1")

    @property
    def wanted(self) -> int:
        """How many personas, which plays m_t."""
        return int(at_level(self.level, TOPIC_GRID)) if self.num_personas is None else self.num_personas

    def needs(self) -> Needs:
        return needed_for_keeping(self) | Needs(chat=True, embedder=True)

    def generate(self, pool: Pool, desk: Desk) -> Generated:
        chat = desk.chat(stand_in=STAND_IN.what)
        mixture = Mixture.planned(self, len(pool), desk.seed)
        harvest = Harvest.begun(self, pool, mixture, desk, chat=chat, stand_in=STAND_IN)
        parents = harvest.parents()
        harvest.report |= {"level": self.level, "num_personas_wanted": self.wanted}
        if chat is None:
            people = listed(self.wanted, desk.seed)
            self._tell(harvest, people)
            harvest.report |= {"prompts": {"personas": trades_and_circumstances()[2]}}
            return harvest.generated(self._by_rule(people, parents, harvest, desk.seed))
        harvest.report |= {"prompts": asking.digests("persona-from-text", "persona-related", "persona-task")}
        return harvest.generated(self._asked(parents, chat, harvest, desk))

    def _by_rule(
        self, people: Sequence[Persona], parents: Parents, harvest: Harvest, seed: int
    ) -> Iterator[list[Attempt]]:
        """Row k is what parent k asks, by persona k, both counted round and round.

        When the same pairs would come again, the parents are one further on: all pairs come before any comes twice.
        """
        numbers, period = count(), lcm(len(parents), len(people))
        while True:
            now = list(islice(numbers, harvest.batch_size()))
            batch: list[Attempt] = []
            for number, parent in zip(now, parents.take([at + at // period for at in now]), strict=True):
                persona = people[number % len(people)]
                batch.append(
                    reworded(
                        parent,
                        f"I am {persona.text}. {parent.question}",
                        kind=_KIND,
                        prompt_id="persona-tag@1",
                        seed=seed_of(seed, "persona row", number),
                        about={"persona": persona.text, "level": self.level},
                    )
                )
            yield batch

    def _asked(self, parents: Parents, chat: Chat, harvest: Harvest, desk: Desk) -> Iterator[list[Attempt]]:
        gathering = Gathering(
            chat=chat, parents=parents, desk=desk, most_characters=self.max_prompt_characters,
            temperature=self.temperature,
        )  # fmt: skip
        people = gathering.gather(self.wanted)
        self._tell(harvest, people)
        numbers = count()
        while people:
            now = list(islice(numbers, harvest.batch_size()))
            yield self._rows(now, people, parents, chat, harvest, desk.seed)

    def _rows(
        self,
        numbers: Sequence[int],
        people: Sequence[Persona],
        parents: Parents,
        chat: Chat,
        harvest: Harvest,
        seed: int,
    ) -> list[Attempt]:
        shown = [self._shown(number, people, parents, seed) for number in numbers]
        ready = [
            fitted(
                prompt("persona-task"),
                most=self.max_prompt_characters,
                examples=[text for text, _ in each],
                persona=people[number % len(people)].text,
            )
            for number, each in zip(numbers, shown, strict=True)
        ]
        harvest.notes.update(note for each in ready for note in each.notes)
        fits = [at for at, each in enumerate(ready) if each.messages is not None]
        seeds = [seed_of(seed, "persona row", number) for number in numbers]
        told = ask(
            chat, [each.messages for each in ready if each.messages is not None], new_instruction,
            seeds=[seeds[at] for at in fits], json_schema=INSTRUCTION_SCHEMA,
            sampling=Sampling(temperature=self.temperature, max_new_tokens=self.max_new_tokens),
        )  # fmt: skip
        new: dict[int, str | Unusable] = dict(zip(fits, told, strict=True))
        asked = {at: text for at, text in new.items() if isinstance(text, str)}
        answers = dict(zip(asked, self._answers(list(asked.values()), chat, seed), strict=True))
        batch: list[Attempt] = []
        for at, number in enumerate(numbers):
            instruction, answer = new.get(at, Unusable("prompt_too_long")), answers.get(at)
            if isinstance(instruction, Unusable) or isinstance(answer, Unusable) or answer is None:
                problem = instruction if isinstance(instruction, Unusable) else answer
                reason = problem.reason if isinstance(problem, Unusable) else "empty_response"
                batch.append(Rejected(kind=_KIND, reason=reason))
                continue
            batch.append(
                Draft(
                    question=instruction,
                    answer=answer,
                    kind=_KIND,
                    prompt_id=prompt("persona-task").name,
                    seed=seeds[at],
                    parent_ids=tuple(row for _, row in shown[at][: ready[at].num_examples]),
                    about={"persona": people[number % len(people)].text, "level": self.level, "shots": self.shots},
                )
            )
        return batch

    def _answers(self, asked: Sequence[str], chat: Chat, seed: int) -> list[str | Unusable]:
        requests = [(Message(role="user", content=text),) for text in asked]
        sampling = Sampling(temperature=0.0, max_new_tokens=self.max_new_tokens)
        seeds = [seed_of(seed, "answer", text) for text in asked]
        return ask(chat, requests, plain_answer, seeds=seeds, sampling=sampling, most=self.max_prompt_characters)

    def _shown(self, number: int, people: Sequence[Persona], parents: Parents, seed: int) -> list[tuple[str, str]]:
        """Examples and the ids of their rows."""
        rng = draws(seed, "persona examples", number)
        wanted = rng.randint(1, self.num_examples)
        if self.shots == "zero":
            return []
        if self.shots == "few":
            chosen = parents.take([rng.randrange(len(parents)) for _ in range(wanted)])
            return [(f"An instruction: {parent.asked}", parent.row.id) for parent in chosen]
        known = [each for each in people if each.parent is not None]
        chosen_people = rng.sample(known, min(wanted, len(known)))
        chosen = parents.take([each.parent or 0 for each in chosen_people])
        return [
            (f"Person: {persona.text}\nAn instruction of this person: {parent.asked}", parent.row.id)
            for persona, parent in zip(chosen_people, chosen, strict=True)
        ]

    def _tell(self, harvest: Harvest, people: Sequence[Persona]) -> None:
        harvest.report |= {"num_personas": len(people), "personas": [each.text for each in people[:20]]}

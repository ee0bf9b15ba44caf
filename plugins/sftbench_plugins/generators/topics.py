"""The generator `topics`: new rows, each about one of a list of topics; the longer the list, the more they vary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import ClassVar

from sftbench import Chat, Desk, Generated, Needs, Pool, param
from sftbench_plugins.generators import asking
from sftbench_plugins.generators.asking import Sampling, Unusable, ask, fitted, prompt
from sftbench_plugins.generators.chance import draws, seed_of
from sftbench_plugins.generators.closeness import Kept
from sftbench_plugins.generators.drafts import Attempt, Draft, Rejected
from sftbench_plugins.generators.harvest import Harvest, needed_for_keeping
from sftbench_plugins.generators.local import LocalModels, models_needed, one_line, what_stands_in
from sftbench_plugins.generators.mixing import Mixture
from sftbench_plugins.generators.new_rows import NewRows
from sftbench_plugins.generators.parents import Parents
from sftbench_plugins.generators.phrases import Phrase, key_phrases
from sftbench_plugins.generators.settings import TOPIC_GRID, LocalSettings, at_level

ALIKE = 0.9
"""A topic whose cosine to an earlier one is above this is the same topic."""
ASKED_AT_ONCE = 50
MAX_ROUNDS = 60
"""Requests for topics: a model that has run out of them says the same ones again and again."""
_STAND_IN = "instructions that begin as real ones do, up to a key phrase of the pool, are finished in another way"


@dataclass(frozen=True, kw_only=True)
class Topics(LocalSettings):
    """New rows, equally many about each topic of a list (arXiv 2506.19262): more topics, more varied rows.

    A longer list begins with the shorter one. `level` 0 to 6 is 1, 5, 20, 50, 100, 300, 1000 topics. Without a language
    model topics are key phrases of real instructions, and a model of the run finishes instructions that begin as real
    ones do, up to such a phrase, and answers them.
    """

    name: ClassVar[str] = "topics"
    version: ClassVar[str] = "2"
    deterministic: ClassVar[bool] = False

    level: int = param(3, "diversity level, 0 (least) to 6 (most): how many topics")
    num_topics: int | None = param(None, "topics; none: what the level says")
    num_examples: int = param(3, "real rows shown for a new row, at most; drawn from 1 on")
    temperature: float = param(1.0, "temperature of topics and rows")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.wanted < 1 or self.num_examples < 1:
            raise ValueError("num_topics and num_examples must be at least 1")

    @property
    def wanted(self) -> int:
        """m_t: how many topics."""
        return int(at_level(self.level, TOPIC_GRID)) if self.num_topics is None else self.num_topics

    def needs(self) -> Needs:
        return needed_for_keeping(self) | Needs(chat=True, embedder=True, without_chat=models_needed(self))

    def generate(self, pool: Pool, desk: Desk) -> Generated:
        stand_in = what_stands_in(self, _STAND_IN)
        chat = desk.chat(stand_in=stand_in.what)
        mixture = Mixture.planned(self, len(pool), desk.seed)
        harvest = Harvest.begun(self, pool, mixture, desk, chat=chat, stand_in=stand_in)
        parents = harvest.parents()
        harvest.report |= {"level": self.level, "num_topics_wanted": self.wanted}
        if chat is None:
            models = LocalModels(desk=desk, settings=self, notes=harvest.notes)
            return harvest.generated(self._finished(parents, models, harvest, desk))
        harvest.report |= {"prompts": asking.digests("topic-list", "topic-row")}
        return harvest.generated(self._asked(chat, parents, harvest, desk))

    def _asked(self, chat: Chat, parents: Parents, harvest: Harvest, desk: Desk) -> Iterator[list[Attempt]]:
        found = self._topics_asked(chat, parents, desk)
        self._tell(harvest, found)
        rows = NewRows(
            settings=self, chat=chat, parents=parents, seed=desk.seed, harvest=harvest,
            num_examples=self.num_examples, temperature=self.temperature, about={"level": self.level},
        )  # fmt: skip
        numbers = count()
        while found:
            now = list(islice(numbers, harvest.batch_size()))
            yield rows.made(now, [found[number % len(found)] for number in now])

    def _topics_asked(self, chat: Chat, parents: Parents, desk: Desk) -> list[str]:
        """Topics in the order in which the model named them, without those that are alike."""
        found: list[str] = []
        kept = Kept(cap=ALIKE)
        sampling = Sampling(temperature=self.temperature, max_new_tokens=max(1024, self.max_new_tokens))
        for turn in range(MAX_ROUNDS):
            rng = draws(desk.seed, "topic examples", turn)
            numbers = rng.sample(range(len(parents)), min(8, len(parents)))
            ready = fitted(
                prompt("topic-list"), most=self.max_prompt_characters, count=str(ASKED_AT_ONCE),
                examples=[parent.question for parent in parents.take(numbers)],
                avoid="These are taken already: " + "; ".join(found[-400:]) if found else "",
            )  # fmt: skip
            requests = [ready.messages] if ready.messages is not None else []
            seeds = [seed_of(desk.seed, "topics", turn)] * len(requests)
            for answer in ask(chat, requests, _topics, seeds=seeds, sampling=sampling, json_schema=_SCHEMA):
                if isinstance(answer, Unusable):
                    continue
                vectors = desk.embed(answer)
                found += [topic for topic, vector in zip(answer, vectors, strict=True) if kept.admits(vector)]
            if len(found) >= self.wanted:
                break
        return found[: self.wanted]

    def _finished(self, parents: Parents, models: LocalModels, harvest: Harvest, desk: Desk) -> Iterator[list[Attempt]]:
        """Row k takes topic k, counted round and round: a real row that has it begins, the writer goes on."""
        found = self._phrases(parents, desk)
        self._tell(harvest, [phrase.text for phrase in found])
        numbers = count()
        while found:
            now = list(islice(numbers, harvest.batch_size()))
            begun = [self._begun(number, found[number % len(found)], parents, models, desk.seed) for number in now]
            harvest.notes.update("examples_dropped" for each in begun for _ in range(each.num_dropped))
            lines = models.lines(
                [each.prompt for each in begun], seeds=[each.draft.seed for each in begun], temperature=self.temperature
            )
            yield models.answered([each.finished(line) for each, line in zip(begun, lines, strict=True)])

    def _phrases(self, parents: Parents, desk: Desk) -> list[Phrase]:
        """Leading key phrases that are not alike."""
        leading = key_phrases(parents, max_phrases=3 * self.wanted)
        kept = Kept(cap=ALIKE)
        vectors = desk.embed([phrase.text for phrase in leading])
        found = [phrase for phrase, vector in zip(leading, vectors, strict=True) if kept.admits(vector)]
        return found[: self.wanted]

    def _begun(self, number: int, topic: Phrase, parents: Parents, models: LocalModels, seed: int) -> _Begun:
        rng = draws(seed, "examples", number)
        own, *others = rng.sample(topic.parents.tolist(), min(rng.randint(1, self.num_examples), len(topic.parents)))
        parent, *examples = parents.take([own, *others])
        opening = one_line(topic.opening(parent.question) or "")
        text, num_dropped = models.fitting([one_line(each.asked) for each in examples], opening)
        draft = Draft(
            question=opening, answer="", kind="new", prompt_id="finished-line@1", seed=seed_of(seed, "row", number),
            parent_ids=tuple(each.row.id for each in (parent, *examples[num_dropped:])),
            about={"level": self.level, "topic": topic.text},
        )  # fmt: skip
        return _Begun(draft=draft, prompt=text, num_dropped=num_dropped)

    def _tell(self, harvest: Harvest, topics: Sequence[str]) -> None:
        harvest.report |= {"num_topics": len(topics), "topics": list(topics[:20])}


@dataclass(frozen=True, kw_only=True)
class _Begun:
    """An instruction of which there is the beginning."""

    draft: Draft
    prompt: str
    num_dropped: int

    def finished(self, line: str | None) -> Attempt:
        """The whole instruction, or why there is none."""
        if line is None:
            return Rejected(kind=self.draft.kind, reason="instruction_cut_off")
        return replace(self.draft, question=(self.draft.question + line).strip())


_SCHEMA = asking.schema(topics={"type": "array", "items": {"type": "string"}})


def _topics(text: str) -> list[str]:
    found = asking.text_list(asking.json_object(text), "topics")
    if not found:
        raise Unusable("empty_response")
    return found

"""The generator `paraphrase`: a set of new rows of which a share gives way to paraphrases, so that it varies less."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar

from sftbench import Chat, Desk, Generated, Json, Needs, Pool, param
from sftbench_plugins.generators import asking, rewriting
from sftbench_plugins.generators.asking import (
    INSTRUCTION_SCHEMA,
    Sampling,
    Unusable,
    ask,
    fitted,
    new_instruction,
    prompt,
)
from sftbench_plugins.generators.chance import draws, seed_of
from sftbench_plugins.generators.drafts import Attempt, Draft, Rejected, reworded
from sftbench_plugins.generators.harvest import Harvest, StandIn, needed_for_keeping
from sftbench_plugins.generators.mixing import Mixture
from sftbench_plugins.generators.new_rows import NewRows
from sftbench_plugins.generators.parents import Parents
from sftbench_plugins.generators.settings import REPLACED_GRID, Settings, at_level

STAND_IN = StandIn(
    what="real rows asked in other words by rules; nothing new is asked, the responses stay", who="rules"
)

PROMPT_ID = f"rewriting@{rewriting.VERSION}"


@dataclass(frozen=True, kw_only=True)
class Task:
    """Attempt number `number`: new row `source`, or, with `copy`, paraphrase number `copy` (from 1) of it."""

    number: int
    source: int
    copy: int


def tasks(share: float, per_source: int) -> Iterator[Task]:
    """New rows and paraphrases in turn: any beginning has the share of paraphrases and is that of a longer list."""
    num_copies = 0
    number = 0
    while True:
        if int((number + 1) * share + 1e-9) > num_copies:
            yield Task(number=number, source=num_copies // per_source, copy=1 + num_copies % per_source)
            num_copies += 1
        else:
            yield Task(number=number, source=number - num_copies, copy=0)
        number += 1


@dataclass(frozen=True, kw_only=True)
class Paraphrase(Settings):
    """New rows, a share of them replaced by paraphrases of others (arXiv 2506.19262).

    Of n rows, `replaced_share` x n are paraphrases, `paraphrases_per_source` of one row each: the more there are, the
    less varied the set. `level` 0 to 6 is the share .9, .75, .6, .45, .3, .15, 0. Without a language model every row
    is a real row asked in other words by rules, with its own response.
    """

    name: ClassVar[str] = "paraphrase"
    version: ClassVar[str] = "2"
    deterministic: ClassVar[bool] = False

    level: int = param(3, "diversity level, 0 (least) to 6 (most): which share is replaced")
    replaced_share: float | None = param(None, "share of rows that are paraphrases; none: what the level says")
    paraphrases_per_source: int = param(10, "paraphrases of one row")
    num_examples: int = param(3, "real rows shown to the language model for a new row, at most; drawn from 1 on")
    temperature: float = param(1.0, "temperature of new rows")
    paraphrase_temperature: float = param(0.7, "temperature of paraphrases")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.share < 1:
            raise ValueError(f"replaced_share={self.replaced_share}: expected from 0 to below 1")
        if self.paraphrases_per_source < 1 or self.num_examples < 1:
            raise ValueError("paraphrases_per_source and num_examples must be at least 1")

    @property
    def share(self) -> float:
        """m_r / |D~|: the share of rows that are paraphrases."""
        return at_level(self.level, REPLACED_GRID) if self.replaced_share is None else self.replaced_share

    def needs(self) -> Needs:
        return needed_for_keeping(self) | Needs(chat=True)

    def generate(self, pool: Pool, desk: Desk) -> Generated:
        chat = desk.chat(stand_in=STAND_IN.what)
        mixture = Mixture.planned(self, len(pool), desk.seed)
        harvest = Harvest.begun(self, pool, mixture, desk, chat=chat, stand_in=STAND_IN)
        parents = harvest.parents()
        harvest.report |= {"level": self.level, "replaced_share": self.share}
        if chat is None:
            harvest.report |= {"prompts": {"rewriting": rewriting.VERSION}}
            return harvest.generated(self._by_rule(parents, desk.seed, harvest))
        asked = _Asked(settings=self, chat=chat, parents=parents, seed=desk.seed, harvest=harvest)
        harvest.report |= {"prompts": asking.digests("new-row", "new-row-in-context", "paraphrase")}
        return harvest.generated(asked.batches())

    def _by_rule(self, parents: Parents, seed: int, harvest: Harvest) -> Iterator[list[Attempt]]:
        """A parent's first rewriting is its new row, the next ones are its paraphrases."""
        waiting = tasks(self.share, self.paraphrases_per_source)
        # When the parents begin again, the next rewritings of each are taken.
        each = 1 + (self.paraphrases_per_source if self.share else 0)
        while True:
            now = list(islice(waiting, harvest.batch_size()))
            found = parents.take([task.source for task in now])
            batch: list[Attempt] = []
            for task, parent in zip(now, found, strict=True):
                kind = "paraphrase" if task.copy else "new"
                which = task.copy + (task.source // len(parents)) * each
                made = rewriting.rewritings(parent.question, draws(seed, "rewriting", parent.row.id))
                rewritten = next(islice(made, which, None), None)
                if rewritten is None:
                    batch.append(Rejected(kind=kind, reason="no_other_words"))
                    continue
                about: dict[str, Json] = {"rules": rewritten.rules, "level": self.level}
                whose = seed_of(seed, "rewriting", parent.row.id)
                batch.append(reworded(parent, rewritten.text, kind=kind, prompt_id=PROMPT_ID, seed=whose, about=about))
            yield batch


@dataclass(kw_only=True)
class _Asked:
    """New rows and paraphrases as the language model gives them."""

    settings: Paraphrase
    chat: Chat
    parents: Parents
    seed: int
    harvest: Harvest
    made: dict[int, Attempt] = field(default_factory=dict)
    """New rows by number."""
    earlier: dict[int, list[str]] = field(default_factory=dict)
    """Paraphrases of each, as far as there are any."""

    def batches(self) -> Iterator[list[Attempt]]:
        settings = self.settings
        rows = NewRows(
            settings=settings, chat=self.chat, parents=self.parents, seed=self.seed, harvest=self.harvest,
            num_examples=settings.num_examples, temperature=settings.temperature, about={"level": settings.level},
        )  # fmt: skip
        waiting = tasks(settings.share, settings.paraphrases_per_source)
        while True:
            now = list(islice(waiting, self.harvest.batch_size()))
            # Where a row has few paraphrases, sources run ahead of the rows that are kept.
            new = sorted({task.source for task in now} - set(self.made))
            self.made |= zip(new, rows.made(new), strict=True)
            copies: dict[int, Attempt] = {}
            # One paraphrase of each source at a time: the next is told the earlier ones.
            for turn in range(1, settings.paraphrases_per_source + 1):
                copies |= self._paraphrased([task for task in now if task.copy == turn])
            yield [copies[task.number] if task.copy else self.made[task.source] for task in now]

    def _paraphrased(self, now: Sequence[Task]) -> dict[int, Attempt]:
        """By number of the task."""
        found: dict[int, Attempt] = {}
        requests, asked = [], []
        for task in now:
            source = self.made[task.source]
            if isinstance(source, Rejected):
                found[task.number] = Rejected(kind="paraphrase", reason="no_source")
                continue
            ready = self._request(source, self.earlier.get(task.source, []))
            self.harvest.notes.update(ready.notes)
            if ready.messages is None:
                found[task.number] = Rejected(kind="paraphrase", reason="prompt_too_long")
                continue
            requests.append(ready.messages)
            asked.append((task, source))
        sampling = Sampling(
            temperature=self.settings.paraphrase_temperature, max_new_tokens=self.settings.max_new_tokens
        )
        seeds = [seed_of(self.seed, "paraphrase", task.source, task.copy) for task, _ in asked]
        answers = ask(
            self.chat, requests, new_instruction, seeds=seeds, sampling=sampling, json_schema=INSTRUCTION_SCHEMA
        )
        for (task, source), seed, answer in zip(asked, seeds, answers, strict=True):
            if isinstance(answer, Unusable):
                found[task.number] = Rejected(kind="paraphrase", reason=answer.reason)
                continue
            self.earlier.setdefault(task.source, []).append(answer)
            found[task.number] = Draft(
                question=answer, answer=source.answer, context=source.context, history=source.history,
                kind="paraphrase", prompt_id=prompt("paraphrase").name, seed=seed,
                parent_ids=(self.harvest.row(source).id,), about={"level": self.settings.level},
            )  # fmt: skip
        return found

    def _request(self, source: Draft, earlier: Sequence[str]) -> asking.Fitted:
        avoid = "These wordings are taken, yours must differ from them:\n" + "\n".join(earlier) if earlier else ""
        context = f"It is about this input:\n<input>\n{source.context}\n</input>\n" if source.context else ""
        return fitted(
            prompt("paraphrase"), most=self.settings.max_prompt_characters, question=source.question,
            answer=source.answer, context=context, avoid=avoid,
        )  # fmt: skip

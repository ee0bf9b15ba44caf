"""The generator `self-instruct`: new tasks after a list of tasks, kept when they differ enough, then worked out."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import ClassVar, Literal

from sftbench import Chat, Desk, Generated, Message, Needs, Pool, param
from sftbench_plugins.generators import asking
from sftbench_plugins.generators.asking import Sampling, Unusable, ask, prompt
from sftbench_plugins.generators.chance import draws, seed_of
from sftbench_plugins.generators.drafts import Attempt, Draft, Rejected, changed
from sftbench_plugins.generators.harvest import Harvest, needed_for_keeping
from sftbench_plugins.generators.local import LocalModels, models_needed, one_line, what_stands_in
from sftbench_plugins.generators.mixing import Mixture
from sftbench_plugins.generators.parents import Parents
from sftbench_plugins.generators.rouge import Known
from sftbench_plugins.generators.settings import LocalSettings

UNFIT_WORDS = (
    "image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps", "draw", "plot",
    "go to",
)  # fmt: skip
"""Tasks that a language model cannot do, by the released code."""
NUM_REQUESTS = 5
"""Requests that are made together; what they give is known to the next ones."""
NUM_LINES = 32
"""The same for lines that a model of the run writes."""
_UNFIT = re.compile(rf"\b({'|'.join(UNFIT_WORDS)})\b", re.IGNORECASE)
_NUMBERED = re.compile(r"^\s*\d+\s*[.)]\s*", re.MULTILINE)
_STAND_IN = "lists of instructions are continued"
_KIND = "new"


def unfit(instruction: str, mode: Literal["paper", "official"]) -> str:
    """Why a task is rejected by its words alone, empty if it is not.

    By the released code: at most 3 or more than 150 words, words that stand for what is no text, a beginning with
    "Write a program", punctuation, or a letter beyond ASCII. `paper` lets other alphabets pass.
    """
    words = instruction.split()
    if len(words) <= 3:
        return "too_few_words"
    if len(words) > 150:
        return "too_many_words"
    if _UNFIT.search(instruction):
        return "unfit_word"
    if instruction.startswith("Write a program"):
        return "write_a_program"
    if instruction[0] in string.punctuation:
        return "starts_with_punctuation"
    return "starts_beyond_ascii" if mode == "official" and not instruction[0].isascii() else ""


def unfit_instance(context: str, output: str, mode: Literal["paper", "official"]) -> str:
    """Why a worked-out task is rejected: it repeats its input, or breaks off after a colon.

    In mode `paper` also when the output only repeats the task's input among other words.
    """
    if context.strip() == output.strip():
        return "repeats_input"
    if context.strip().endswith(":") or output.strip().endswith(":"):
        return "ends_with_colon"
    if mode == "paper" and context.strip() and output.strip() in context:
        return "repeats_input" if len(output.split()) > 3 else ""
    return ""


@dataclass(frozen=True, kw_only=True)
class SelfInstruct(LocalSettings):
    """New tasks after eight known ones, then an instance of each (arXiv 2212.10560).

    Shown are up to `num_machine` tasks made before and real ones besides. A task is kept when its ROUGE-L with every
    real task and every one made before is at most `rouge`, and the rules of `mode` have nothing against it.
    Classification tasks are worked out from the label, others from the input. Mode `official` repeats the released
    rules (it puts all letters but the first in small ones); `paper` leaves letters as they are.
    """

    name: ClassVar[str] = "self-instruct"
    version: ClassVar[str] = "2"
    deterministic: ClassVar[bool] = False

    mode: Literal["paper", "official"] = param("paper", "which rules; see above")
    num_seeds: int = param(175, "real rows that serve as seed tasks, drawn by chance; all if there are fewer")
    num_shown: int = param(8, "tasks shown in a request")
    num_machine: int = param(2, "of these, at most so many that were made before")
    rouge: float = param(0.7, "largest ROUGE-L with a known task")
    temperature: float = param(0.7, "temperature of new tasks")
    top_p: float = param(0.5, "share of the likeliest words that the language model draws new tasks from")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.num_machine < self.num_shown or self.num_seeds < 1:
            raise ValueError("num_machine must be from 0 to below num_shown, num_seeds at least 1")
        if not 0 < self.rouge <= 1:
            raise ValueError(f"rouge={self.rouge}: expected above 0 and at most 1")

    def needs(self) -> Needs:
        return needed_for_keeping(self) | Needs(chat=True, without_chat=models_needed(self))

    def generate(self, pool: Pool, desk: Desk) -> Generated:
        stand_in = what_stands_in(self, _STAND_IN)
        chat = desk.chat(stand_in=stand_in.what)
        mixture = Mixture.planned(self, len(pool), desk.seed)
        harvest = Harvest.begun(self, pool, mixture, desk, chat=chat, stand_in=stand_in)
        tasks = Tasks.of(self, harvest.parents(), desk.seed)
        harvest.report |= {"mode": self.mode, "num_seeds": len(tasks.seeds)}
        if chat is None:
            models = LocalModels(desk=desk, settings=self, notes=harvest.notes)
            return harvest.generated(self._continued(tasks, models, harvest))
        names = ("task-list", "task-kind", "instance-input-first", "instance-output-first")
        harvest.report |= {"prompts": asking.digests(*names)}
        return harvest.generated(self._asked(tasks, chat, harvest))

    def _continued(self, tasks: Tasks, models: LocalModels, harvest: Harvest) -> Iterator[list[Attempt]]:
        """One new line after each list, by a model of the run; answered without asking for an input."""
        for turn in count():
            lists = [tasks.shown(turn * NUM_LINES + at) for at in range(NUM_LINES)]
            fitting = [models.fitting([one_line(each.text) for each in shown]) for shown in lists]
            harvest.notes.update("examples_dropped" for _, dropped in fitting for _ in range(dropped))
            parents = [_ids(shown[dropped:]) for shown, (_, dropped) in zip(lists, fitting, strict=True)]
            seeds = [seed_of(tasks.seed, "line", turn, at) for at in range(len(lists))]
            lines = models.next_lines([text for text, _ in fitting], seeds=seeds, temperature=self.temperature)
            new = [
                Rejected(kind=_KIND, reason="instruction_cut_off")
                if line is None
                else tasks.judged(line, parent_ids=of, seed=seed, prompt_id="line-after-lines@1")
                for line, of, seed in zip(lines, parents, seeds, strict=True)
            ]
            yield changed(models.answered(new), lambda drafts: [self._whole(each) for each in drafts])

    def _asked(self, tasks: Tasks, chat: Chat, harvest: Harvest) -> Iterator[list[Attempt]]:
        sampling = Sampling(
            temperature=self.temperature, top_p=self.top_p, max_new_tokens=max(1024, self.max_new_tokens)
        )
        name = prompt("task-list").name
        for turn in count():
            whole = [tasks.shown(turn * NUM_REQUESTS + at) for at in range(NUM_REQUESTS)]
            lists = [self._fitting(shown) for shown in whole]
            harvest.notes["examples_dropped"] += sum(map(len, whole)) - sum(map(len, lists))
            seeds = [seed_of(tasks.seed, "list", turn, at) for at in range(NUM_REQUESTS)]
            answers = ask(
                chat, [self._request(shown) for shown in lists], _listed, seeds=seeds, sampling=sampling,
                most=self.max_prompt_characters,
            )  # fmt: skip
            new: list[Attempt] = []
            for answer, shown, seed in zip(answers, lists, seeds, strict=True):
                if isinstance(answer, Unusable):
                    new.append(Rejected(kind=_KIND, reason=answer.reason))
                    continue
                new += [tasks.judged(each, parent_ids=_ids(shown), seed=seed, prompt_id=name) for each in answer]
            yield changed(new, lambda drafts: self._worked_out(drafts, chat))

    def _fitting(self, shown: Sequence[Shown]) -> Sequence[Shown]:
        """As many of these tasks, from the first on, as a request has room for; at least one."""
        most = self.max_prompt_characters
        sizes = (sum(len(each.content) for each in self._request(shown[:end])) for end in range(1, len(shown) + 1))
        return shown[: max(1, sum(size <= most for size in sizes))]

    def _request(self, shown: Sequence[Shown]) -> tuple[Message, ...]:
        lines = [f"{number}. {one_line(each.text).rstrip(':')}" for number, each in enumerate(shown, start=1)]
        return prompt("task-list").filled(
            examples="\n".join(lines), first=str(len(lines) + 1), last=str(2 * len(lines))
        )

    def _worked_out(self, drafts: Sequence[Draft], chat: Chat) -> list[Attempt]:
        """An instance of every task that was kept."""
        sampling = Sampling(temperature=0.0, max_new_tokens=self.max_new_tokens)
        seeds = [seed_of(draft.seed, draft.question) for draft in drafts]
        kinds = ask(
            chat,
            [prompt("task-kind").filled(question=draft.question) for draft in drafts],
            _is_classification,
            seeds=seeds,
            sampling=replace(sampling, max_new_tokens=32),
            json_schema=_KIND_SCHEMA,
            most=self.max_prompt_characters,
        )
        names = ["instance-output-first" if kind is True else "instance-input-first" for kind in kinds]
        answers = ask(
            chat,
            [prompt(name).filled(question=draft.question) for name, draft in zip(names, drafts, strict=True)],
            _instance,
            seeds=seeds,
            sampling=sampling,
            json_schema=_INSTANCE_SCHEMA,
            most=self.max_prompt_characters,
        )
        return [self._instance(*each) for each in zip(drafts, names, answers, strict=True)]

    def _instance(self, draft: Draft, name: str, answer: tuple[str, str] | Unusable) -> Attempt:
        if isinstance(answer, Unusable):
            return Rejected(kind=draft.kind, reason=answer.reason)
        context, output = answer
        about = {**draft.about, "instance": prompt(name).name}
        return self._whole(replace(draft, context=context, answer=output, about=about))

    def _whole(self, draft: Draft) -> Attempt:
        """A worked-out task that the rules have nothing against."""
        reason = unfit_instance(draft.context, draft.answer, self.mode) if draft.answer.strip() else ""
        return Rejected(kind=draft.kind, reason=reason) if reason else draft


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A task in a request, and the real row that it is of, if it is."""

    text: str
    row_id: str | None = None


def _ids(shown: Sequence[Shown]) -> tuple[str, ...]:
    return tuple(each.row_id for each in shown if each.row_id is not None)


@dataclass(kw_only=True)
class Tasks:
    """The tasks that are known: real ones that serve as seeds, and those made before."""

    settings: SelfInstruct
    seed: int
    seeds: list[str]
    seed_ids: list[str]
    known: Known
    machine: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, settings: SelfInstruct, parents: Parents, seed: int) -> Tasks:
        """The first parents, in the order drawn, are the seeds; texts must differ from those of all parents."""
        known = Known(limit=settings.rouge)
        seeds: list[str] = []
        ids: list[str] = []
        for start in range(0, len(parents), 1024):
            for parent in parents.take(range(start, min(start + 1024, len(parents)))):
                known.add(parent.question)
                if len(seeds) < settings.num_seeds:
                    seeds.append(parent.asked)
                    ids.append(parent.row.id)
        return cls(settings=settings, seed=seed, seeds=seeds, seed_ids=ids, known=known)

    def shown(self, number: int) -> list[Shown]:
        """The tasks shown in request `number`, in random order."""
        rng = draws(self.seed, "shown", number)
        machine = rng.sample(self.machine, min(self.settings.num_machine, len(self.machine)))
        human = rng.sample(range(len(self.seeds)), min(self.settings.num_shown - len(machine), len(self.seeds)))
        tasks = [Shown(text=text) for text in machine]
        tasks += [Shown(text=self.seeds[at], row_id=self.seed_ids[at]) for at in human]
        rng.shuffle(tasks)
        return tasks

    def judged(self, text: str, *, parent_ids: tuple[str, ...], seed: int, prompt_id: str) -> Attempt:
        """A new task as a draft without an answer, known from now on; or why it is not kept."""
        instruction = one_line(text)
        if self.settings.mode == "official":
            instruction = instruction.capitalize()
        if not instruction:
            return Rejected(kind=_KIND, reason="empty_instruction")
        reason = unfit(instruction, self.settings.mode)
        if not reason and self.known.has_near(instruction):
            reason = "rouge"
        if reason:
            return Rejected(kind=_KIND, reason=reason)
        self.known.add(instruction)
        self.machine.append(instruction)
        return Draft(
            question=instruction, answer="", kind=_KIND, prompt_id=prompt_id, seed=seed, parent_ids=parent_ids,
            about={"mode": self.settings.mode},
        )  # fmt: skip


_KIND_SCHEMA = asking.schema(classification={"type": "boolean"})
_INSTANCE_SCHEMA = asking.schema(input={"type": "string"}, output={"type": "string"})


def _listed(text: str) -> list[str]:
    """The tasks of a numbered list."""
    if not text.strip():
        raise Unusable("empty_response")
    found = [one_line(each) for each in _NUMBERED.split(text)[1:]]
    if not any(found):
        raise Unusable("parse_error")
    return [each for each in found if each]


def _is_classification(text: str) -> bool:
    told = asking.json_object(text).get("classification")
    if not isinstance(told, bool):
        raise Unusable("parse_error")
    return told


def _instance(text: str) -> tuple[str, str]:
    """Input and output."""
    told = asking.json_object(text)
    return asking.text_field(told, "input"), asking.text_field(told, "output", empty="empty_response")

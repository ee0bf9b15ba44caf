"""The generator `magpie`: a model that is given nothing but the beginning of a user's turn writes what users ask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import count, islice
from string import Template
from typing import Any, ClassVar, Literal

from sftbench import Chat, Desk, Generated, Json, Message, Needs, Pool, UsageError, param
from sftbench_plugins.generators import asking
from sftbench_plugins.generators.asking import Sampling, Unusable, ask, plain_answer, prompt
from sftbench_plugins.generators.chance import seed_of
from sftbench_plugins.generators.drafts import Attempt, Draft, Rejected, changed
from sftbench_plugins.generators.harvest import Harvest, needed_for_keeping
from sftbench_plugins.generators.local import LocalModels, models_needed, what_stands_in
from sftbench_plugins.generators.mixing import Mixture
from sftbench_plugins.generators.settings import LocalSettings

QUALITIES = ("very poor", "poor", "average", "good", "excellent")
DIFFICULTIES = ("very easy", "easy", "medium", "hard", "very hard")
_STAND_IN = "user turns are written from the beginning of the training form on"
_KIND = "new"
_PROMPT_ID = "pre-query@1"
_MARKDOWN = ("#", "*", "```", "- ", "|")
_PLACE = "\ufffeHERE\ufffe"


@dataclass(frozen=True, kw_only=True)
class PreQuery:
    """What a model is given: the text of its template before a user's words, and what ends them."""

    text: str
    stop: tuple[str, ...]
    name: str


@cache
def families() -> dict[str, dict[str, Any]]:
    """Templates by family of models, out of the data file."""
    import yaml

    told: dict[str, Any] = yaml.safe_load((files(__package__) / "prompts" / "pre-query.yaml").read_text("utf-8"))
    found: dict[str, dict[str, Any]] = told["families"]
    return found


def pre_query(template: str, model: str, system: str) -> PreQuery:
    """The template of that name; `auto` goes by the model's name. Raises `UsageError` when none is known."""
    known = families()
    name = template
    if template == "auto":
        fitting = (each for each, told in known.items() if any(piece in model.lower() for piece in told["names"]))
        name = next(fitting, "")
    if name not in known:
        raise UsageError(
            f"magpie: no template is known for '{template if template != 'auto' else model}'; give "
            f"template=NAME ({', '.join(known)}), or the text before a user's words as pre_query=TEXT"
        )
    told = known[name]
    if system and "with_system" not in told:
        raise UsageError(f"magpie: the template {name} has no place for a system prompt; leave out system")
    text = Template(told["with_system"]).substitute(system=system) if system else told["plain"]
    return PreQuery(text=text, stop=tuple(told["stop"]), name=name)


@dataclass(frozen=True, kw_only=True)
class Magpie(LocalSettings):
    """Instructions that an aligned model writes by itself after its own template's beginning (arXiv 2406.08464).

    The model then answers them. Mode `official` ends an instruction at the first line break, as the released script
    does by default; `paper` where the turn ends. With `least_quality` the model rates each instruction and says how
    difficult it is; an instruction that ends with a colon is rejected, and one that begins with Markdown, since some
    models write lists of their own there. Without a language model the run's base model writes, from the beginning of
    the training form on; it is not aligned, so much of what it writes are no instructions.
    """

    name: ClassVar[str] = "magpie"
    version: ClassVar[str] = "2"
    deterministic: ClassVar[bool] = False

    mode: Literal["paper", "official"] = param("paper", "where an instruction ends; see above")
    temperature: float = param(1.0, "temperature of instructions")
    top_p: float = param(1.0, "share of the likeliest words that the language model draws instructions from")
    answer_temperature: float = param(0.0, "temperature of answers of the language model")
    max_new_tokens: int = param(2048, "longest text that a model writes at a time")
    system: str = param("", "system prompt before the user's turn, to lead the instructions to a field")
    template: str = param("auto", "chat template of the language model; auto: by its name")
    pre_query: str = param("", "text before a user's words, where no template is known")
    least_quality: Literal["off", "very poor", "poor", "average", "good", "excellent"] = param(
        "good", "lowest rating of an instruction by the language model that is kept; off: no rating"
    )

    def needs(self) -> Needs:
        return needed_for_keeping(self) | Needs(chat=True, without_chat=models_needed(self))

    def generate(self, pool: Pool, desk: Desk) -> Generated:
        stand_in = what_stands_in(self, _STAND_IN)
        chat = desk.chat(stand_in=stand_in.what)
        mixture = Mixture.planned(self, len(pool), desk.seed)
        harvest = Harvest.begun(self, pool, mixture, desk, chat=chat, stand_in=stand_in)
        harvest.report |= {"mode": self.mode}
        if chat is None:
            models = LocalModels(desk=desk, settings=self, notes=harvest.notes)
            given = self._local(models)
            harvest.report |= {"pre_query": given.text, "prompts": _digest(given)}
            return harvest.generated(self._written(models, given, harvest, desk.seed))
        given = self._named(chat)
        rating = asking.digests("quality") if self.least_quality != "off" else {}
        harvest.report |= {"pre_query": given.text, "template": given.name, "prompts": {**_digest(given), **rating}}
        return harvest.generated(self._asked(chat, given, harvest, desk.seed))

    def _named(self, chat: Chat) -> PreQuery:
        if self.pre_query:
            return PreQuery(text=self.pre_query, stop=(), name="given")
        return pre_query(self.template, chat.model, self.system)

    def _local(self, models: LocalModels) -> PreQuery:
        """Of the model's own chat template; the training form without one begins with nothing."""
        tokenizer = models.writer.tokenizer
        if self.pre_query or not tokenizer.chat_template:
            return PreQuery(text=self.pre_query or (f"{self.system}\n" if self.system else ""), stop=(), name="own")
        turns = [{"role": "system", "content": self.system}] if self.system else []
        turns.append({"role": "user", "content": _PLACE})
        return PreQuery(
            text=str(tokenizer.apply_chat_template(turns, tokenize=False)).partition(_PLACE)[0], stop=(), name="own"
        )

    def _written(self, models: LocalModels, given: PreQuery, harvest: Harvest, seed: int) -> Iterator[list[Attempt]]:
        """By a model of the run; a turn of the training form without a template is a line."""
        by_line = self.mode == "official" or not models.writer.tokenizer.chat_template
        numbers = count()
        while True:
            now = list(islice(numbers, harvest.batch_size()))
            seeds = [seed_of(seed, "turn", number) for number in now]
            turns = models.lines(
                [given.text] * len(now), seeds=seeds, temperature=self.temperature, whole_turn=not by_line
            )
            drafts = [
                Rejected(kind=_KIND, reason="instruction_cut_off") if turn is None else self._judged(turn, each)
                for turn, each in zip(turns, seeds, strict=True)
            ]
            yield models.answered(drafts)

    def _asked(self, chat: Chat, given: PreQuery, harvest: Harvest, seed: int) -> Iterator[list[Attempt]]:
        stop = (*given.stop, "\n") if self.mode == "official" else given.stop
        drawn = Sampling(temperature=self.temperature, top_p=self.top_p, max_new_tokens=self.max_new_tokens)
        numbers = count()
        while True:
            now = list(islice(numbers, harvest.batch_size()))
            seeds = [seed_of(seed, "turn", number) for number in now]
            turns = ask(chat, [given.text] * len(now), _turn, seeds=seeds, sampling=drawn, stop=stop)
            batch = [
                Rejected(kind=_KIND, reason=turn.reason) if isinstance(turn, Unusable) else self._judged(turn, each)
                for turn, each in zip(turns, seeds, strict=True)
            ]
            if self.least_quality != "off":
                batch = changed(batch, lambda drafts: self._rated(drafts, chat))
            yield changed(batch, lambda drafts: self._answered(drafts, chat))

    def _judged(self, turn: str, seed: int) -> Attempt:
        """An instruction as a draft without an answer."""
        text = turn.strip()
        if not text:
            return Rejected(kind=_KIND, reason="empty_instruction")
        if text.startswith(_MARKDOWN):
            return Rejected(kind=_KIND, reason="starts_with_markdown")
        if text.endswith(":"):
            return Rejected(kind=_KIND, reason="ends_with_colon")
        return Draft(question=text, answer="", kind=_KIND, prompt_id=_PROMPT_ID, seed=seed, about=self._about)

    @property
    def _about(self) -> dict[str, str]:
        return {"mode": self.mode, **({"system": self.system} if self.system else {})}

    def _rated(self, drafts: Sequence[Draft], chat: Chat) -> list[Attempt]:
        requests = [prompt("quality").filled(question=draft.question) for draft in drafts]
        ratings = ask(
            chat,
            requests,
            _rating,
            seeds=[seed_of(draft.seed, "quality") for draft in drafts],
            sampling=Sampling(temperature=0.0, max_new_tokens=64),
            json_schema=_RATING_SCHEMA,
            most=self.max_prompt_characters,
        )
        return [self._kept(draft, rating) for draft, rating in zip(drafts, ratings, strict=True)]

    def _kept(self, draft: Draft, rating: tuple[str, str] | Unusable) -> Attempt:
        if isinstance(rating, Unusable):
            return Rejected(kind=draft.kind, reason=f"quality_{rating.reason}")
        quality, difficulty = rating
        if QUALITIES.index(quality) < QUALITIES.index(self.least_quality):
            return Rejected(kind=draft.kind, reason="low_quality")
        return replace(draft, about={**draft.about, "quality": quality, "difficulty": difficulty})

    def _answered(self, drafts: Sequence[Draft], chat: Chat) -> list[Attempt]:
        system = (Message(role="system", content=self.system),) if self.system else ()
        answers = ask(
            chat,
            [(*system, Message(role="user", content=draft.question)) for draft in drafts],
            plain_answer,
            seeds=[seed_of(draft.seed, "answer") for draft in drafts],
            sampling=Sampling(temperature=self.answer_temperature, max_new_tokens=self.max_new_tokens),
            most=self.max_prompt_characters,
        )
        return [
            Rejected(kind=draft.kind, reason=answer.reason)
            if isinstance(answer, Unusable)
            else replace(draft, answer=answer)
            for draft, answer in zip(drafts, answers, strict=True)
        ]


_RATING_SCHEMA = asking.schema(
    quality={"type": "string", "enum": list(QUALITIES)}, difficulty={"type": "string", "enum": list(DIFFICULTIES)}
)


def _digest(given: PreQuery) -> dict[str, Json]:
    return {_PROMPT_ID: asking.digest_of(given.text)}


def _turn(text: str) -> str:
    if not text.strip():
        raise Unusable("empty_instruction")
    return text


def _rating(text: str) -> tuple[str, str]:
    told = asking.json_object(text)
    quality, difficulty = (str(told.get(name, "")).strip().lower() for name in ("quality", "difficulty"))
    if quality not in QUALITIES or difficulty not in DIFFICULTIES:
        raise Unusable("parse_error")
    return quality, difficulty

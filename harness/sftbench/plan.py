"""What a run will do: steps with their keys, cells, and the plan that holds both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from sftbench.budget import Budget
from sftbench.fingerprint import key_of
from sftbench.parameters import identifying
from sftbench.roles import Chosen, Needs, PassRequest
from sftbench.rooms import Component, Json
from sftbench.serving.description import AnswerServing, is_served

Ref = str
"""A step by room and key: `scores/1f3a...`."""

STAGES = {
    "pool": "prepare", "lengths": "prepare", "calibration": "prepare",
    "pass": "choose", "embeddings": "choose", "scores": "choose", "selection": "choose",
    "generated": "choose", "chosen": "choose",
    "model": "train",
    "responses": "measure", "evaluation": "measure", "verdicts": "measure",
    "types": "measure", "description": "measure", "contamination": "measure",
}  # fmt: skip
CONCURRENCY = "concurrency"
"""The place in `Step.where` of how many requests it may make at a time, where the user says that."""
STAGE_ORDER = ("prepare", "choose", "ask", "train", "answer", "measure", "judge")
"""`ask` and `judge` are what of choosing and of measuring asks a model that the run itself serves; in `answer` it
serves the trained models, for their answers."""
STAGES_ALONE = frozenset({"ask", "answer", "judge"})
"""Such a stage begins when nothing else is running, and nothing else begins before it ends: a served model takes most
of a GPU's memory, and must be its only tenant."""
STAGES_ONE_BY_ONE = frozenset({"answer"})
"""Steps of such a stage begin one after another: each may want another model served."""
ENGINE_VERSION = "3"
"""Bumped when the forward, embedding, training or generation engine may give other numbers."""
DIVERSITY_VERSION = "2"
"""Bumped when a diversity metric may give other numbers."""
CONTAMINATION_VERSION = "1"
"""Bumped when a check may find other items in a pool."""
PLANT_VERSION = "1"
SPLIT_VERSION = "2"
SCREEN_VERSION = "2"
"""Bumped when other rows would be spoilt, held out, or left out of what was generated."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to make or load. `identity` decides its key; `where` says where its inputs lie on this machine, and how
    much of it the step may use."""

    room: str
    label: str
    identity: Mapping[str, Json]
    parents: Mapping[str, Ref] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, Json] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        return key_of({"room": self.room, "identity": self.identity, "parents": self.parents})

    @property
    def ref(self) -> Ref:
        return f"{self.room}/{self.key}"

    @property
    def stage(self) -> str:
        """When it is done; what is counted on rows that a method made or chose waits for them."""
        derived = any(ref.startswith(("generated/", "chosen/")) for ref in self.parents.values())
        stage = "choose" if derived and STAGES[self.room] == "prepare" else STAGES[self.room]
        if not self.serves:
            return stage
        return "answer" if self.room == "responses" else {"choose": "ask", "measure": "judge"}.get(stage, stage)

    @property
    def is_alone(self) -> bool:
        """Whether nothing of another stage may run beside it."""
        return self.stage in STAGES_ALONE

    @property
    def measures(self) -> bool:
        """Whether it comes after training."""
        return STAGES[self.room] == "measure"

    @property
    def asks(self) -> bool:
        """Whether it asks a language model behind an endpoint."""
        return any(role == "chat" or role.startswith("asks:") for role in self.where)

    @property
    def serves(self) -> frozenset[str]:
        """The models that the run must serve for it, as `vllm:FOLDER[...]`."""
        return frozenset(place for place in self.where.values() if is_served(place))

    def number(self, name: str) -> float:
        """A number of the identity."""
        value = self.identity[name]
        if isinstance(value, (int, float)):
            return float(value)
        raise TypeError(f"{self.room}: {name} is {value!r}, not a number")


@dataclass(frozen=True, kw_only=True)
class PlannedCell:
    """One method x budget x seed, and the steps that make it."""

    method: str
    label: str
    kind: Literal["method", "control"]
    budget: str
    seed: int
    fidelity: str
    matched_to: str | None
    training_passes: float
    selection: Ref
    model: Ref | None
    evaluations: Mapping[str, Ref]
    responses: Ref | None = None
    verdicts: Mapping[str, Ref] = field(default_factory=dict)
    """By judge."""
    baseline: str | None = None
    descriptions: Mapping[str, Ref] = field(default_factory=dict)
    """By component: how diverse the rows are that were chosen."""
    chooses: Chosen | None = None
    """What the trainer has chosen itself."""
    hits: Ref | None = None
    """Which rows that it chose from have something of which held-out items."""

    @property
    def chosen(self) -> Ref:
        """The step that tells what was trained on: the selection, or the training if that chose."""
        return self.model if self.model is not None and self.chooses is not None else self.selection

    @property
    def refs(self) -> list[Ref]:
        """The steps that end this cell."""
        measured = [self.responses, *self.evaluations.values(), *self.verdicts.values(), *self.descriptions.values()]
        measured.append(self.hits)
        ends = [self.selection, self.model, *measured]
        return [ref for ref in ends if ref is not None]


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """A model on disk and what identifies it."""

    name: str
    path: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class AskedFacts:
    """A language model that is asked: what its answers are known by, and where it is reached or lies.

    For `URL#MODEL` both are that text. `name` and `folder` are those of a model that the run serves, else "".
    """

    identity: str
    where: str
    name: str = ""
    folder: str = ""


@dataclass(frozen=True, kw_only=True)
class PromptFacts:
    """The suite of prompts that stands for held-out rows, and how many of its prompts are used."""

    suite: str
    version: str
    control: str
    num_prompts: int
    num_in_all: int


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is cut short: rows of the pool, prompts of the suite, items of the evaluators `items_of`. None: nothing."""

    pool_rows: int | None = None
    prompts: int | None = None
    items: int | None = None
    items_of: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AnswerFacts:
    """Answers to the prompts that no method of the run gave: of a file, or the references (`source` is None)."""

    label: str
    source: str | None
    model: str | None
    content: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was found out about the inputs before planning; the plan itself reads nothing."""

    pool_name: str
    pool_source: Mapping[str, str]
    pool_content: Mapping[str, Json]
    heldout_source: Mapping[str, str] | None
    heldout_content: Mapping[str, Json] | None
    base: ModelFacts
    scoring: ModelFacts
    embedder: ModelFacts
    chat: str | None
    """`URL#MODEL` or `vllm:MODEL` of the language model that parts may ask, as the user gave it."""
    device: str
    """`cpu` or `cuda`: their results differ in the last digits and must not meet under one key."""
    processor: str
    """What a measured speed holds for."""
    tokenizers: Mapping[str, ModelFacts] = field(default_factory=dict)
    """Folders that parts name, and what identifies the tokenizers in them."""
    foreign_models: Mapping[str, ModelFacts] = field(default_factory=dict)
    """Folders that parts name, and what identifies the models in them."""
    folders: Mapping[str, ModelFacts] = field(default_factory=dict)
    """Folders that parts name, and what identifies all that is in them."""
    files: Mapping[str, ModelFacts] = field(default_factory=dict)
    """Files that parts name, and what identifies them."""
    asked: Mapping[str, AskedFacts] = field(default_factory=dict)
    """Language models to ask, by what the user or a part calls them."""
    prompts: PromptFacts | None = None
    answers: AnswerFacts | None = None
    """What is judged against, where that is no method."""
    limits: Limits = Limits()
    answering: AnswerServing | None = None
    """How answers are written where vLLM serves the models for it; None where a process of the run writes them."""

    def of_asked(self, text: str) -> AskedFacts:
        """A language model to ask; behind a URL there is nothing to find out."""
        return self.asked.get(text, AskedFacts(identity=text, where=text))


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """When a row has something of an item: runs of `num_words` words in common, and, with an `embedder`, a `cosine` of
    at least so much.

    Words are compared on the side `component`, embeddings on the side `embedded`.
    """

    num_words: int
    component: Component = "both"
    embedder: ModelFacts | None = None
    embedded: Component = "instruction"
    cosine: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The settings that decide numbers and are the same for every cell."""

    budgets: tuple[Budget, ...]
    seeds: tuple[int, ...]
    plant: float
    heldout_share: float
    heldout_at_most: int
    max_length: int
    max_new_tokens: int
    evals: tuple[Any, ...]
    judges: Mapping[str, Any]
    """By the name that records and board have for it; the first decides the win rate."""
    baseline: str = "random"
    describe: tuple[Component, ...] = ()
    """Sides of the selected rows whose diversity is measured."""
    describe_tokens: int | None = None
    contamination: Likeness | None = None
    """How held-out items are looked for in the rows of the pool, if they are."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Cells, and every step that they need, parents first."""

    cells: tuple[PlannedCell, ...]
    steps: Mapping[Ref, Step]
    pool: Ref
    heldout: Ref
    lengths: Ref

    def ancestors(self, ref: Ref) -> set[Ref]:
        """Every step that this one rests on, without itself."""
        found: set[Ref] = set()
        waiting = list(self.steps[ref].parents.values())
        while waiting:
            parent = waiting.pop()
            if parent not in found:
                found.add(parent)
                waiting.extend(self.steps[parent].parents.values())
        return found

    def cost_of_choosing(self, chosen: Ref, model: Ref | None = None) -> list[Ref]:
        """The steps whose cost is the cost of a choice: all it rests on, but not reading the pool.

        `chosen` is a selection, or a training that chose; of `model`, what its trainer had made first is added.
        """
        refs = {chosen, *self.ancestors(chosen), *(self.ancestors(model) if model else ())}
        refs = {ref for ref in refs if self.steps[ref].room not in ("pool", "lengths", "calibration")}
        trained = {ref for ref in (chosen, model) if ref is not None and self.steps[ref].room == "model"}
        return sorted(refs - trained - self._of_other(chosen))

    def cost_of_generating(self, selection: Ref) -> frozenset[Ref]:
        """The steps that made the rows which a selection is from, and all that these rest on; none for the pool's own.

        What chooses among generated rows rests on them, not they on it, so it is not here.
        """
        generated = self.generated_for(selection)
        return frozenset({generated, *self.ancestors(generated)}) if generated else frozenset()

    def generated_for(self, selection: Ref) -> Ref | None:
        """The step that made the rows which a selection is from, or from which those were chosen that it is from."""
        ref = self.steps[selection].parents["pool"]
        while self.steps[ref].room == "chosen":
            ref = self.steps[ref].parents["pool"]
        return ref if self.steps[ref].room == "generated" else None

    def _of_other(self, chosen: Ref) -> set[Ref]:
        """A matched control does not pay for the method it is matched to."""
        other = self.steps[chosen].parents.get("other")
        return {other, *self.ancestors(other)} if other is not None else set()


def parents_first(steps: Mapping[Ref, Step], ends: Iterable[Ref]) -> dict[Ref, Step]:
    """The steps that are needed for `ends`, each after its parents."""
    ordered: dict[Ref, Step] = {}
    waiting = [(ref, False) for ref in reversed(list(ends))]
    while waiting:
        ref, ready = waiting.pop()
        if ref in ordered:
            continue
        if ready:
            ordered[ref] = steps[ref]
        else:
            waiting.append((ref, True))
            waiting.extend((parent, False) for parent in steps[ref].parents.values())
    return ordered


def calibration(facts: Facts) -> Step:
    """How fast this machine works the base model."""
    base = facts.base
    return Step(
        room="calibration",
        label="measure speed",
        identity={"engine": ENGINE_VERSION, "base": base.fingerprint, "processor": facts.processor},
        where={"base": base.path},
    )


def part_identity(part: Any, facts: Facts) -> dict[str, Json]:
    """How a part enters a key: name, version and every parameter, given or default.

    Language models and files that it names stand there by what identifies them, and not by where they lie.
    """
    needs: Needs = part.needs()
    named = {text: facts.of_asked(text).identity for text in needs.asks.values()}
    named |= {file: f"file:{facts.files[file].fingerprint}" for file in needs.files.values() if file in facts.files}
    values = {
        name: named.get(value, value) if isinstance(value, str) else value for name, value in identifying(part).items()
    }
    return {"part": f"{part.name}@{part.version}", "parameters": values}


def pass_role(request: PassRequest) -> str:
    """The name under which a step finds a pass among its parents (statistics of one pass share it)."""
    return f"pass:{request.model}:{request.view}:{request.template}"

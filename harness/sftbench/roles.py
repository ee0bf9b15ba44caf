"""The roles that a plugin can take, what each gets and gives, and the recipe that joins them: a method.

A part is a frozen dataclass whose fields are its parameters (`sftbench.param`). `name` and `version`
are class attributes; the version is bumped whenever the part's numbers may change.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from sftbench.chat import Chat
from sftbench.parameters import PartUse
from sftbench.rooms import (
    Component,
    Evaluation,
    Generated,
    Json,
    Pool,
    Ragged,
    Responses,
    Row,
    Scores,
    Selection,
    TrainedModel,
    Verdicts,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from sftbench.engines.encode import Encoded
    from sftbench.engines.forward import LanguageModel

Fidelity = Literal["exact", "rank-equal", "reconstruction", "own definition"]
Chosen = Literal["rows", "tokens"]
"""What a trainer may choose while it trains."""
ROLES = ("generator", "scorer", "selector", "trainer", "evaluator", "judge")


@dataclass(frozen=True, kw_only=True)
class PassRequest:
    """A clean forward pass over the pool that several parts may share.

    `model` is `scoring` (the run's `--lm`) or `base`. `view` is `conditional` (response given the
    prompt) or `response_only` (the same response token ids alone, after a BOS if the tokenizer has
    one). `template` is `bare` (prompt, newline, response; no end token) or `training` (as the trainer
    sees the row). `statistic` is `nll` or `entropy`, in nats per response token.
    """

    view: Literal["conditional", "response_only"] = "conditional"
    statistic: Literal["nll", "entropy"] = "nll"
    model: Literal["scoring", "base"] = "scoring"
    template: Literal["bare", "training"] = "bare"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A model that must be trained before choosing can begin, such as a warmed-up reference.

    Rows come from `selector`, by the scores of `scorer` if there is one, under `budget` (as on the
    command line: `1%`, `200`), then `trainer`.
    Its cost counts as cost of selecting. Equal recipes are trained once.
    """

    selector: PartUse
    budget: str
    trainer: PartUse
    scorer: PartUse | None = None


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a part wants prepared before it is called. The same wish of two parts is fulfilled once."""

    passes: tuple[PassRequest, ...] = ()
    embeddings: tuple[Component, ...] = ()
    language_models: tuple[Literal["scoring", "base"], ...] = ()
    """Models (or their tokenizers) that the part loads itself; a part may load no other."""
    lengths: bool = False
    """Row lengths and the training encoding; selectors and trainers have them anyway."""
    models: Mapping[str, Recipe] = field(default_factory=dict)
    """Models to be trained first, by the name under which the desk gives them."""
    tokenizers: Mapping[str, str] = field(default_factory=dict)
    """Folders of tokenizers of other models, by the name under which the desk gives them."""
    foreign_models: Mapping[str, str] = field(default_factory=dict)
    """Folders (or hub names) of other causal language models, by the name under which the desk gives them."""
    folders: Mapping[str, str] = field(default_factory=dict)
    """Folders of anything else that the part reads itself, by the name under which the desk gives them."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Files that the part reads itself, by the name under which the desk gives them."""
    other_selection: bool = False
    embedder: bool = False
    """The encoder, for texts that are not in the pool (`Desk.embed`)."""
    chat: bool = False
    """A language model that writes (`Desk.chat`)."""
    asks: Mapping[str, str] = field(default_factory=dict)
    """Language models that write, as `vllm:MODEL` or `URL#MODEL`, by the name under which the desk gives them."""
    without_chat: Needs | None = None
    """What is wanted besides where the user names none: for the stand-in."""

    def __or__(self, other: Needs) -> Needs:
        """All wishes of both, each once."""
        inner = [each.without_chat for each in (self, other) if each.without_chat is not None]
        return Needs(
            passes=tuple(dict.fromkeys(self.passes + other.passes)),
            embeddings=tuple(dict.fromkeys(self.embeddings + other.embeddings)),
            language_models=tuple(dict.fromkeys(self.language_models + other.language_models)),
            lengths=self.lengths or other.lengths,
            models={**self.models, **other.models},
            tokenizers={**self.tokenizers, **other.tokenizers},
            foreign_models={**self.foreign_models, **other.foreign_models},
            folders={**self.folders, **other.folders},
            files={**self.files, **other.files},
            other_selection=self.other_selection or other.other_selection,
            embedder=self.embedder or other.embedder,
            chat=self.chat or other.chat,
            asks={**self.asks, **other.asks},
            without_chat=reduce(operator.or_, inner) if inner else None,
        )

    def when(self, *, chat: bool) -> Needs:
        """What is wanted where a language model is named, or where none is."""
        return self if chat or self.without_chat is None else replace(self, without_chat=None) | self.without_chat


@dataclass(frozen=True, kw_only=True, eq=False)
class PassResult:
    """One statistic over a whole pool: `values[i]` float32 [m_i] for the response tokens of row i.

    A token without context (the first response token when nothing precedes it) is NaN. `reasons`
    says by position why a row has no tokens; `notes` are remarks on rows that have.
    """

    values: Ragged
    reasons: Mapping[int, str]
    notes: Mapping[int, str]


class Progress(Protocol):
    """A running count that a person watches."""

    def advance(self, amount: int = 1) -> None: ...


class Desk(Protocol):
    """All that a part gets from outside. What it uses through the desk is metered without its help."""

    @property
    def seed(self) -> int: ...
    @property
    def scratch(self) -> Path:
        """A folder for this step alone, removed when the step ends."""
        ...

    def passed(self, request: PassRequest) -> PassResult:
        """The result of a pass declared in `needs`."""
        ...

    def embedded(self, component: Component) -> npt.NDArray[np.float32]:
        """Unit-length embeddings [n, d] of a component declared in `needs`."""
        ...

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit-length embeddings [n, d] of any texts, by the run's encoder (`needs().embedder`)."""
        ...

    def chat(self, *, stand_in: str) -> Chat | None:
        """The language model that the user named with `--chat`, or None (`needs().chat`).

        None means that the part goes on with `stand_in`, a few words for what it does instead, such as
        "tags from key phrases"; the record and the board say so.
        """
        ...

    def chat_with(self, name: str) -> Chat:
        """A language model declared in `needs().asks`."""
        ...

    def stand_in(self, what: str) -> None:
        """Say that the part goes on without a model that the user could have named in its parameters, and how.

        For the record and the board, as with `chat`: a few words, such as "quality by perplexity".
        """
        ...

    def language_model(self, name: str = "scoring", *, dtype: str = "auto") -> LanguageModel:
        """A loaded model: `scoring`, `base`, or a name declared in `needs().models` or `needs().foreign_models`."""
        ...

    def model_path(self, name: str) -> TrainedModel:
        """Where a model lies, for a part that loads it itself (a trainer and its teacher)."""
        ...

    def loaded(self, model: TrainedModel, *, dtype: str = "auto") -> LanguageModel:
        """A model from `model_path`, or one that this step has trained itself; not kept, unlike `language_model`."""
        ...

    def allowance(self) -> Allowance:
        """What a trainer may take that chooses rows."""
        ...

    def trained_on(self, name: str) -> Selection:
        """The rows that a model declared in `needs().models` was trained on."""
        ...

    def folder(self, name: str) -> Path:
        """A folder declared in `needs().folders`; it is identified by everything in it."""
        ...

    def files(self) -> Mapping[str, Path]:
        """The files declared in `needs().files`, each identified by its content."""
        ...

    def other_selection(self) -> Selection:
        """The selection of the method that this one is matched to (`needs().other_selection`)."""
        ...

    def other_cost(self) -> Mapping[str, float]:
        """What that method spends: `selecting_flops`, and `training_flops` for its selection."""
        ...

    def tokenizer(self, name: str = "base") -> PreTrainedTokenizerFast:
        """The tokenizer of a model, without its weights, or one declared in `needs().tokenizers`."""
        ...

    def training_encoding(self, rows: Iterable[Row], *, max_length: int | None = None) -> Iterator[Encoded]:
        """Rows as the trainer will see them: token ids, and which of them are response tokens."""
        ...

    def response_lengths(self) -> npt.NDArray[np.int64]:
        """Response tokens [n] of each row of the pool by the base model's tokenizer, untruncated, no end token."""
        ...

    def training_tokens(self) -> npt.NDArray[np.int64]:
        """Response tokens [n] of each row that a trainer sees: truncated, end-of-turn tokens included."""
        ...

    def training_flops(self) -> npt.NDArray[np.float64]:
        """FLOPs [n] that this method's training, all epochs, takes on each row (with `needs().other_selection`)."""
        ...

    def meter(self, **amounts: float) -> None:
        """Add work done outside the desk's own engines (`tokens_forward=...`, `flops=...`)."""
        ...

    def progress(self, total: int, unit: str) -> AbstractContextManager[Progress]: ...
    def log(self, message: str) -> None: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Allowance:
    """What a selector may take: rows whose `row_costs` add up to at most `cap`, in `unit`.

    For a budget in rows every cost is 1. `num_rows` is the number of rows (for other budgets: as many
    as rows of average cost would fit, at least 1).
    """

    cap: float
    row_costs: npt.NDArray[np.float64]
    unit: str
    pays_for_selection: bool = False

    @property
    def counts_work(self) -> bool:
        """True when a row costs again each time it is taken up anew: its cost is work, and not the row itself."""
        return self.unit in ("flops", "device-seconds")

    @property
    def num_rows(self) -> int:
        mean = float(self.row_costs.mean()) if len(self.row_costs) else 1.0
        return max(1, min(len(self.row_costs), int(self.cap / mean + 1e-9)))

    def fit(self, ranked: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The longest beginning of a ranking (pool positions, best first) that the cap admits."""
        order = np.asarray(ranked, dtype=np.int64)
        spent = np.cumsum(self.row_costs[order])
        return order[: int(np.searchsorted(spent, self.cap * (1 + 1e-12), side="right"))]

    def take(self, ranking: Iterable[int]) -> npt.NDArray[np.int64]:
        """What `fit` gives, of a ranking that is made while it is read: nothing is asked for that cannot fit."""
        taken: list[int] = []
        room, least = self.cap * (1 + 1e-12), float(self.row_costs.min(initial=np.inf))
        rows = iter(ranking)
        while room >= least and (row := next(rows, None)) is not None:
            room -= float(self.row_costs[row])
            if room < 0:
                break
            taken.append(int(row))
        return np.array(taken, dtype=np.int64)

    def pays_for_more(self, taken: Sequence[int] | npt.NDArray[np.int64]) -> bool:
        """Whether what these rows leave would pay for another row of the pool that costs anything."""
        room = self.cap - float(self.row_costs[np.asarray(taken, dtype=np.int64)].sum())
        others = np.delete(self.row_costs, np.asarray(taken, dtype=np.int64))
        return room >= float(others[others > 0].min(initial=np.inf))


@runtime_checkable
class Part(Protocol):
    """What all roles share."""

    name: ClassVar[str]
    version: ClassVar[str]
    deterministic: ClassVar[bool]
    """True when the seed plays no part: the step is then done once for all seeds."""

    def needs(self) -> Needs: ...


class Generator(Part, Protocol):
    def generate(self, pool: Pool, desk: Desk) -> Generated | Iterable[Row]:
        """New rows, with or without a report; lineage (parent ids, prompt, seed) goes into each row's `raw`.

        The held-out rows are never seen here; a new row that repeats one of them is taken out afterwards.
        """
        ...


class Scorer(Part, Protocol):
    def score(self, pool: Pool, desk: Desk) -> Scores:
        """One number per row, bigger is better; NaN with a reason where there is none."""
        ...


class Selector(Part, Protocol):
    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Rows of the pool, best first, within the allowance."""
        ...


class Trainer(Part, Protocol):
    """A trainer may choose while it trains; it then says what, as a class attribute `chooses`.

    `chooses = "rows"`: the selection is all that may be trained on, whatever the budget; what is trained on keeps
    within `desk.allowance()`. `chooses = "tokens"`: it trains on the rows that it is given, but settles
    itself which of their tokens. Either tells what it has done in `TrainedModel.selection`, which then stands for
    the method's selection wherever one is read.
    """

    def train(self, pool: Pool, selection: Selection, desk: Desk, out: Path) -> TrainedModel:
        """Train `desk.model_path("base")` on the selection and leave the model in `out`."""
        ...


class Evaluator(Part, Protocol):
    """An evaluator whose metrics are not one of its own name lists them in a class attribute `metrics`, by which a
    study knows beforehand what will be measured.

    `own_items = True` as a class attribute: its items are not the held-out rows but of its own, such as a benchmark's.
    Fields named `limit` (items of each task at most), `task_data` and `allow_code_execution` are filled in from the
    run's settings of that name where the user gave none for the evaluator itself.
    """

    generates: ClassVar[bool]
    """True when it reads responses: they are generated once for all such evaluators and judges."""

    def evaluate(self, heldout: Pool, responses: Responses | None, desk: Desk) -> Evaluation:
        """Metrics of the model `desk.language_model("trained")` on held-out rows."""
        ...


class Judge(Part, Protocol):
    def judge(self, heldout: Pool, model: Responses, baseline: Responses, desk: Desk) -> Verdicts:
        """For each held-out row, whose response is better."""
        ...


@dataclass(frozen=True, kw_only=True)
class Method:
    """A named recipe over parts: data, not code.

    `trainer` None means the run's trainer. Parameters given for a method go to each of its parts that
    has a field of that name. `fidelity` maps a mode to how it compares with the authors' code; the
    key `*` is for methods without modes. `control` marks rows that are shown for orientation.
    `trains` False is the untrained base. `matched_to_each` makes one row per method that is compared.

    `strategies` are ways to the same end, by the value of the method's parameter `strategy`: each says which
    roles have another part (None: no part at all). The first is the one that is used when none is asked for.
    """

    name: str
    summary: str
    selector: PartUse
    scorer: PartUse | None = None
    generator: PartUse | None = None
    trainer: PartUse | None = None
    paper: str = ""
    fidelity: Mapping[str, Fidelity] = field(default_factory=lambda: {"*": "own definition"})
    deviations: tuple[str, ...] = ()
    control: bool = False
    trains: bool = True
    ignores_budget: bool = False
    matched_to_each: bool = False
    strategies: Mapping[str, Mapping[str, PartUse | None]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A pool, a base model and held-out tasks that belong together and need no download.

    `rows` and `heldout` give plain dictionaries in a form that pools can be read from. `defaults` are
    settings of a run (by their names in `bench.yaml`) that suit this suite. `accepts` says whether a
    response would be right for the row of an id, so that a planted wrong answer is surely wrong.
    """

    name: str
    summary: str
    rows: Callable[[], Iterable[Mapping[str, object]]]
    heldout: Callable[[], Iterable[Mapping[str, object]]]
    base: Path
    defaults: Mapping[str, Json]
    version: str
    accepts: Callable[[str, str], bool] | None = None


@dataclass(frozen=True, kw_only=True)
class PromptSuite:
    """Prompts that trained models answer and judges compare. Pool and base come from elsewhere.

    Nothing of the prompts is packaged. They are looked for under the names in `files` in the user's folder of benchmark
    files, then at `hub`: a dataset id (`ORG/NAME`), or one file of it (`ORG/NAME/PATH`). `num_prompts` is how many the
    benchmark has. `defaults` are settings of a run that suit it; the longest answer is cut to half of the base's window
    where the user gives none. `temperatures` say by category how warm answers are drawn, 0 for every other. `control`
    is what the board controls win rates for. `graders` are evaluators that read answers with a language model: they are
    used where a judge is one, with the parameters given to that judge (such as `model`) that they have too.
    """

    name: str
    summary: str
    version: str
    num_prompts: int | None
    files: tuple[str, ...]
    hub: str | None = None
    defaults: Mapping[str, Json] = field(default_factory=dict)
    temperatures: Mapping[str, float] = field(default_factory=dict)
    control: Literal["length", "style"] = "length"
    graders: tuple[str, ...] = ()

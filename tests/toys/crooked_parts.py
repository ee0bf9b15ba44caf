"""Parts that break one rule each. What is wrong is in the name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from sftbench import (
    Evaluation,
    Evaluator,
    Generator,
    Judge,
    Needs,
    Ragged,
    Scorer,
    Scores,
    Selection,
    Selector,
    TrainedModel,
    Trainer,
    Verdicts,
    hookimpl,
    param,
)


class Toy:
    """What all of them share."""

    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    def needs(self):
        return Needs()


class ToyScorer(Toy):
    """A scorer that does it right, but for what the others change."""

    def score(self, pool, desk):
        return Scores(values=self.values(pool, desk))

    def values(self, pool, desk):
        return np.arange(len(pool), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class OneTooFew(ToyScorer):
    """Leaves out a row."""

    name: ClassVar[str] = "one-too-few"

    def values(self, pool, desk):
        return np.zeros(len(pool) - 1)


@dataclass(frozen=True, kw_only=True)
class SilentNan(ToyScorer):
    """Does not say why."""

    name: ClassVar[str] = "silent-nan"

    def values(self, pool, desk):
        return np.where(np.arange(len(pool)) == 7, np.nan, 1.0)


@dataclass(frozen=True, kw_only=True)
class Dice(ToyScorer):
    """Draws without a seed."""

    name: ClassVar[str] = "dice"

    def values(self, pool, desk):
        return np.random.default_rng().random(len(pool))


@dataclass(frozen=True, kw_only=True)
class HashOrder(ToyScorer):
    """Gives another result in another process: text has another hash there."""

    name: ClassVar[str] = "hash-order"

    def values(self, pool, desk):
        return np.array([hash(row_id) % 1000 for row_id in pool.ids], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class SecretSeed(ToyScorer):
    """Says that chance plays no part, and asks for the seed."""

    name: ClassVar[str] = "secret-seed"

    def values(self, pool, desk):
        return np.random.default_rng(desk.seed).random(len(pool))


@dataclass(frozen=True, kw_only=True)
class SecretLengths(ToyScorer):
    """Uses what it has not declared."""

    name: ClassVar[str] = "secret-lengths"

    def values(self, pool, desk):
        return desk.response_lengths().astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class SecretTokenizer(ToyScorer):
    """Uses what it has not declared."""

    name: ClassVar[str] = "secret-tokenizer"

    def values(self, pool, desk):
        return np.array([len(desk.tokenizer("base")(row.response)["input_ids"]) for row in pool], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Vandal(ToyScorer):
    """Writes into the pool."""

    name: ClassVar[str] = "vandal"

    def values(self, pool, desk):
        folder = Path(pool.dataset.cache_files[0]["filename"]).parent
        (folder / "mine.txt").write_text("here I was")
        return super().values(pool, desk)


@dataclass(frozen=True, kw_only=True)
class Undocumented(ToyScorer):
    """Has a parameter that nobody knows the meaning of."""

    name: ClassVar[str] = "undocumented"
    alpha: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Nameless(ToyScorer):
    name: ClassVar[str] = "nameless"


@dataclass(frozen=True, kw_only=True)
class Shapeless(ToyScorer):
    """Has a parameter without a stable form."""

    name: ClassVar[str] = "shapeless"
    words: frozenset[str] = param(frozenset({"a", "b"}), "words")


@dataclass(frozen=True, kw_only=True)
class Demanding(ToyScorer):
    """Has a parameter without a default."""

    name: ClassVar[str] = "demanding"
    alpha: float


@dataclass(kw_only=True)
class Changeable(ToyScorer):
    """Is not frozen."""

    name: ClassVar[str] = "changeable"


class ToySelector(Toy):
    """A selector that does it right, but for what the others change."""

    def select(self, pool, scores, allowance, desk):
        return Selection(ids=tuple(pool.ids[: allowance.num_rows]))


@dataclass(frozen=True, kw_only=True)
class Greedy(ToySelector):
    """Takes one row too many."""

    name: ClassVar[str] = "greedy"

    def select(self, pool, scores, allowance, desk):
        return Selection(ids=tuple(pool.ids[: allowance.num_rows + 1]))


@dataclass(frozen=True, kw_only=True)
class RowCounter(ToySelector):
    """Keeps a budget in rows and knows no other."""

    name: ClassVar[str] = "row-counter"

    def select(self, pool, scores, allowance, desk):
        longest = np.argsort(-allowance.row_costs, kind="stable")[: allowance.num_rows]
        return Selection(ids=tuple(pool.ids[at] for at in longest))


@dataclass(frozen=True, kw_only=True)
class Twice(ToySelector):
    """Takes a row twice."""

    name: ClassVar[str] = "twice"

    def select(self, pool, scores, allowance, desk):
        return Selection(ids=(pool.ids[0], pool.ids[0]))


@dataclass(frozen=True, kw_only=True)
class Elsewhere(ToySelector):
    """Takes a row that the pool does not have."""

    name: ClassVar[str] = "elsewhere"

    def select(self, pool, scores, allowance, desk):
        return Selection(ids=("of-another-pool",))


@dataclass(frozen=True, kw_only=True)
class Misaligned(ToySelector):
    """Gives every row three labels."""

    name: ClassVar[str] = "misaligned"

    def select(self, pool, scores, allowance, desk):
        labels = [np.ones(3, dtype=np.uint8)] * allowance.num_rows
        return Selection(ids=tuple(pool.ids[: allowance.num_rows]), token_labels=Ragged.of(labels, dtype=np.uint8))


@dataclass(frozen=True, kw_only=True)
class SameIds(Toy):
    """Gives two rows the same id."""

    name: ClassVar[str] = "same-ids"

    def generate(self, pool, desk):
        return [*pool, pool[0]]


@dataclass(frozen=True, kw_only=True)
class NoModel(Toy):
    """Leaves no model."""

    name: ClassVar[str] = "no-model"

    def train(self, pool, selection, desk, out):
        out.mkdir()
        return TrainedModel(path=out)


@dataclass(frozen=True, kw_only=True)
class Elusive(Toy):
    """Leaves its model elsewhere."""

    name: ClassVar[str] = "elusive"

    def train(self, pool, selection, desk, out):
        (out / "inner").mkdir(parents=True)
        (out / "inner" / "config.json").write_text("{}")
        return TrainedModel(path=out / "inner")


@dataclass(frozen=True, kw_only=True)
class Secretive(Toy):
    """Chooses rows and does not say which."""

    name: ClassVar[str] = "secretive"
    chooses: ClassVar[str] = "rows"

    def train(self, pool, selection, desk, out):
        out.mkdir()
        (out / "config.json").write_text("{}")
        return TrainedModel(path=out)


@dataclass(frozen=True, kw_only=True)
class Poacher(Toy):
    """Trains on rows that it was not given."""

    name: ClassVar[str] = "poacher"
    chooses: ClassVar[str] = "rows"

    def train(self, pool, selection, desk, out):
        out.mkdir()
        (out / "config.json").write_text("{}")
        return TrainedModel(path=out, selection=Selection(ids=tuple(pool.ids)))


@dataclass(frozen=True, kw_only=True)
class LostItem(Toy):
    """Leaves out an item."""

    name: ClassVar[str] = "lost-item"
    generates: ClassVar[bool] = False

    def evaluate(self, heldout, responses, desk):
        values = np.zeros(len(heldout) - 1)
        return Evaluation(ids=tuple(heldout.ids), items={"lost": values}, bigger_is_better={"lost": True})


@dataclass(frozen=True, kw_only=True)
class Overjoyed(Toy):
    """Prefers by more than all."""

    name: ClassVar[str] = "overjoyed"

    def judge(self, heldout, model, baseline, desk):
        return Verdicts(ids=model.ids, preference=np.full(len(model.ids), 2.0))


@hookimpl
def sftbench_scorers() -> list[type[Scorer]]:
    return [
        OneTooFew, SilentNan, Dice, HashOrder, SecretSeed, SecretLengths, SecretTokenizer, Vandal, Undocumented,
        Nameless, Shapeless, Demanding, Changeable,
    ]  # fmt: skip


@hookimpl
def sftbench_selectors() -> list[type[Selector]]:
    return [Greedy, RowCounter, Twice, Elsewhere, Misaligned]


@hookimpl
def sftbench_generators() -> list[type[Generator]]:
    return [SameIds]


@hookimpl
def sftbench_trainers() -> list[type[Trainer]]:
    return [NoModel, Elusive, Poacher, Secretive]


@hookimpl
def sftbench_evaluators() -> list[type[Evaluator]]:
    return [LostItem]


@hookimpl
def sftbench_judges() -> list[type[Judge]]:
    return [Overjoyed]

"""The trainer `token-cleaning-evolving`: each part of the rows is cleaned by the model made of the parts before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from sftbench import (
    CROSS_ENTROPY,
    Desk,
    Json,
    Needs,
    Pool,
    Ragged,
    Selection,
    TrainedModel,
    TrainingSettings,
    UsageError,
    param,
)
from sftbench_plugins.excess_loss import TokenLosses, best_tokens, token_losses, told_of_labels
from sftbench_plugins.token_cleaning.trainer import MICRO_BATCH_ROWS, weighing

if TYPE_CHECKING:
    from sftbench import Rounds


@dataclass(frozen=True, kw_only=True)
class Evolving(TrainingSettings):
    """The rows in parts, in their order: all tokens of the first; of each other the best by the model made so far.

    Score of a token: its loss under the base minus its loss under the model trained on the parts before (Token
    Cleaning, Sec. 4, self-evolving). Training goes on from that model, with a fresh optimiser and schedule per part.
    """

    name: ClassVar[str] = "token-cleaning-evolving"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False
    chooses: ClassVar[Literal["tokens"]] = "tokens"

    mode: Literal["paper", "official"] = param("paper", "official: the loss is a mean over micro-batches")
    micro_batch_rows: int = param(MICRO_BATCH_ROWS, "rows that one mean is over, in mode official")
    keep: float = param(0.6, "share of a part's response tokens that are trained, from the second part on")
    num_parts: int = param(5, "parts that the rows are split into, in their order")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.keep <= 1:
            raise ValueError("keep must be above 0 and at most 1")
        if self.num_parts < 1:
            raise ValueError("num_parts must be at least 1")
        if self.max_steps is not None and self.max_steps < self.num_parts:
            raise ValueError(f"max_steps ({self.max_steps}) must leave a step for each of {self.num_parts} parts")

    @property
    def passes_per_epoch(self) -> float:
        """With one pass of either model over all parts but the first."""
        return super().passes_per_epoch + 2 * (1 - 1 / self.num_parts) / self.epochs

    def needs(self) -> Needs:
        """Nothing beyond the base model."""
        return Needs()

    def train(self, pool: Pool, selection: Selection, desk: Desk, out: Path) -> TrainedModel:
        """Train the base model part by part. Raises `UsageError` for fewer rows with a response than parts."""
        from sftbench import Rounds

        tokens = desk.training_tokens()
        usable = [row_id for row_id in selection.ids if tokens[pool.index_of[row_id]] > 0]
        if len(usable) < self.num_parts:
            raise UsageError(
                f"{self.name}: {len(usable)} rows with a response cannot be split into {self.num_parts} parts; "
                f"give a larger budget or num_parts={max(1, len(usable))}"
            )
        parts = [tuple(part.tolist()) for part in np.array_split(np.array(usable, dtype=object), self.num_parts)]
        rounds = Rounds(
            self._of_one_part(), desk, keeps_optimizer=False, weighing=weighing(self.mode, self.micro_batch_rows)
        )
        base = self._base_losses(pool, parts, desk)
        labels, told = [], []
        for number, part in enumerate(parts):
            of_part, report = self._label(pool, part, base[number], rounds, desk)
            labels += list(of_part)
            told.append(report)
            self._train(pool, Selection(ids=part, token_labels=of_part), rounds, desk)
        made = rounds.finish(out)
        chosen = replace(selection, ids=tuple(usable), scores=None, token_labels=Ragged.of(labels, np.uint8))
        left_out = len(selection.ids) - len(usable)
        report = {**made.report, "mode": self.mode, "parts": told, "num_rows_left_out": left_out}
        return replace(made, selection=chosen, report=report)

    def _of_one_part(self) -> TrainingSettings:
        """The run's settings for a part; bounds on the steps of all are shared out."""
        most = None if self.max_steps is None else self.max_steps // self.num_parts
        fewest = math.ceil(self.min_steps / self.num_parts)
        return replace(self, min_steps=min(fewest, most or fewest), max_steps=most, num_parts=1)

    def _base_losses(self, pool: Pool, parts: Sequence[tuple[str, ...]], desk: Desk) -> list[Ragged]:
        """Of every part but the first, whose tokens are not ranked. The model is let go before training begins."""
        nothing = Ragged.of([])
        if len(parts) == 1:
            return [nothing]
        base = desk.loaded(desk.model_path("base"))
        return [nothing, *(token_losses(pool, part, desk, {"base": base}).of["base"] for part in parts[1:])]

    def _label(
        self, pool: Pool, part: tuple[str, ...], base: Ragged, rounds: Rounds, desk: Desk
    ) -> tuple[Ragged, dict[str, Json]]:
        """What each response token of a part is for, and what to tell about it."""
        from sftbench import Passage

        if not rounds.done:
            counts = desk.training_tokens()[[pool.index_of[row_id] for row_id in part]]
            labels = Ragged.of([np.full(count, CROSS_ENTROPY) for count in counts], np.uint8)
            return labels, {"num_tokens": int(counts.sum()), "share_kept": 1.0}
        encoded = desk.training_encoding(pool.take([pool.index_of[row_id] for row_id in part]))
        reference = rounds.losses(Passage.conditional(each) for each in encoded)
        losses = TokenLosses(of={"base": base, "reference": reference}, reasons={}, notes={})
        gain = losses.excess("reference")
        labels = best_tokens(gain, keep=self.keep, scope="global")
        return labels, told_of_labels(labels, gain)

    def _train(self, pool: Pool, part: Selection, rounds: Rounds, desk: Desk) -> None:
        from sftbench import training_rows

        done = rounds.train(training_rows(pool, part, desk, keep_masked=True))
        desk.log(f"part {len(rounds.done)} of {self.num_parts}: loss {done.report['final_loss']:.3f}")

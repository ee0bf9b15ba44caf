"""The trainer `rho`: which tokens are trained is settled by what the model in training still has to learn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from sftbench import Desk, Json, Needs, Pool, Ragged, Selection, TrainedModel, TrainingSettings, UsageError, param
from sftbench_plugins.excess_loss import TokenLosses, best_tokens, same_tokens, token_losses, told_of_labels
from sftbench_plugins.reference_recipe import Referenced


@dataclass(frozen=True, kw_only=True)
class Rho(Referenced, TrainingSettings):
    """Of the tokens of every batch the `keep` share that loses most over the reference (RHO-1, Eq. 3-5).

    `variant=live` takes the loss of the model in training, anew at every step. `variant=sft` takes that of the base,
    once, and ranks within each sample: the baseline of Token Cleaning (arXiv 2502.01968) as its paper describes
    it; as its code has it (`mode=official`), over all rows together.
    """

    name: ClassVar[str] = "rho"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False
    chooses: ClassVar[Literal["tokens"]] = "tokens"

    mode: Literal["paper", "official"] = param(
        "paper", "official: variant=sft with the released code's ranking and mean"
    )
    variant: Literal["live", "sft"] = param(
        "live", "whose loss exceeds the reference's: the model's in training, the base's"
    )
    keep: float = param(0.6, "share of the response tokens that are trained")
    scope: Literal["batch", "sample", "global"] | None = param(
        None, "where tokens are ranked; none: live in the batch, sft in each sample, official over all rows"
    )
    micro_batch_rows: int = param(6, "rows that one mean is over, in mode official")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.keep <= 1:
            raise ValueError("keep must be above 0 and at most 1")
        if self.mode == "official" and self.variant == "live":
            raise ValueError("the authors released no training code: mode=official exists with variant=sft only")
        if self.variant == "live" and self.scope == "global":
            raise ValueError("live losses are known for the rows of a batch: scope is batch or sample")

    @property
    def passes_per_epoch(self) -> float:
        """With the reference's pass, and one more of the model in every step (live) or of the base (sft)."""
        extra = 1 + 1 / self.epochs if self.variant == "live" else 2 / self.epochs
        return super().passes_per_epoch + extra

    @property
    def ranked_in(self) -> Literal["batch", "sample", "global"]:
        """The scope, settled."""
        usual: dict[str, Literal["batch", "sample", "global"]] = {"live": "batch", "sft": "sample"}
        return self.scope or ("global" if self.mode == "official" else usual[self.variant])

    def needs(self) -> Needs:
        """The reference."""
        return self.needs_reference()

    def train(self, pool: Pool, selection: Selection, desk: Desk, out: Path) -> TrainedModel:
        """Train the base model. Raises `UsageError` when no row has a token to train."""
        tokens = desk.training_tokens()
        usable = tuple(row_id for row_id in selection.ids if tokens[pool.index_of[row_id]] > 0)
        if not usable:
            raise UsageError(f"{self.name}: none of the {len(selection.ids)} rows has a response token to train")
        scores = None
        if selection.scores is not None:
            kept = set(usable)
            scores = selection.scores[[row_id in kept for row_id in selection.ids]]
        given = replace(selection, ids=usable, scores=scores, token_labels=None)
        losses = self._losses(pool, given, desk)
        trained = (
            self._on_labels(pool, given, losses, desk, out)
            if self.ranked_in == "global" or (self.variant == "sft" and self.ranked_in == "sample")
            else self._by_step(pool, given, losses, desk, out)
        )
        told: dict[str, Json] = {
            "mode": self.mode,
            "variant": self.variant,
            "scope": self.ranked_in,
            "num_rows_left_out": len(selection.ids) - len(usable),
        }
        return replace(trained, report={**trained.report, **told, **losses.told()})

    def _losses(self, pool: Pool, given: Selection, desk: Desk) -> TokenLosses:
        """Under the reference, and for the variant `sft` under the base; the models are let go afterwards."""
        models = {"reference": desk.loaded(desk.model_path(self.reference_name))}
        if self.variant == "sft" or self.reference == "scoring":
            base = desk.loaded(desk.model_path("base"))
            same_tokens(base, models["reference"], who=self.name)
            models |= {"base": base} if self.variant == "sft" else {}
        return token_losses(pool, given.ids, desk, models)

    def _on_labels(self, pool: Pool, given: Selection, losses: TokenLosses, desk: Desk, out: Path) -> TrainedModel:
        """The tokens are settled before training begins."""
        from sftbench import Weighing, fine_tune, training_rows

        gain, official = losses.excess("reference"), self.mode == "official"
        scope: Literal["global", "sample"] = "global" if self.ranked_in == "global" else "sample"
        labels = best_tokens(gain, keep=self.keep, scope=scope, at_least=int(not official))
        chosen = replace(given, token_labels=labels)
        rows = training_rows(pool, chosen, desk, keep_masked=True)
        weighing = Weighing(rows_per_mean=self.micro_batch_rows) if official else None
        made = fine_tune(rows, settings=self, desk=desk, out=out, weighing=weighing)
        return replace(made, selection=chosen, report={**made.report, **told_of_labels(labels, gain)})

    def _by_step(self, pool: Pool, given: Selection, losses: TokenLosses, desk: Desk, out: Path) -> TrainedModel:
        """The tokens are settled at every step; a token counts as trained if it was in any of them."""
        from sftbench import Weighing, fine_tune, trained_on, training_rows

        reference, live = losses.of["reference"], self.variant == "live"
        merits = -reference.values if live else losses.excess("reference").values.astype(np.float32)
        rows = training_rows(
            pool, given, desk, merits=Ragged(values=merits, offsets=reference.offsets), keep_masked=True
        )
        scope: Literal["batch", "sample"] = "batch" if self.ranked_in == "batch" else "sample"
        rows_per_mean = self.micro_batch_rows if self.mode == "official" else None
        weighing = Weighing(keep=self.keep, live=live, scope=scope, rows_per_mean=rows_per_mean)
        used: list[Ragged] = []
        made = fine_tune(rows, settings=self, desk=desk, out=out, weighing=weighing, watch=used.append)
        chosen = trained_on(pool, given, desk, rows=rows, uses=used[0])
        assert chosen.token_labels is not None
        report = {
            "share_of_tokens_ever_trained": float((chosen.token_labels.values > 0).mean()),
            "num_rows_without_a_kept_token": sum(not each.any() for each in chosen.token_labels),
        }
        return replace(made, selection=chosen, report={**made.report, **report})

"""The selector `tokentune`: looks at rows while it chooses them, then says what each of their tokens is for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sftbench import (
    CROSS_ENTROPY,
    DISTILLATION,
    MASKED,
    Allowance,
    Desk,
    Json,
    Needs,
    Pool,
    Ragged,
    Scores,
    Selection,
    UsageError,
)
from sftbench_plugins.exp3 import Values
from sftbench_plugins.reference_recipe import warmup_recipe
from sftbench_plugins.tokentune.bandit import Kind, fresh_bandit
from sftbench_plugins.tokentune.clusters import cluster, default_num_clusters, elbow
from sftbench_plugins.tokentune.examine import Examiner, PerturbedBase, ReferenceModel, Utility
from sftbench_plugins.tokentune.labels import Ambiguity, LabelRule, shares
from sftbench_plugins.tokentune.search import Campaign, Plan, Rows, Survey
from sftbench_plugins.tokentune.settings import Settings
from sftbench_plugins.tokentune.utility import unpaired_utility, utility

LOOKS_PER_ROW = 1.5
"""Rows looked into for each row wanted, at least: with fewer there would be little to choose from."""


@dataclass(frozen=True, kw_only=True)
class Tokentune(Settings):
    """Rows by token-derived utility, found by a bandit over clusters, with a label for every response token."""

    name: ClassVar[str] = "tokentune"
    version: ClassVar[str] = "2"
    deterministic: ClassVar[bool] = False

    def needs(self) -> Needs:
        """The base, the reference unless noise takes its place, and embeddings for the clusters (mode paper)."""
        warm = warmup_recipe(
            budget=self.warmup_budget,
            epochs=self.warmup_epochs,
            rank=self.warmup_rank,
            learning_rate=self.warmup_learning_rate,
        )
        second = None if self.lg == "ldp" else self.reference
        return Needs(
            embeddings=() if self.mode == "official" else ("both",),
            language_models=("base", "scoring") if second == "scoring" else ("base",),
            models={"reference": warm} if second == "warmup" else {},
        )

    @property
    def kind(self) -> Kind:
        """Which bandit chooses."""
        return "random" if self.no_mab else self.bandit

    @property
    def surveys(self) -> bool:
        """Whether rows are taken at the end, out of all that were looked into."""
        return self.take == "scored" and not self.no_sample_utility

    def plan(self, *, num_rows: int, num_wanted: int, num_clusters: int) -> Plan:
        """How to proceed in a pool; the pilot takes about a quarter of the looks at most."""
        looks = min(num_rows, max(int(self.scored_share * num_rows), ceil(LOOKS_PER_ROW * num_wanted)))
        warm_start = 0 if self.kind == "random" else self.warm_start
        if self.surveys:
            warm_start = min(warm_start, ceil(looks / (4 * max(1, num_clusters))))
        return Plan(
            batch=max(1, round(self.cadence * (looks if self.surveys else num_wanted))),
            arms_per_iteration=self.clusters_per_iteration,
            warm_start=warm_start,
            reward=self.reward,
            guided=not self.no_sample_utility,
            num_looks=looks if self.surveys else 0,
        )

    @property
    def passes_over_pool(self) -> float:
        """Two models over every row in mode official, and at most that in mode paper."""
        return 2.0

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Rows by falling utility within the allowance, with token labels. `scores` is not read.

        Raises `UsageError` when an id stands twice or the reference has another vocabulary.
        """
        if len(set(pool.ids)) != len(pool):
            raise UsageError("tokentune: the pool has an id twice")
        examiner = self._examiner(pool, desk)
        found: dict[str, Json] = {}
        if self.mode == "official":
            utilities = self._scan(examiner, len(pool), desk)
        else:
            utilities, found = self._search(examiner, allowance, desk)
        chosen = np.flatnonzero(np.isfinite(utilities))
        ranked = chosen[np.argsort(-utilities[chosen], kind="stable")]
        rows = allowance.fit(ranked)
        short = len(rows) == len(ranked) and float(allowance.row_costs[rows].sum()) < allowance.cap * (1 - 1e-9)
        labels, label_report = self._label(examiner, rows)
        return Selection(
            ids=tuple(pool.ids[row] for row in rows),
            scores=utilities[rows],
            token_labels=labels,
            status="short" if short else "full",
            report={"mode": self.mode, **self._summary(examiner, utilities[rows], len(pool)), **label_report, **found},
        )

    def _examiner(self, pool: Pool, desk: Desk) -> Examiner:
        from sftbench_plugins.tokentune.uncertainty import statistic_for

        base = desk.language_model("base")
        if self.lg == "ldp":
            yardstick: PerturbedBase | ReferenceModel = PerturbedBase(
                model=base, noise_seed=desk.seed, alpha=self.ldp_alpha
            )
        else:
            reference = desk.language_model("scoring" if self.reference == "scoring" else "reference")
            if self.reference == "scoring" and reference.tokenizer.get_vocab() != base.tokenizer.get_vocab():
                raise UsageError("tokentune: the scoring model's tokenizer differs from the base model's")
            yardstick = ReferenceModel(model=reference)
        return Examiner(
            pool=pool,
            desk=desk,
            base=base,
            yardstick=yardstick,
            utility=self._utility(),
            statistic=None if self.no_token_utility else statistic_for(self._ambiguity),
            min_tokens=1 if self.mode == "official" else self.min_response_tokens,
        )

    @property
    def _ambiguity(self) -> Ambiguity:
        return "complement" if self.mode == "official" else self.au

    def _utility(self) -> Utility:
        if self.mode == "official":
            return lambda base, gain: unpaired_utility(base, base - gain, share=self.utility_share)
        return lambda base, gain: utility(gain, base, share=self.utility_share, normalised=self.u_norm)

    def _scan(self, examiner: Examiner, num_rows: int, desk: Desk, *, step: int = 2048) -> Values:
        parts = [np.empty(0)]
        with desk.progress(num_rows, "rows") as progress:
            for start in range(0, num_rows, step):
                parts.append(examiner(np.arange(start, min(start + step, num_rows))))
                progress.advance(len(parts[-1]))
        return np.concatenate(parts)

    def _search(self, examiner: Examiner, allowance: Allowance, desk: Desk) -> tuple[Values, dict[str, Json]]:
        """The utilities of the rows taken (NaN for all others), and what to tell about the way there."""
        rng = np.random.default_rng([desk.seed, 0x70C])
        vectors = desk.embedded("both")
        clusters = cluster(vectors, self.clustering, num_clusters=self.k or default_num_clusters(len(vectors)), rng=rng)
        plan = self.plan(num_rows=len(vectors), num_wanted=allowance.num_rows, num_clusters=len(clusters))
        campaign = (Survey if self.surveys else Campaign)(
            clusters=clusters,
            examine=examiner,
            bandit=fresh_bandit(self.kind, len(clusters), rng=rng, gamma=self.gamma, exp3_gamma=self.exp3_gamma),
            plan=plan,
            costs=allowance.row_costs,
            cap=allowance.cap,
        )
        with desk.progress(plan.num_looks if self.surveys else allowance.num_rows, "rows") as progress:
            taken = campaign.run(watch=progress.advance)
        utilities = np.full(len(vectors), np.nan)
        utilities[taken] = campaign.utilities[taken]
        found: dict[str, Json] = {"num_clusters": len(clusters), "bandit_trace": asdict(campaign.trace)}
        if self.elbow:
            own = np.random.default_rng([desk.seed, 0xE1B])
            found["elbow"] = elbow(vectors, most=2 * default_num_clusters(len(vectors)), rng=own)
        return utilities, found

    def _label(self, examiner: Examiner, rows: Rows) -> tuple[Ragged, dict[str, Json]]:
        known = [examiner.tokens[int(row)] for row in rows]
        gain = Ragged.of([each.gain for each in known])
        if self.no_token_utility:
            every = np.where(np.isfinite(gain.values), CROSS_ENTROPY, MASKED).astype(np.uint8)
            labels = Ragged(values=every, offsets=gain.offsets)
            return labels, {"label_shares": shares(labels)}
        ambiguity = _together([each.ambiguity for each in known])
        evidence = _together([each.evidence for each in known])
        rule = LabelRule(
            keep=self.keep,
            ambiguous_keep=self.au_keep,
            scope=self.label_scope,
            evidence_floor=self._evidence_floor(examiner),
            rest=MASKED if self.no_sd else CROSS_ENTROPY if self.ce_on_au else DISTILLATION,
        )
        labels = rule.label(gain, ambiguity, evidence)
        return labels, {"label_shares": shares(labels), **rule.thresholds(gain, ambiguity)}

    def _evidence_floor(self, examiner: Examiner) -> float:
        """The evidence below which a token is not called ambiguous, over all tokens that were scored."""
        if self._ambiguity != "softmax_evidence" or self.au_gate == 0 or not examiner.tokens:
            return -np.inf
        scored = np.concatenate([each.evidence for each in examiner.tokens.values() if each.evidence is not None])
        return float(np.nanquantile(scored, self.au_gate))

    def _summary(self, examiner: Examiner, utilities: Values, num_rows: int) -> dict[str, Json]:
        num_scored = len(examiner.tokens)
        return {
            "num_scored": num_scored,
            "share_scored": num_scored / max(1, num_rows),
            "num_left_out": examiner.counts(),
            "mean_utility": float(utilities.mean()) if len(utilities) else None,
        }


def _together(lists: list[npt.NDArray[np.float32] | None]) -> Ragged | None:
    present = [each for each in lists if each is not None]
    return Ragged.of(present) if present and len(present) == len(lists) else None

"""The parameters of the selector `tokentune`; those of the reference are also the gated trainer's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sftbench import param
from sftbench_plugins.reference_recipe import WARMUP_BUDGET, WARMUP_EPOCHS, WARMUP_LEARNING_RATE, WARMUP_RANK


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every switch of the method: utility, labels, search, and the ablations of the paper."""

    mode: Literal["paper", "official"] = param(
        "paper",
        "paper: a bandit that forwards only what it looks into; official: the whole pool, as the released code does",
    )
    reference: Literal["warmup", "scoring", "base"] = param(
        "warmup", "the second model: a warmed-up base, or the run's scoring model; base only with lg=ldp"
    )
    warmup_budget: str = param(WARMUP_BUDGET, "random slice that the reference is warmed up on, such as 1% or 200")
    warmup_epochs: float | None = param(WARMUP_EPOCHS, "epochs of the warm-up; none: as the run trains")
    warmup_rank: int | None = param(WARMUP_RANK, "LoRA rank of the warm-up, 0 for all weights; none: as the run trains")
    warmup_learning_rate: float | None = param(
        WARMUP_LEARNING_RATE, "learning rate of the warm-up; none: as the run trains"
    )

    utility_share: float = param(0.6, "share of a sample's tokens, densest in learning gain, that its utility counts")
    u_norm: bool = param(True, "divide the gain by the difficulty; off: the gain alone (ablation)")
    lg: Literal["reference", "ldp"] = param(
        "reference", "learning gain against the reference, or the loss added by embedding noise (ablation)"
    )
    ldp_alpha: float = param(5.0, "scale of that noise, as NEFTune counts it")
    min_response_tokens: int = param(8, "rows with fewer response tokens are left out (mode paper)")

    keep: float = param(0.6, "share of response tokens, by learning gain, that are learnt by cross-entropy")
    label_scope: Literal["global", "sample"] = param(
        "global", "shares of tokens are counted over all selected rows together, or in each sample"
    )
    au: Literal["softmax_evidence", "eq4_full", "topk_relu", "entropy", "complement"] = param(
        "softmax_evidence", "how ambiguous a token is; complement distils every token that is not learnt"
    )
    au_keep: float = param(0.6, "share of response tokens ambiguous enough to be distilled")
    au_gate: float = param(
        0.5, "share of scored tokens with too little evidence to be ambiguous (softmax_evidence only)"
    )
    no_sd: bool = param(False, "mask what would be distilled (ablation)")
    ce_on_au: bool = param(False, "learn by cross-entropy what would be distilled (ablation)")
    no_token_utility: bool = param(False, "learn every response token by cross-entropy (ablation)")

    bandit: Literal["ucb", "thompson", "exp3", "random"] = param(
        "ucb", "how the next cluster is chosen (mode paper, as all that follow)"
    )
    take: Literal["scored", "cluster"] = param(
        "scored",
        "scored: the best of all rows that were looked into, at the end; cluster: a chosen cluster is looked into "
        "wholly and its best rows are taken at once (the paper to the letter)",
    )
    scored_share: float = param(
        0.15, "share of the pool that is looked into with take=scored; but at least 1.5 rows for each that is wanted"
    )
    gamma: float = param(0.001, "weight of the confidence bound")
    exp3_gamma: float = param(0.1, "share of chance in EXP3")
    cadence: float = param(0.01, "share of the budget, or with take=scored of the looks, that one iteration takes")
    clusters_per_iteration: int = param(1, "clusters that share the rows of an iteration")
    warm_start: int = param(8, "rows of every cluster scored before the first choice; 0 is the paper to the letter")
    reward: Literal["selected", "all_scored"] = param(
        "selected", "the utilities that a cluster is judged by; with take=scored always all"
    )
    clustering: Literal["spherical", "gmm", "dbscan"] = param(
        "spherical", "k-means on the sphere, Gaussian mixture, or DBSCAN"
    )
    k: int | None = param(None, "number of clusters; none: one per thousand rows, within limits")
    elbow: bool = param(False, "also report the number of clusters at the elbow of the inertia; it changes no choice")
    no_sample_utility: bool = param(False, "take random rows of the chosen cluster (ablation; take=cluster)")
    no_mab: bool = param(False, "choose clusters by chance, without warm start (ablation)")

    def __post_init__(self) -> None:
        for each in ("utility_share", "keep", "au_keep", "scored_share", "cadence", "exp3_gamma"):
            if not 0 < getattr(self, each) <= 1:
                raise ValueError(f"{each} must be above 0 and at most 1")
        for each in ("au_gate", "warm_start", "gamma", "warmup_rank", "min_response_tokens"):
            if (getattr(self, each) or 0) < 0:
                raise ValueError(f"{each} must not be negative")
        if self.au_gate >= 1 or self.clusters_per_iteration < 1 or (self.k is not None and self.k < 1):
            raise ValueError("au_gate must be below 1, clusters_per_iteration and k at least 1")
        if self.reference == "base" and self.lg == "reference":
            raise ValueError("reference=base leaves no learning gain: both models would be the same")
        if self.no_sd and self.ce_on_au:
            raise ValueError("no_sd and ce_on_au contradict each other")

"""What each response token of the selected rows is for: cross-entropy, distillation, or nothing (Eq. 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from sftbench import CROSS_ENTROPY, DISTILLATION, MASKED, Ragged

Scope = Literal["global", "sample"]
Ambiguity = Literal["softmax_evidence", "eq4_full", "topk_relu", "entropy", "complement"]
"""The readings of answer uncertainty; `complement` looks at none and distils what is not learnt."""


def largest_within(values: Ragged, share: float, scope: Scope) -> npt.NDArray[np.bool_]:
    """Which are among the `int(share * count)` largest over all lists together, or within each; [total]."""
    from sftbench import largest_share

    if scope == "global":
        return largest_share(values.values, share)
    parts = [largest_share(one, share) for one in values]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.bool_)


@dataclass(frozen=True, kw_only=True)
class LabelRule:
    """Which tokens get which label.

    The best `keep` share by learning gain is learnt (1). Of the rest, those among the `ambiguous_keep`
    most ambiguous in scope, and with at least `evidence_floor` evidence, are distilled (2); the
    others are masked (0). `rest` replaces label 2 (an ablation).
    """

    keep: float = 0.6
    ambiguous_keep: float = 0.6
    scope: Scope = "global"
    evidence_floor: float = -np.inf
    rest: int = DISTILLATION

    def label(self, gain: Ragged, ambiguity: Ragged | None, evidence: Ragged | None) -> Ragged:
        """uint8 labels laid out as `gain`. Without ambiguity every unlearnt token is distilled (released code).

        A token whose gain is not finite has no context to be predicted from, and is masked.
        """
        learnt = largest_within(gain, self.keep, self.scope)
        wanted = np.isfinite(gain.values) & ~learnt
        if ambiguity is not None and evidence is not None:
            wanted &= largest_within(ambiguity, self.ambiguous_keep, self.scope)
            wanted &= evidence.values >= self.evidence_floor
        labels = np.full(len(gain.values), MASKED, dtype=np.uint8)
        labels[wanted] = self.rest
        labels[learnt] = CROSS_ENTROPY
        return Ragged(values=labels, offsets=gain.offsets)

    def thresholds(self, gain: Ragged, ambiguity: Ragged | None) -> dict[str, float | None]:
        """Of a global scope the smallest gain that is learnt and ambiguity that can be distilled, nats."""
        if self.scope != "global":
            return {}
        learnt = gain.values[largest_within(gain, self.keep, self.scope)]
        found: dict[str, float | None] = {"tau_gain": float(learnt.min()) if len(learnt) else None}
        if ambiguity is not None:
            ambiguous = ambiguity.values[largest_within(ambiguity, self.ambiguous_keep, self.scope)]
            found["tau_ambiguity"] = float(ambiguous.min()) if len(ambiguous) else None
        return found


def shares(labels: Ragged) -> dict[str, float]:
    """The share of tokens with each label."""
    counts = np.bincount(labels.values, minlength=3) / max(1, len(labels.values))
    names = {"masked": MASKED, "cross_entropy": CROSS_ENTROPY, "distillation": DISTILLATION}
    return {name: float(counts[label]) for name, label in names.items()}

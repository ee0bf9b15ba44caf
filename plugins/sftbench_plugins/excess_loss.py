"""Per response token, how much more one model loses than another; and which tokens that makes worth training on.

Shared by the methods that train on some tokens of a row and not on others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from sftbench import CROSS_ENTROPY, MASKED, Desk, Json, Pool, Ragged, UsageError

if TYPE_CHECKING:
    from sftbench import LanguageModel

Scope = Literal["global", "sample"]
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenLosses:
    """Losses in nats of the response tokens of some rows, as the trainer sees them: `of[model]` float32 [m] per row.

    A token is NaN where it has nothing before it or a model gave no number; `reasons` says by position among the
    rows why one has no tokens (`empty_response`, `prompt_too_long`), `notes` which have a token without
    a number (`non_finite`) or were truncated (`response_truncated`).
    """

    of: Mapping[str, Ragged]
    reasons: Mapping[int, str]
    notes: Mapping[int, str]

    def excess(self, over: str, *, loss: str = "base") -> Ragged:
        """Loss under one model minus that under another, float64; NaN where either has no number."""
        values = self.of[loss].values.astype(np.float64) - self.of[over].values
        return Ragged(values=values, offsets=self.of[loss].offsets)

    def told(self) -> dict[str, Json]:
        """How many rows have no tokens or a remark, by reason."""
        return {"reasons": _counts(self.reasons), "notes": _counts(self.notes)}


def token_losses(pool: Pool, ids: Sequence[str], desk: Desk, models: Mapping[str, LanguageModel]) -> TokenLosses:
    """One forward pass of each model over these rows, which stream by."""
    from sftbench import Nll, Passage

    found: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in models}
    reasons: dict[int, str] = {}
    notes: dict[int, str] = {}
    with desk.progress(len(ids), "rows") as progress:
        for start in range(0, len(ids), _ROWS_AT_ONCE):
            rows = pool.take([pool.index_of[row_id] for row_id in ids[start : start + _ROWS_AT_ONCE]])
            encoded = list(desk.training_encoding(rows))
            passages = [Passage.conditional(each) for each in encoded]
            for name, model in models.items():
                found[name] += [given["nll"] for given in model.run(passages, statistics=[Nll()])]
            for place, each in enumerate(encoded, start):
                without_context = int(each.response[0]) if len(each.response) else 0
                if each.reason is not None:
                    reasons[place] = each.reason
                elif not all(np.isfinite(found[name][place][without_context:]).all() for name in models):
                    notes[place] = "non_finite"
                elif each.kept_share < 1:
                    notes[place] = "response_truncated"
            progress.advance(len(rows))
    return TokenLosses(of={name: _finite(each) for name, each in found.items()}, reasons=reasons, notes=notes)


def same_tokens(base: LanguageModel, other: LanguageModel, *, who: str) -> LanguageModel:
    """The other model; raises `UsageError` unless it reads the tokens of the base."""
    if base.tokenizer.get_vocab() != other.tokenizer.get_vocab():
        raise UsageError(f"{who}: the scoring model's tokenizer differs from the base model's; give reference=warmup")
    return other


def best_tokens(gain: Ragged, *, keep: float, scope: Scope, at_least: int = 0) -> Ragged:
    """Labels laid out as `gain`: 1 for the `int(keep * count)` tokens of largest gain, 0 for the rest.

    Counted over all rows together (`global`) or in each (`sample`), there `at_least` so many. Of equals the earlier
    (row, position) wins; a token whose gain is not finite neither counts nor is trained.
    """
    from sftbench import largest_share

    if scope == "global":
        kept = largest_share(gain.values, keep)
    else:
        parts = [largest_share(each, keep, at_least=at_least) for each in gain]
        kept = np.concatenate(parts) if parts else np.zeros(0, dtype=np.bool_)
    return Ragged(values=np.where(kept, CROSS_ENTROPY, MASKED).astype(np.uint8), offsets=gain.offsets)


def told_of_labels(labels: Ragged, gain: Ragged) -> dict[str, Json]:
    """Shares and extremes of a labelling, for a report."""
    kept, finite = labels.values == CROSS_ENTROPY, np.isfinite(gain.values)
    trained = [int(each.any()) for each in labels]
    left_out = gain.values[finite & ~kept]
    return {
        "num_tokens": len(kept),
        "num_tokens_without_a_score": int((~finite).sum()),
        "share_kept": float(kept.sum() / max(1, finite.sum())),
        "smallest_gain_kept": float(gain.values[kept].min()) if kept.any() else None,
        "largest_gain_left_out": float(left_out.max()) if len(left_out) else None,
        "num_rows_without_a_kept_token": len(trained) - sum(trained),
    }


def _finite(lists: Sequence[npt.NDArray[np.float32]]) -> Ragged:
    ragged = Ragged.of(lists)
    ragged.values[~np.isfinite(ragged.values)] = np.nan
    return ragged


def _counts(reasons: Mapping[int, str]) -> dict[str, Json]:
    return dict(sorted(Counter(reasons.values()).items()))

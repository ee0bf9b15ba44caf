"""Every exchange of a pool rated by a model: the mean of the digits 1 to 6 under their probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sftbench import Pool, Row
from sftbench_plugins.deita.templates import HIGHEST, Kind, Template
from sftbench_plugins.digits import Expected, digit_tokens, read_digits
from sftbench_plugins.exchanges import Exchange, exchanges

if TYPE_CHECKING:
    from sftbench import LanguageModel, Progress

Floats = npt.NDArray[np.float64]
FALLBACK = 3.0
"""What the authors' code says when its server gives no answer."""
_ROWS_AT_ONCE = 256


@dataclass(kw_only=True, eq=False)
class Rated:
    """Ratings of all exchanges of a pool, row after row.

    `ratings` and `masses` [e] are the rating of each exchange (NaN where there is none) and the
    probability that its model gave to the six digits together; `counts` [n] exchanges belong to each row.
    """

    ratings: list[Floats] = field(default_factory=list)
    masses: list[Floats] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)
    notes: dict[int, set[str]] = field(default_factory=dict)

    def by_exchange(self) -> tuple[Floats, Floats]:
        """Ratings and masses, [e] each."""
        none = [np.empty(0)]
        return np.concatenate(none + self.ratings), np.concatenate(none + self.masses)


def expectation(log_probs: Floats) -> tuple[Floats, Floats]:
    """Sum of s times softmax over the digits alone, and the digits' whole probability: [n, 6] -> [n], [n].

    Softmax over six log-probabilities is softmax over the six logits. NaN where no digit is possible.
    """
    mass = np.exp(log_probs).sum(1)
    with np.errstate(invalid="ignore"):
        # The largest is taken out first, so that digits of next to no probability are told apart as well.
        weights = np.exp(log_probs - log_probs.max(1, keepdims=True))
        ratings: Floats = weights @ np.arange(1, log_probs.shape[1] + 1) / weights.sum(1)
    return ratings, mass


@dataclass(frozen=True, kw_only=True)
class Rater:
    """A model that rates by a template. `official` keeps answers whole and gives 3.0 where they do not fit."""

    kind: Kind
    model: LanguageModel
    template: Template
    official: bool
    log: Callable[[str], None]

    def rate(self, pool: Pool, progress: Progress) -> Rated:
        """Every exchange of every row; a row without an answer has no rating and a reason.

        Raises `UsageError` when a digit is not one token for the model.
        """
        token_ids = digit_tokens(self.model, HIGHEST)
        rated = Rated()
        for rows in pool.batches(_ROWS_AT_ONCE):
            self._batch(rows, token_ids, rated)
            progress.advance(len(rows))
        return rated

    def _batch(self, rows: Sequence[Row], token_ids: tuple[int, ...], rated: Rated) -> None:
        owners = [(row, exchange) for row, each in enumerate(rows, len(rated.counts)) for exchange in exchanges(each)]
        asked = [at for at, (row, exchange) in enumerate(owners) if self._is_asked(row, exchange, rated)]
        for row, each in enumerate(rows, len(rated.counts)):
            rated.counts.append(len(exchanges(each)))
            if not rated.counts[-1]:
                rated.reasons[row] = "empty_response"
        prompts = [self.template.prompt(owners[at][1]) for at in asked]
        found = read_digits(self.model, prompts, token_ids, log=self.log)
        ratings, masses = np.full(len(owners), np.nan), np.full(len(owners), np.nan)
        ratings[asked], masses[asked] = expectation(found.log_probs)
        for at, place in enumerate(asked):
            ratings[place] = self._settled(at, owners[place][0], found, float(ratings[place]), rated)
        rated.ratings.append(ratings)
        rated.masses.append(masses)

    def _is_asked(self, row: int, exchange: Exchange, rated: Rated) -> bool:
        """Whether there is anything to rate; an answer to nothing is rated, and noted."""
        if self.kind == "complexity":
            rated_text, reason = exchange.query, "empty_instruction"
        else:
            rated_text, reason = exchange.response, "empty_response"
            if not exchange.query.strip():
                rated.notes.setdefault(row, set()).add("empty_instruction")
        if not rated_text.strip():
            rated.reasons.setdefault(row, reason)
        return bool(rated_text.strip())

    def _settled(self, at: int, row: int, found: Expected, rating: float, rated: Rated) -> float:
        """The rating of the prompt `at`; why it has none, or what is to be remarked, goes to its row."""
        if self.official and (found.cut[at] or found.reasons.get(at) == "prompt_too_long"):
            rated.notes.setdefault(row, set()).add("fallback_score")
            return FALLBACK
        if at in found.reasons or not np.isfinite(rating):
            rated.reasons.setdefault(row, found.reasons.get(at, "non_finite"))
        elif found.cut[at]:
            rated.notes.setdefault(row, set()).add("response_truncated")
        return rating

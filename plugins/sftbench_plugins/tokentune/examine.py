"""What the two models say about the response tokens of the rows that were looked into, and nothing about the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from sftbench_plugins.tokentune.utility import Losses

if TYPE_CHECKING:
    from sftbench import Desk, Encoded, LanguageModel, Pool, Statistic
    from sftbench_plugins.tokentune.noise import EmbeddingNoise

Floats = npt.NDArray[np.float32]
_ROWS_AT_ONCE = 2048


class Utility(Protocol):
    def __call__(self, base: Losses, gain: Losses) -> float:
        """The utility of a sample from its tokens' base losses and learning gains, [m] each, nats."""
        ...


class Yardstick(Protocol):
    """What the learning gain is measured against."""

    def losses(self, encoded: Sequence[Encoded], rows: npt.NDArray[np.int64], base: Sequence[Losses]) -> list[Losses]:
        """For each row the losses to subtract from those of the base, [m]."""
        ...


@dataclass(frozen=True, kw_only=True)
class ReferenceModel:
    """The losses of a second model: the gain is what it learnt beyond the base."""

    model: LanguageModel

    def losses(self, encoded: Sequence[Encoded], rows: npt.NDArray[np.int64], base: Sequence[Losses]) -> list[Losses]:
        """As `Yardstick`."""
        return [given["nll"] for given in forward(self.model, encoded)]


@dataclass(frozen=True, kw_only=True)
class PerturbedBase:
    """The base against itself under embedding noise: the gain is the loss that the noise adds (ablation LDP)."""

    model: LanguageModel
    noise_seed: int
    alpha: float

    def losses(self, encoded: Sequence[Encoded], rows: npt.NDArray[np.int64], base: Sequence[Losses]) -> list[Losses]:
        """As `Yardstick`; clean minus (perturbed minus clean)."""
        from sftbench_plugins.tokentune.noise import EmbeddingNoise

        noise = EmbeddingNoise(seed=self.noise_seed, alpha=self.alpha, rows=tuple(int(row) for row in rows))
        perturbed = forward(self.model, encoded, perturb=noise)
        return [2 * clean - given["nll"].mean(axis=0) for clean, given in zip(base, perturbed, strict=True)]


def forward(
    model: LanguageModel,
    encoded: Sequence[Encoded],
    *,
    also: Statistic | None = None,
    perturb: EmbeddingNoise | None = None,
) -> Iterator[dict[str, Losses]]:
    """Per row the negative log-likelihood `nll` of each response token, float64 [m] nats, and one further statistic."""
    from sftbench import Nll, Passage

    statistics: list[Statistic] = [Nll()] if also is None else [Nll(), also]
    passages = [Passage.conditional(each) for each in encoded]
    for given in model.run(passages, statistics=statistics, perturb=perturb):
        yield {name: values.astype(np.float64) for name, values in given.items()}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tokens:
    """One row's response tokens, float32 [m] each; NaN where a token has no context."""

    gain: Floats
    ambiguity: Floats | None
    evidence: Floats | None


class Examiner:
    """Runs the models over rows when asked, and keeps what labelling will need.

    `tokens` has the rows that can be chosen by pool position, `reasons` the others that were looked at.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        desk: Desk,
        base: LanguageModel,
        yardstick: Yardstick,
        utility: Utility,
        statistic: Statistic | None,
        min_tokens: int,
    ) -> None:
        self.pool, self.desk, self.base, self.yardstick = pool, desk, base, yardstick
        self.utility, self.statistic, self.min_tokens = utility, statistic, min_tokens
        self.tokens: dict[int, Tokens] = {}
        self.reasons: dict[int, str] = {}

    def __call__(self, rows: npt.NDArray[np.int64]) -> Losses:
        """The utility of each row; NaN for one that cannot be chosen, with its reason in `reasons`."""
        utilities = np.full(len(rows), np.nan)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            utilities[start : start + _ROWS_AT_ONCE] = self._examine(rows[start : start + _ROWS_AT_ONCE])
        return utilities

    def counts(self) -> dict[str, int]:
        """How many of the rows looked at were left out, by reason."""
        return dict(sorted(Counter(self.reasons.values()).items()))

    def _examine(self, rows: npt.NDArray[np.int64]) -> Losses:
        encoded = list(self.desk.training_encoding(self.pool.take([int(row) for row in rows])))
        utilities = np.full(len(rows), np.nan)
        usable = []
        for place, each in enumerate(encoded):
            reason = self._unusable(each)
            if reason is None:
                usable.append(place)
            else:
                self.reasons[int(rows[place])] = reason
        passing = [encoded[place] for place in usable]
        given = list(forward(self.base, passing, also=self.statistic)) if passing else []
        base = [one["nll"] for one in given]
        against = self.yardstick.losses(passing, rows[usable], base) if passing else []
        for place, one, other in zip(usable, given, against, strict=True):
            utilities[place] = self._weigh(int(rows[place]), encoded[place], one, other)
        return utilities

    def _unusable(self, encoded: Encoded) -> str | None:
        if encoded.reason is not None:
            return encoded.reason
        with_context = int(encoded.response.sum()) - int(encoded.response[0])
        return "too_few_tokens" if with_context < max(1, self.min_tokens) else None

    def _weigh(self, row: int, encoded: Encoded, given: dict[str, Losses], against: Losses) -> float:
        first = int(encoded.response[0])
        base, gain = given["nll"], given["nll"] - against
        uncertain = given[self.statistic.name] if self.statistic is not None else None
        if not all(np.isfinite(part[first:]).all() for part in (base, gain, uncertain) if part is not None):
            self.reasons[row] = "non_finite"
            return float("nan")
        gain[:first] = np.nan
        self.tokens[row] = Tokens(
            gain=gain.astype(np.float32),
            ambiguity=None if uncertain is None else uncertain[:, 0].astype(np.float32),
            evidence=None if uncertain is None else uncertain[:, 1].astype(np.float32),
        )
        return self.utility(base[first:], gain[first:])

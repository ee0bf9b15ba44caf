"""Ratings corrected by those of neighbours: how ratings err, who is mistaken, and what the rating should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sftbench import Json
from sftbench_plugins.ds2.curation import Curated, Tally, corruption, decide, flagged, votes
from sftbench_plugins.ds2.neighbours import Neighbours
from sftbench_plugins.ds2.transition import NUM_CLASSES, ORDER, Consensus, Transition, fit

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
_SHARE_SAMPLED = 0.9


class Chance(Protocol):
    """What draws: both of numpy's generators."""

    def choice(self, a: int, size: int, replace: bool) -> Labels:
        """Distinct numbers below `a`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Curation:
    """How ratings are corrected; the defaults are those of the authors' code.

    `official` takes where the fit ends, in place of the best that it met.
    """

    num_rounds: int = 50
    num_epochs: int = 51
    num_neighbours: int = 10
    sample_size: int = 50000
    least_confidence: float = 0.5
    official: bool = False

    def run(
        self,
        ratings: Labels,
        neighbours: Neighbours,
        *,
        chance: Chance,
        prior_logits: Floats,
        advance: Callable[[], None] = lambda: None,
    ) -> Outcome:
        """Correct classes [n]. Ratings stay as they are, with the status `curation_skipped`, when there are fewer than
        four rows or all have one class."""
        sample_size = min(self.sample_size, int(_SHARE_SAMPLED * len(neighbours)))
        shares = np.bincount(ratings, minlength=NUM_CLASSES) / max(1, len(ratings))
        if sample_size < ORDER or (shares > 0).sum() < 2:
            return Outcome(status="curation_skipped", ratings=ratings, report={"sample_size": sample_size})
        consensus: Consensus | None = None
        for _ in range(self.num_rounds):
            sample = chance.choice(len(neighbours), sample_size, replace=False)
            seen = Consensus.of(ratings[neighbours.within(sample, ORDER)[0]])
            consensus = seen if consensus is None else consensus.plus(seen)
            advance()
        assert consensus is not None
        consensus = consensus.over(self.num_rounds)
        transition = fit(consensus, prior_logits=prior_logits, keep_best=not self.official)
        rates = transition.noise_rates(shares)
        num_neighbours = min(self.num_neighbours, sample_size)
        tally = Tally.empty(len(ratings))
        for _ in range(self.num_epochs):
            sample = chance.choice(len(neighbours), sample_size, replace=False)
            near, distances = neighbours.within(sample, num_neighbours)
            rows = sample % len(ratings)
            voted = votes(ratings[near], distances)
            bad = flagged(corruption(voted, ratings[rows]), ratings[rows], rates)
            tally.add(rows, bad, voted.argmax(1).astype(np.int64))
            advance()
        curated = decide(tally, ratings, least_confidence=self.least_confidence)
        return Outcome(
            status="curated",
            ratings=curated.ratings,
            curated=curated,
            report={
                "sample_size": sample_size,
                "num_neighbours": num_neighbours,
                "agreement_with_nearest": float(np.trace(consensus.second)),
                **_told(transition, rates),
                "num_flagged": int(curated.is_flagged.sum()),
                "num_replaced": int((curated.ratings != ratings).sum()),
            },
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """`ratings` [n] after correction, and how they came about; `curated` is None where nothing was corrected."""

    status: str
    ratings: Labels
    curated: Curated | None = None
    report: dict[str, Json] = field(default_factory=dict)


def _told(transition: Transition, rates: Floats) -> dict[str, Json]:
    return {
        "transition": np.round(transition.matrix, 4).tolist(),
        "true_class_shares": np.round(transition.prior, 4).tolist(),
        "noise_rates": [None if np.isnan(rate) else round(float(rate), 4) for rate in rates],
        "misfit": transition.loss,
    }

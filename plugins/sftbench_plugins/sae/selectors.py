"""The selectors `sae-greedy` and `sae-simscale`: rows by the features that they add."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Allowance, Desk, Needs, Pool, Ragged, Scores, Selection, UsageError, param

if TYPE_CHECKING:
    from sftbench_plugins.sae.cover import Progress

Rows = npt.NDArray[np.int64]
Order = Literal["features", "length", "random"]


@dataclass(frozen=True, kw_only=True)
class SaeGreedy:
    """SAE-GreedSelect (arXiv 2502.14050): always the row with most features that no chosen row has."""

    name: ClassVar[str] = "sae-greedy"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    reset: Literal["clear", "stop", "simscale"] = param(
        "clear", "when nothing new is left: begin anew, choose no more, or go on with sae-simscale"
    )
    rho: float = param(0.8, "share of known features below which reset=simscale takes a row")

    def __post_init__(self) -> None:
        _check(self.rho)

    def needs(self) -> Needs:
        return Needs()

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Raises `UsageError` without the features of the scorer `sae-features`."""
        from sftbench_plugins.sae.cover import Progress, greedy_cover, unlike

        given = _Given.of(scores, desk, self.name)
        progress = Progress()

        def ranking() -> Iterator[int]:
            taken = np.zeros(len(pool), dtype=np.bool_)
            resets = self.reset == "clear"
            cover = greedy_cover(given.features, given.rows, given.num_latents, resets=resets, progress=progress)
            for row in cover:
                taken[row] = True
                yield row
            if self.reset == "simscale":
                order = given.ordered("features", desk)
                yield from unlike(
                    given.features,
                    order[~taken[order]],
                    given.num_latents,
                    below=self.rho,
                    likeness="coverage_ratio",
                    resets=True,
                    progress=progress,
                )

        return given.selection(pool, ranking(), allowance, progress, last=self.reset != "stop")


@dataclass(frozen=True, kw_only=True)
class SaeSimscale:
    """SAE-SimScale (arXiv 2502.14050): rows in order whose features are not mostly those of chosen rows."""

    name: ClassVar[str] = "sae-simscale"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    order: Literal["features", "length", "random"] = param(
        "features", "rows are looked at by number of features, response length, or by lot"
    )
    sim: Literal["coverage_ratio", "max_jaccard"] = param(
        "coverage_ratio", "likeness: share of features that chosen rows have, or largest Jaccard index with one"
    )
    rho: float = param(0.8, "likeness below which a row is taken")
    reset: Literal["clear", "stop"] = param("clear", "when all rows were looked at: begin anew, or choose no more")

    def __post_init__(self) -> None:
        _check(self.rho)

    def needs(self) -> Needs:
        return Needs()

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Raises `UsageError` without the features of the scorer `sae-features`."""
        from sftbench_plugins.sae.cover import Progress, unlike

        given = _Given.of(scores, desk, self.name)
        progress = Progress()
        ranking = unlike(
            given.features,
            given.ordered(self.order, desk),
            given.num_latents,
            below=self.rho,
            likeness=self.sim,
            resets=self.reset == "clear",
            progress=progress,
        )
        return given.selection(pool, ranking, allowance, progress, last=self.reset != "stop")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Given:
    """Features of all rows, and the rows that may be chosen: scored, with something to train on."""

    features: Ragged
    rows: Rows
    num_latents: int
    num_unscored: int
    num_untrainable: int

    @classmethod
    def of(cls, scores: Scores | None, desk: Desk, selector: str) -> _Given:
        features = None if scores is None else scores.columns.get("features")
        if scores is None or not isinstance(features, Ragged):
            raise UsageError(
                f"selector '{selector}' chooses by features; a method that uses it has the scorer 'sae-features'"
            )
        scored, trainable = np.isfinite(scores.values), desk.training_tokens() > 0
        return cls(
            features=features,
            rows=np.flatnonzero(scored & trainable),
            num_latents=int(features.values.max(initial=-1)) + 1,
            num_unscored=int((~scored).sum()),
            num_untrainable=int((scored & ~trainable).sum()),
        )

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        sizes: npt.NDArray[np.int64] = np.diff(self.features.offsets)
        return sizes

    def ordered(self, order: Order, desk: Desk) -> Rows:
        """The rows that may be chosen, most features or longest response first (equals as in the pool), or by lot."""
        if order == "random":
            return np.random.default_rng(desk.seed).permutation(self.rows)
        key = self.sizes if order == "features" else desk.response_lengths()
        return self.rows[np.argsort(-key[self.rows], kind="stable")]

    def selection(
        self, pool: Pool, ranking: Iterator[int], allowance: Allowance, progress: Progress, *, last: bool
    ) -> Selection:
        """As much of the ranking as fits, with the new features of each row as scores; `last` adds featureless rows."""
        featureless = self.rows[self.sizes[self.rows] == 0]
        rest = chain(ranking, featureless.tolist() if last else [])
        chosen = allowance.take(rest)
        is_short = allowance.pays_for_more(chosen) and next(rest, None) is None
        gains = np.zeros(len(chosen))
        num_gains = min(len(chosen), len(progress.gains))
        gains[:num_gains] = progress.gains[:num_gains]
        of_chosen = [self.features[row] for row in chosen.tolist()]
        covered = len(np.unique(np.concatenate(of_chosen))) if of_chosen else 0
        num_features = len(np.unique(self.features.values))
        return Selection(
            ids=tuple(pool.ids[row] for row in chosen),
            scores=gains,
            status="short" if is_short else "full",
            report={
                "num_resets": progress.num_resets,
                "features": covered,
                "coverage": covered / max(1, num_features),
                "mean_features": float(self.sizes[chosen].mean()) if len(chosen) else 0.0,
                "pool_mean_features": float(self.sizes[self.rows].mean()) if len(self.rows) else 0.0,
                "num_rows": {
                    "eligible": len(self.rows),
                    "no_features": len(featureless),
                    "unscored": self.num_unscored,
                    "nothing_to_train": self.num_untrainable,
                },
            },
        )


def _check(rho: float) -> None:
    if not 0 < rho <= 1:
        raise ValueError(f"rho lies above 0 and up to 1, not {rho:g}")

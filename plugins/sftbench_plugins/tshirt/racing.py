"""The selector `tshirt-race`: the choice of T-SHIRT with noisy copies only where they may still change it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from sftbench import Allowance, Desk, Json, Needs, PassRequest, Pool, Row, Scores, Selection, UsageError, param
from sftbench_plugins.tshirt.clean import CleanPasses
from sftbench_plugins.tshirt.copies import differences, selective_ifd
from sftbench_plugins.tshirt.measure import Stock, take_stock
from sftbench_plugins.tshirt.pilot import Deltas, IndexArray, pilot_rows, pilot_threshold
from sftbench_plugins.tshirt.race import FIRST_DRAWS, Bet, Chances, Race, Runners

if TYPE_CHECKING:
    from sftbench import LanguageModel
    from sftbench_plugins.tshirt.reading import Reading

_GIVEN, _ALONE = PassRequest(view="conditional"), PassRequest(view="response_only")
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class Racing:
    """The choice of T-SHIRT, with noisy copies drawn only for rows that can still be chosen or lose their place.

    Its two stages (arXiv 2506.01317, sec. 3.2) as a race. The copies are those of the scorer `tshirt`, and a row
    that stays in doubt gets all of them. It stops when the choice is expected to differ from that of the exact
    form, with the same noise, by at most `tolerance` times what the exact form itself would choose otherwise with
    another seed: at most 1 means that it agrees with the exact choice at least as well as two exact ones agree.
    What stands behind "expected", and what is heuristic: `sftbench_plugins.tshirt.race.Race`. Needs no scores.
    """

    name: ClassVar[str] = "tshirt-race"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    mode: Literal["paper"] = param("paper", "the authors' code draws all copies: mode=official has no race")
    tolerance: float = param(0.5, "the race ends when it is expected to err by this part of what another seed changes")
    gamma: float = param(2.0, "how many times the budget survive the first stage")
    keep: float = param(0.5, "share of the pool's tokens that counts as informative (the paper's k)")
    alpha: float = param(5.0, "noise scale; the noise is alpha / sqrt(L d) times uniform(-1, 1)")
    num_draws: int = param(30, "noisy copies of a row that stays in doubt")
    max_length: int = param(1024, "tokens of prompt and response; the response is cut")
    dtype: Literal["auto", "float32", "bfloat16"] = param("auto", "auto is float32")

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1 or not self.gamma >= 1 or not 0 <= self.tolerance <= 1:
            raise ValueError("keep must be above 0 and at most 1, gamma at least 1, tolerance between 0 and 1")
        if self.num_draws < 1 or self.max_length < 2 or self.alpha < 0:
            raise ValueError("num_draws must be at least 1, max_length at least 2, alpha not negative")

    def needs(self) -> Needs:
        """The clean passes, which other methods use too, and the model for the noisy ones."""
        return Needs(passes=(_GIVEN, _ALONE), language_models=("scoring",))

    @property
    def passes_over_pool(self) -> float:
        """About a tenth of the copies, with the prompt and without (as measured at a budget of 5 %)."""
        return 2.0 * self.num_draws / 10

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Ids by rising expected std of S-IFD; `scores` of the selection are the expected means. No scores are read."""
        if len(set(pool.ids)) < len(pool):
            raise UsageError("the pool has the same id twice; T-SHIRT seeds its noise by id")
        model = desk.language_model("scoring", dtype="float32" if self.dtype == "auto" else self.dtype)
        copies = Copies(pool=pool, desk=desk, model=model, alpha=self.alpha, max_length=self.max_length)
        stock = take_stock(copies.readings(pool), num_rows=len(pool))
        clean = CleanDeltas(CleanPasses(desk.passed(_GIVEN), desk.passed(_ALONE)), stock)
        rng = np.random.default_rng([desk.seed, 0x7ACE])
        pilot = dict(copies(pilot_rows(clean.rows(), rng), 0, min(FIRST_DRAWS, self.num_draws)))
        threshold, clean_threshold = pilot_threshold(
            clean,
            clean.rows(),
            {row: deltas for row, deltas in pilot.items() if np.isfinite(deltas).all()},
            num_values=int(stock.num_tokens.sum()),
            percent=100 * (1 - self.keep),
            folder=desk.scratch,
        )
        race = Race(
            runners=clean.runners(threshold),
            ask=copies,
            threshold=threshold,
            allowance=allowance,
            gamma=self.gamma,
            num_draws=self.num_draws,
            tolerance=self.tolerance,
            rng=rng,
            log=desk.log,
        )
        race.start(pilot)
        thresholds: dict[str, Json] = {
            "tau_nats": float(threshold) if len(pilot) else None,
            "clean_tau_nats": float(clean_threshold) if len(pilot) else None,
        }
        return _selection(pool, race, *race.run(), stock=stock, report=thresholds)


def _selection(
    pool: Pool, race: Race, bet: Bet, chances: Chances, *, stock: Stock, report: Mapping[str, Json]
) -> Selection:
    """The rows of the bet, steadiest first, and what the race has to tell."""
    rows = bet.rows[np.argsort(chances.std[bet.rows], kind="stable")]
    spent = float(race.allowance.row_costs[rows].sum())
    short = chances.short > 0.5 and spent < race.allowance.cap * (1 - 1e-12)
    num_draws = race.runners.num_draws
    reasons = {**stock.reasons, **race.runners.reasons}
    return Selection(
        ids=tuple(pool.ids[row] for row in rows),
        scores=chances.mean[rows],
        status="short" if short else "full",
        report={
            "num_rows": len(pool),
            "num_unscored": len(reasons),
            "reasons": dict(sorted(Counter(reasons.values()).items())),
            "num_selected": len(rows),
            "expected_agreement": round(1 - bet.doubt, 4),
            "expected_agreement_of_another_seed": round(1 - chances.by_noise, 4),
            "share_of_copies": int(num_draws.sum()) / max(1, race.num_draws * int((stock.num_tokens > 0).sum())),
            "num_rows_with_all_copies": int((num_draws == race.num_draws).sum()),
            **report,
            "rounds": race.rounds,
        },
    )


@dataclass(frozen=True, kw_only=True)
class Copies:
    """The noisy copies of rows of a pool, when asked for; those of a row are the same as in the exact form."""

    pool: Pool
    desk: Desk
    model: LanguageModel
    alpha: float
    max_length: int

    def __call__(self, rows: IndexArray, first: int, last: int) -> Iterator[tuple[int, Deltas]]:
        """Position and Delta [last - first, k] of each of these rows, which all have tokens to be scored."""
        from sftbench_plugins.tshirt.losses import noisy_losses
        from sftbench_plugins.tshirt.noise import PairedNoise, PerRow

        source = PerRow(seed=self.desk.seed, num_draws=last, dtype=self.model.model.dtype, first=first)
        noise = PairedNoise(source, alpha=self.alpha)
        with self.desk.progress(len(rows), "rows") as progress:
            for place, losses in noisy_losses(self.readings(self._taken(rows)), self.model, noise):
                yield int(rows[place]), differences(losses)
                progress.advance()

    def readings(self, rows: Iterable[Row]) -> Iterator[Reading]:
        """Rows as the pairs of passages that the exact form has too."""
        from sftbench_plugins.tshirt.reading import read_by_offsets

        return read_by_offsets(rows, self.model.tokenizer, max_length=min(self.max_length, self.model.max_length))

    def _taken(self, rows: IndexArray) -> Iterator[Row]:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            yield from self.pool.take(rows[start : start + _ROWS_AT_ONCE])


class CleanDeltas:
    """Delta of each row's clean copy, float32 [1, k], from the shared passes; one that is not finite is refused."""

    def __init__(self, passes: CleanPasses, stock: Stock) -> None:
        self._passes, self._stock = passes, stock
        for row in self.rows():
            if not np.isfinite(self(int(row))).all():
                stock.refuse(int(row), "non_finite")

    def __call__(self, row: int) -> Deltas:
        # The shared pass may have the larger window.
        return differences(self._passes.losses(row))[:, : self._stock.num_tokens[row]]

    def rows(self) -> IndexArray:
        """Positions of the rows that take part."""
        return np.flatnonzero(self._stock.num_tokens)

    def runners(self, threshold: np.float64) -> Runners:
        """Every row at the start: S-IFD and IFD without noise; S-IFD 1 where no clean token is informative."""
        sifd, ifd = np.ones(len(self._stock.num_tokens)), np.ones(len(self._stock.num_tokens))
        for row in self.rows():
            deltas = self(int(row))
            with np.errstate(over="ignore"):
                sifd[row] = selective_ifd(deltas, threshold).values[0]
                ifd[row] = np.exp(deltas.mean(dtype=np.float64))
            if not (np.isfinite(sifd[row]) and np.isfinite(ifd[row]) and sifd[row] > 0 and ifd[row] > 0):
                self._stock.refuse(int(row), "non_finite")
        return Runners(clean_sifd=sifd, clean_ifd=ifd, num_tokens=self._stock.num_tokens)

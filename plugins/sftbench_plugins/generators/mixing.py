"""Generated rows with real ones: how many of each, which, and where they stand, so that draws are nested.

With `replace`, slot i of the n slots holds generated row i or real row n-1-i: a larger share turns slots from real to
generated and moves none, so that whoever chooses slots by chance chooses nested sets too. With `additive` the real
rows come first and stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sftbench import Pool, Row, UsageError
from sftbench_plugins.generators.chance import shuffled
from sftbench_plugins.generators.settings import Settings


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """What a pool is made of. `real` are positions of the real rows, in the order drawn."""

    real: npt.NDArray[np.int64]
    num_generated: int
    num_wanted: int
    known: npt.NDArray[np.int64]
    """Positions of the rows that a generator may look at: with `additive`, those that are in the mixture."""
    real_first: bool

    @classmethod
    def planned(cls, settings: Settings, num_pool_rows: int, seed: int) -> Mixture:
        """Raises `UsageError` naming how many real rows are missing (replace); `additive` then takes what there is."""
        order = shuffled(num_pool_rows, seed, "mixing")
        if settings.mixing == "additive":
            num_real = num_pool_rows if settings.num_real is None else settings.num_real
            num_generated = round(settings.generated_share * (settings.num_rows or num_real or num_pool_rows))
            real = order[:num_real]
            return cls(
                real=real, num_generated=num_generated, num_wanted=num_real + num_generated,
                known=real if len(real) else order, real_first=True,
            )  # fmt: skip
        num_rows = settings.num_rows or num_pool_rows
        num_generated = round(settings.generated_share * num_rows)
        num_missing = num_rows - num_generated - num_pool_rows
        if num_missing > 0:
            raise UsageError(
                f"num_rows={num_rows} with generated_share={settings.generated_share:g} takes "
                f"{num_rows - num_generated} real rows, {num_missing} more than the pool has; raise the share, lower "
                "num_rows, or use mixing=additive"
            )
        return cls(
            real=order[: num_rows - num_generated], num_generated=num_generated, num_wanted=num_rows, known=order,
            real_first=False,
        )  # fmt: skip

    def rows(self, generated: Iterable[Row], pool: Pool) -> Iterator[Row]:
        """All rows in their slots, streaming."""
        if self.real_first:
            yield from _at(pool, self.real)
        yield from generated
        if not self.real_first:
            yield from _at(pool, self.real[::-1])


def _at(pool: Pool, positions: npt.NDArray[np.int64]) -> Iterator[Row]:
    for start in range(0, len(positions), 1024):
        yield from pool.take(positions[start : start + 1024])

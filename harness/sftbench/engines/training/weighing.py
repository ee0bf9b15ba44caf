"""What the tokens of one optimiser step weigh, where that is settled at the step and not before.

A pure function of the rows of the global batch and their losses, so that every process comes to the same weights
however the batch is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sftbench.engines.shares import largest_share
from sftbench.engines.training.rows import TrainingRow
from sftbench.engines.training.settings import Weighing

Floats = npt.NDArray[np.float32]


def weighed(
    rows: Sequence[TrainingRow], weighing: Weighing, losses: Sequence[Floats] | None = None
) -> list[TrainingRow]:
    """The rows of a global batch, in its order, with the weights that they have in this step.

    `losses` float32 [L] per row are the present losses of the model in training, where `weighing.live`.
    """
    made = list(rows) if weighing.keep is None else _best_tokens(rows, weighing, losses)
    return made if weighing.rows_per_mean is None else _means_of_groups(made, weighing.rows_per_mean)


def _best_tokens(rows: Sequence[TrainingRow], weighing: Weighing, losses: Sequence[Floats] | None) -> list[TrainingRow]:
    assert weighing.keep is not None
    merits = [np.zeros(len(row), dtype=np.float32) if row.merits is None else row.merits for row in rows]
    if losses is not None:
        merits = [merit + loss for merit, loss in zip(merits, losses, strict=True)]
    candidates = [row.ce_weights > 0 for row in rows]
    if weighing.scope == "batch":
        kept = largest_share(np.concatenate(merits), weighing.keep, at_least=1, among=np.concatenate(candidates))
        parts = np.split(kept, np.cumsum([len(row) for row in rows])[:-1])
    else:
        parts = [
            largest_share(merit, weighing.keep, at_least=1, among=among)
            for merit, among in zip(merits, candidates, strict=True)
        ]
    return [replace(row, ce_weights=row.ce_weights * part) for row, part in zip(rows, parts, strict=True)]


def _means_of_groups(rows: Sequence[TrainingRow], size: int) -> list[TrainingRow]:
    """Weights that add up to 1 over each group of rows, for either term; a group without a token has no part."""
    made: list[TrainingRow] = []
    for start in range(0, len(rows), size):
        group = rows[start : start + size]
        ce = np.float32(sum(float(row.ce_weights.sum()) for row in group) or 1)
        kd = np.float32(sum(float(row.kd_weights.sum()) for row in group) or 1)
        made += [replace(row, ce_weights=row.ce_weights / ce, kd_weights=row.kd_weights / kd) for row in group]
    return made

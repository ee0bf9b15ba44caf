"""The utility of a row from the losses seen in training: its loss, what one more step would take off it, smoothed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

FLAT = 1e-8
"""Below this denominator every mixture of the two steps is alike."""


def best_mixture(earlier: Values, latest: Values, *, cosine: Values) -> Values:
    """The beta that minimises `predicted_drop`, elementwise: (d_l - a) / (d_e + d_l - 2a), a = sqrt(d_e d_l) cos.

    `earlier` and `latest` are drops of the loss, not negative. Where that is undefined, 0.5.
    """
    shared = np.sqrt(earlier * latest) * cosine
    denominator = earlier + latest - 2 * shared
    flat = np.abs(denominator) < FLAT
    return np.where(flat, 0.5, (latest - shared) / np.where(flat, 1.0, denominator))


def predicted_drop(earlier: Values, latest: Values, *, cosine: Values, beta: Values) -> Values:
    """beta^2 d_e + (1 - beta)^2 d_l + 2 beta (1 - beta) sqrt(d_e d_l) cos: the drop that a mixture of both brings."""
    shared = np.sqrt(earlier * latest) * cosine
    return beta**2 * earlier + (1 - beta) ** 2 * latest + 2 * beta * (1 - beta) * shared


@dataclass(kw_only=True)
class Utilities:
    """Utilities of all rows, and what is remembered of their losses; every array is float64 [n].

    `values` begins as the loss under the base. A row that is trained on is updated with the loss L seen there:
    U <- (1 - b) (L - drop) + b U, where drop is predicted from the last two drops of that row's loss
    (with `weigh="present"`, b and 1 - b change places). Rows that were not trained on keep theirs.
    """

    values: Values
    smoothing: float = 0.1
    cosine: float = 0.0
    weigh: Literal["past", "present"] = "past"

    def __post_init__(self) -> None:
        self.losses = self.values.copy()
        self.drops: Values = np.full(len(self.values), np.nan)

    def update(self, rows: npt.NDArray[np.int64], losses: Values) -> float:
        """Take in the losses of rows; the mean by which their utility fell (0 when no loss is a number).

        A loss that is not finite makes the utility NaN: the row is set aside.
        """
        before, earlier = self.values[rows], self.drops[rows]
        latest = np.maximum(self.losses[rows] - losses, 0.0)
        # With one drop known, both steps are the same step.
        alone = np.isnan(earlier)
        earlier, cosine = np.where(alone, latest, earlier), np.where(alone, 1.0, self.cosine)
        beta = best_mixture(earlier, latest, cosine=cosine)
        expected = losses - predicted_drop(earlier, latest, cosine=cosine, beta=beta)
        of_past = self.smoothing if self.weigh == "past" else 1 - self.smoothing
        after = (1 - of_past) * expected + of_past * before
        self.values[rows], self.losses[rows], self.drops[rows] = after, losses, latest
        fell = (before - after)[np.isfinite(after)]
        return float(fell.mean()) if len(fell) else 0.0

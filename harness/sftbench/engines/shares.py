"""Which values of many are among the largest: the one rule by which tokens are kept."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def largest_share(
    values: npt.NDArray[np.floating], share: float, *, at_least: int = 0, among: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.bool_]:
    """Which of the values [N] are among the `int(share * count)` largest; of equals the earlier wins.

    Counted and kept are finite values, and with `among` [N] those alone that it marks. `at_least` so many
    are kept where there are as many.
    """
    eligible = np.isfinite(values) if among is None else np.isfinite(values) & among
    count = int(eligible.sum())
    wanted = min(count, max(at_least, int(share * count)))
    kept = np.zeros(len(values), dtype=np.bool_)
    if wanted == 0:
        return kept
    threshold = np.partition(values[eligible], -wanted)[-wanted]
    np.greater(values, threshold, out=kept, where=eligible)
    equal = np.flatnonzero(eligible & (values == threshold))
    kept[equal[: wanted - int(kept.sum())]] = True
    return kept

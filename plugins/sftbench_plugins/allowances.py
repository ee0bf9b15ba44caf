"""When a selection is short: shared by selectors that rank rows and take the best of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sftbench import Allowance


def is_short(allowance: Allowance, chosen: npt.NDArray[np.int64], num_eligible: int) -> bool:
    """Every eligible row was taken, and what is left would have paid for one that is not eligible."""
    left = np.delete(allowance.row_costs, chosen)
    room = allowance.cap - float(allowance.row_costs[chosen].sum())
    return len(chosen) == num_eligible and bool(len(left)) and room >= float(left[left > 0].min(initial=np.inf))

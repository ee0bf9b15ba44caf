"""Orders drawn by chance."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from sftbench import Desk


def permutation(count: int, seed: int, purpose: str) -> npt.NDArray[np.int64]:
    """A permutation of `count` positions, of its own for each seed and each purpose.

    With one permutation for all, a control and the baseline that it is read against would share most
    of their rows, and the warm-up of a reference would train on rows that `random` then chooses.
    """
    salt = int.from_bytes(blake2b(purpose.encode(), digest_size=8).digest(), "big")
    return np.random.default_rng([seed, salt]).permutation(count).astype(np.int64)


def trainable(order: npt.NDArray[np.int64], desk: Desk) -> npt.NDArray[np.int64]:
    """The positions of an order whose rows have a response token that a trainer sees."""
    return order[desk.training_tokens()[order] > 0]

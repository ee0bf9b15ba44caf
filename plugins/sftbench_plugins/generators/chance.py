"""Chance: draws of their own for every seed, purpose and number."""

from __future__ import annotations

import random
from hashlib import blake2b

import numpy as np
import numpy.typing as npt


def seed_of(seed: int, *purpose: object) -> int:
    """A seed below 2^31 of its own for a purpose; language models take no larger one."""
    text = "|".join(map(str, (seed, *purpose)))
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big") >> 1


def draws(seed: int, *purpose: object) -> random.Random:
    """Random numbers of their own for a purpose, the same in every process."""
    return random.Random("|".join(map(str, (seed, *purpose))))


def shuffled(count: int, seed: int, purpose: str) -> npt.NDArray[np.int64]:
    """A permutation of `count` positions of its own for a purpose."""
    return np.random.default_rng([seed, seed_of(0, purpose)]).permutation(count).astype(np.int64)

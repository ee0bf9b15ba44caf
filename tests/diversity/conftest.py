"""Corpora of the diversity tests: ids drawn by a law that is known."""

from __future__ import annotations

import numpy as np
import pytest

from sftbench import Ragged


@pytest.fixture
def ragged():
    """A corpus from lists of ids."""

    def made(lists):
        return Ragged.of([np.array(each, dtype=np.int32) for each in lists], dtype=np.int32)

    return made


@pytest.fixture
def zipfian():
    """Texts of ids by Zipf's law, one array each."""

    def drawn(num_rows, *, num_types=400, mean_length=30, seed=0):
        draw = np.random.default_rng(seed)
        shares = 1 / (np.arange(num_types) + 2.0)
        lengths = draw.poisson(mean_length, num_rows)
        return [draw.choice(num_types, length, p=shares / shares.sum()) for length in lengths]

    return drawn

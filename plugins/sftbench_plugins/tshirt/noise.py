"""Noise on the embeddings of both passages of a row: drawn once, and shared by the tokens that they share."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Protocol

import torch

from sftbench_plugins.tshirt.reading import Pair, Reading


class Source(Protocol):
    """Where the uniform numbers of a row come from."""

    @property
    def num_copies(self) -> int: ...

    def uniform(self, reading: Reading, *, num_tokens: int, width: int) -> torch.Tensor:
        """Numbers in (-1, 1) for every copy, token and dimension: [num_copies, num_tokens, width]."""
        ...

    def skip(self, reading: Reading, *, width: int) -> None:
        """A row that is not forwarded."""
        ...


class PerRow:
    """A generator for each row, seeded by the run's seed and the row's id: independent of order and of sharding.

    Draws come one after another, so that those from number `first` on are the same whoever made the others.
    """

    def __init__(self, *, seed: int, num_draws: int, dtype: torch.dtype, first: int = 0) -> None:
        self.num_copies = num_draws - first
        self._seed, self._dtype, self._first = seed, dtype, first

    def uniform(self, reading: Reading, *, num_tokens: int, width: int) -> torch.Tensor:
        """Numbers that depend on seed, id and shape only."""
        digest = hashlib.blake2b(f"{self._seed}|{reading.row_id}".encode(), digest_size=7).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest, "big"))
        drawn = torch.empty((self._first + self.num_copies, num_tokens, width), dtype=self._dtype)
        return drawn.uniform_(-1, 1, generator=generator)[self._first :]

    def skip(self, reading: Reading, *, width: int) -> None:
        """Nothing: no other row depends on this one."""


class AuthorsStream:
    """One generator for the whole pool, seeded once, drawn from in the order of the rows.

    Copy 0 is clean. The authors draw one copy more than they use, so it is drawn and thrown away.
    """

    def __init__(self, *, seed: int, num_draws: int, dtype: torch.dtype) -> None:
        self.num_copies = num_draws + 1
        self._generator = torch.Generator().manual_seed(seed)
        self._dtype = dtype

    def uniform(self, reading: Reading, *, num_tokens: int, width: int) -> torch.Tensor:
        """The next numbers of the stream behind a copy of zeros."""
        drawn = torch.zeros((self.num_copies + 1, num_tokens, width), dtype=self._dtype)
        drawn[1:].uniform_(-1, 1, generator=self._generator)
        return drawn[:-1]

    def skip(self, reading: Reading, *, width: int) -> None:
        """Draw what the authors' code draws for a row that it then scores as NaN."""
        if reading.num_drawn_tokens:
            self.uniform(reading, num_tokens=reading.num_drawn_tokens, width=width)


class PairedNoise:
    """A `Perturbation` for passages that come in pairs: uniform noise times alpha / sqrt(L d) (NEFTune's scale).

    L and d are the length of the conditional passage and the width of the embeddings, for both passages
    (paper, sec. 3.2, and the authors' code).
    """

    def __init__(self, source: Source, *, alpha: float) -> None:
        self._source, self._alpha = source, alpha
        self._expected: deque[Reading] = deque()
        self._drawn = torch.empty(0)
        self._pair: Pair | None = None

    @property
    def num_copies(self) -> int:
        """Copies of each passage."""
        return self._source.num_copies

    def expect(self, reading: Reading) -> None:
        """Tell of every row of the pool, in order, before its passages are drawn for."""
        self._expected.append(reading)

    def draw(self, index: int, num_tokens: int, width: int) -> torch.Tensor:
        """Noise [num_copies, num_tokens, width]: new for an even index, its response part for the odd one after it."""
        if index % 2 == 0:
            reading = self._next(width)
            self._pair = reading.pair
            self._drawn = self._source.uniform(reading, num_tokens=num_tokens, width=width)
            self._drawn *= self._alpha / (num_tokens * width) ** 0.5
            return self._drawn
        assert self._pair is not None
        return self._drawn[:, torch.from_numpy(self._pair.noise_places)]

    def _next(self, width: int) -> Reading:
        while (reading := self._expected.popleft()).pair is None:
            self._source.skip(reading, width=width)
        return reading

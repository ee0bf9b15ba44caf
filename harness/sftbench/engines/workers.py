"""Batches on all cores of a CPU: one thread and one core for each batch, so that small operations never wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


class Workers:
    """As many threads as torch would use inside one operation; torch lets go of the interpreter while it computes.

    A batch is worked by one thread from end to end, so that how many threads there are changes no number.
    """

    def __init__(self, num_threads: int | None = None) -> None:
        self.num_threads = num_threads or torch.get_num_threads()
        self._pool = ThreadPoolExecutor(self.num_threads, initializer=torch.set_num_threads, initargs=(1,))

    def map(self, work: Callable[[T], R], batches: Sequence[T]) -> list[R]:
        """The results in order; too few batches for all threads are worked here, with all cores on each."""
        if self.num_threads == 1 or len(batches) < self.num_threads:
            return [work(batch) for batch in batches]
        before = torch.get_num_threads()
        try:
            return list(self._pool.map(work, batches))
        finally:
            # The workers' setting is also what threads started later would begin with.
            torch.set_num_threads(before)

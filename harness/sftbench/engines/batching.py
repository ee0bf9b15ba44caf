"""Work of unequal length in batches of nearly equal length, under a budget of tokens with padding counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def windows(
    items: Iterable[T], *, size_of: Callable[[T], int], max_total: int, max_count: int = 8192
) -> Iterator[list[T]]:
    """Consecutive items, as many as fit `max_total` together (at least one)."""
    window: list[T] = []
    total = 0
    for item in items:
        size = size_of(item)
        if window and (total + size > max_total or len(window) >= max_count):
            yield window
            window, total = [], 0
        window.append(item)
        total += size
    if window:
        yield window


def length_batches(lengths: Sequence[int], *, max_tokens: int) -> Iterator[list[int]]:
    """Positions grouped so that longest times count stays within `max_tokens` (at least one each).

    The longest come first: what does not fit in memory shows at once.
    """
    order = sorted(range(len(lengths)), key=lambda at: -lengths[at])
    batch: list[int] = []
    for position in order:
        if batch and lengths[batch[0]] * (len(batch) + 1) > max_tokens:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch

"""Compression ratios of a text that grows row by row, without compressing again what stands there already."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sftbench import Row

LEVEL = 9


@dataclass(frozen=True, kw_only=True)
class Listing:
    """How rows become one text: what stands before, between and after them, and the bytes of a row."""

    opening: bytes
    separator: bytes
    closing: bytes
    text: Callable[[Row], bytes]


PLAIN = Listing(opening=b"", separator=b"\n", closing=b"", text=lambda row: row.text("both").encode())
"""The texts of all turns, a line end between them."""
LITERAL = Listing(opening=b"[", separator=b", ", closing=b"]", text=lambda row: repr(row.original()).encode())
"""Python's notation for a list of the rows as their file had them, which is what the authors' code compresses."""


class Threads(ThreadPoolExecutor):
    """So many threads: zlib works outside of Python's lock."""

    def __init__(self, num: int) -> None:
        super().__init__(num)
        self.num = num


class GrowingText:
    """Rows in a row, with a compressor that has read them.

    A copy of the compressor reads one more row and is finished. zlib decides what to write from the bytes
    that it has seen and not from the pieces in which they came, so that this is as long as the whole text
    compressed at once (`tests/plugins/compression/test_packing.py`), and takes time for the last row only.
    """

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._packer = zlib.compressobj(LEVEL)
        self._num_bytes = 0
        self._num_written = 0
        self._append(listing.opening)

    def add(self, text: bytes) -> None:
        """One more row for good."""
        self._append(text + self._listing.separator)

    def ratio_with(self, text: bytes) -> float:
        """Bytes of the rows and this one as one text, over those of its zlib stream at level 9."""
        num_bytes, num_packed = self.sizes_with(text)
        return num_bytes / num_packed

    def ratios_with(self, texts: Sequence[bytes], *, threads: Threads | None = None) -> list[float]:
        """`ratio_with` for each text; the threads change no ratio."""
        if threads is None or len(texts) < 2 * threads.num:
            return [self.ratio_with(text) for text in texts]
        size = -(-len(texts) // threads.num)
        pieces = [texts[start : start + size] for start in range(0, len(texts), size)]
        return [ratio for found in threads.map(self.ratios_with, pieces) for ratio in found]

    def sizes_with(self, text: bytes) -> tuple[int, int]:
        """Both sides of that ratio."""
        last = text + self._listing.closing
        trial = self._packer.copy()
        return self._num_bytes + len(last), self._num_written + len(trial.compress(last)) + len(trial.flush())

    def _append(self, text: bytes) -> None:
        self._num_bytes += len(text)
        self._num_written += len(self._packer.compress(text))

"""CR: how much smaller a general compressor makes the texts; what repeats itself shrinks (arXiv 2403.00553)."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np

from sftbench.diversity.corpus import Corpus
from sftbench.diversity.measure import NUM_GROUPS, TOO_FEW, Bounds, Floats, Measure, bounds, joined_notes

Mode = Literal["paper", "paper_literal"]
GZIP_LEVEL = 6
ZSTD_LEVEL = 19
AT_MOST_BYTES = 64 * 2**20
"""What the slow compressor is given at most; its window is 8 MiB at this level."""


def compression(corpus: Corpus, *, seed: int, mode: Mode = "paper") -> list[Measure]:
    """Bytes of the texts over bytes when compressed, by gzip (window 32 KiB) and by zstd (window 8 MiB).

    Texts are joined by newlines in an order drawn from the seed, since a window sees neighbours only. The
    ratio grows with redundancy, so smaller is more diverse; `paper_literal` keeps the arrow of arXiv
    2505.24768, Table 1, which points the other way. Bounds come from the ratios of 20 consecutive parts.
    """
    rows = corpus.filled
    order = rows[np.random.default_rng([seed, 3]).permutation(len(rows))]
    tokens = int(corpus.tokens.offsets[-1])
    about = _About(tokens=tokens, num_rows=len(rows), direction="up" if mode == "paper_literal" else "down")
    if not len(rows):
        nothing = np.empty((0, 2))
        return [
            about.measure(name, math.nan, nothing, TOO_FEW)
            for name in ("compression-ratio", "compression-ratio-long-window")
        ]
    return [_gzip(corpus, order, about), _zstd(corpus, order, about)]


class _About:
    def __init__(self, *, tokens: int, num_rows: int, direction: Literal["up", "down"]) -> None:
        self.tokens, self.num_rows, self.direction = tokens, num_rows, direction

    def measure(self, name: str, value: float, parts: Floats, note: str = "") -> Measure:
        """`parts` [P, 2]: bytes before and after of each part."""
        edges = Bounds()
        if len(parts) > 1:
            ratios = parts[:, 0] / parts[:, 1]
            edges = bounds(value, float(ratios.std(ddof=1)) / math.sqrt(len(ratios)), freedom=len(ratios) - 1)
        return Measure(
            metric=name, value=value, unit="bytes per byte", tokens=self.tokens, n=self.num_rows,
            direction=self.direction, note=note, **edges,
        )  # fmt: skip


def _gzip(corpus: Corpus, order: np.ndarray, about: _About) -> Measure:
    before, after = gzip_bytes(corpus.reread(order))
    parts = [gzip_bytes(corpus.reread(part)) for part in np.array_split(order, NUM_GROUPS) if len(part)]
    return about.measure("compression-ratio", before / after, np.array(parts, dtype=np.float64))


def _zstd(corpus: Corpus, order: np.ndarray, about: _About) -> Measure:
    name = "compression-ratio-long-window"
    before, after, cut = zstd_bytes(corpus.reread(order))
    parts = [zstd_bytes(corpus.reread(part))[:2] for part in np.array_split(order, NUM_GROUPS) if len(part)]
    note = f"first_bytes_only: {before}" if cut else ""
    return about.measure(name, before / after, np.array(parts, dtype=np.float64), joined_notes(note))


def gzip_bytes(texts: Iterable[str]) -> tuple[int, int]:
    """Bytes of the texts joined by newlines, and of that as gzip, never holding all of it."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)
    before = after = 0
    for piece in _pieces(texts):
        before += len(piece)
        after += len(packer.compress(piece))
    return before, after + len(packer.flush())


def zstd_bytes(texts: Iterable[str]) -> tuple[int, int, bool]:
    """Bytes before and after, of the first 64 MiB; the last tells whether anything was left out."""
    import pyarrow

    held = bytearray()
    for piece in _pieces(texts):
        held += piece
        if len(held) > AT_MOST_BYTES:
            break
    cut = len(held) > AT_MOST_BYTES
    data = bytes(held[:AT_MOST_BYTES])
    packed = pyarrow.Codec("zstd", compression_level=ZSTD_LEVEL).compress(data, asbytes=True)
    return len(data), len(packed), cut


def _pieces(texts: Iterable[str]) -> Iterator[bytes]:
    lead = ""
    for text in texts:
        yield (lead + text).encode("utf-8", "surrogatepass")
        lead = "\n"

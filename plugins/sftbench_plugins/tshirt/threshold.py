"""The differences of all tokens and copies of a pool, on disk, and the exact percentile of their size."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from sftbench import EnvironmentProblem

FloatArray = npt.NDArray[np.float32]
_NUM_BINS = 1 << 16
_CHUNK = 1 << 20
_FREE_SHARE = 0.95
"""The rest of the disk is left to the others who write there."""


class DeltaFile:
    """Blocks of float32 differences, appended in order and read back in order.

    Not-negative floats sort like the integers of their bits. The upper 16 bits of every |delta| are
    counted while it is written, so an order statistic needs one further look at the file, to count
    the lower 16 bits of the one bin that it lies in: 512 KiB of counts, however long the pool.
    """

    def __init__(self, path: Path, *, num_values: int) -> None:
        """`num_values` is how many will be written; a disk that cannot hold them is an `EnvironmentProblem`."""
        require_space(path.parent, num_bytes=4 * num_values)
        self._path = path
        self._file = path.open("wb")
        self._upper = np.zeros(_NUM_BINS, dtype=np.int64)
        self.num_values = 0

    def __enter__(self) -> DeltaFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def append(self, block: FloatArray) -> None:
        """Add a block of any shape; every value must be finite."""
        flat = np.ascontiguousarray(block, dtype=np.float32).reshape(-1)
        self._file.write(flat.data)
        self._upper += np.bincount(_bits(flat) >> 16, minlength=_NUM_BINS)
        self.num_values += flat.size

    def percentile(self, q: float) -> np.float64:
        """The q-th percentile of |delta| in nats, NaN when there is none; equal to `numpy.percentile` in float64."""
        if self.num_values == 0:
            return np.float64(np.nan)
        place = (self.num_values - 1) * (q / 100)
        below = min(int(place), self.num_values - 1)
        above = min(below + 1, self.num_values - 1)
        low, high = self._order_statistics((below, above))
        share, gap = place - below, high - low
        # Written from the nearer end, as numpy does, so that the last bit agrees too.
        return np.float64(high - gap * (1 - share) if share >= 0.5 else low + gap * share)

    def blocks(self, shapes: Iterable[tuple[int, int]]) -> Iterator[FloatArray]:
        """The blocks again, given their shapes in the order in which they were appended."""
        self._file.flush()
        with self._path.open("rb") as file:
            for shape in shapes:
                yield np.fromfile(file, dtype=np.float32, count=shape[0] * shape[1]).reshape(shape)

    def _order_statistics(self, ranks: tuple[int, int]) -> list[float]:
        totals = np.cumsum(self._upper)
        bins = np.searchsorted(totals, ranks, side="right")
        lower = {int(wanted): np.zeros(_NUM_BINS, dtype=np.int64) for wanted in bins}
        for bits in self._chunks():
            upper = bits >> 16
            for wanted, counts in lower.items():
                counts += np.bincount(bits[upper == wanted] & 0xFFFF, minlength=_NUM_BINS)
        found = []
        for rank, wanted in zip(ranks, bins, strict=True):
            inside = rank - (totals[wanted] - self._upper[wanted])
            low_bits = np.searchsorted(np.cumsum(lower[int(wanted)]), inside, side="right")
            found.append(float(np.uint32(int(wanted) << 16 | int(low_bits)).view(np.float32)))
        return found

    def _chunks(self) -> Iterator[npt.NDArray[np.uint32]]:
        self._file.flush()
        with self._path.open("rb") as file:
            while len(values := np.fromfile(file, dtype=np.float32, count=_CHUNK)):
                yield _bits(values)


def _bits(values: FloatArray) -> npt.NDArray[np.uint32]:
    # Clearing the sign bit is the absolute value, and makes -0.0 equal to 0.0.
    return values.view(np.uint32) & np.uint32(0x7FFFFFFF)


def require_space(folder: Path, *, num_bytes: int) -> None:
    """Refuse with an `EnvironmentProblem` when `folder` cannot take `num_bytes`."""
    free = shutil.disk_usage(folder).free
    if num_bytes > free * _FREE_SHARE:
        raise EnvironmentProblem(
            f"T-SHIRT keeps token differences of all noisy copies on disk: {num_bytes / 2**30:.2f} GiB are needed in "
            f"{folder}, {free / 2**30:.2f} GiB are free; lower num_draws or max_length, or give a larger scratch folder"
        )

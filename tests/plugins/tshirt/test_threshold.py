"""The percentile of numbers on disk is that of numpy, and the disk is asked first."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from sftbench import EnvironmentProblem
from sftbench_plugins.tshirt import threshold
from sftbench_plugins.tshirt.threshold import DeltaFile

PERCENTS = (0.0, 9.999999999999998, 25.0, 50.0, 100 * (1 - 0.7), 75.0, 99.9, 100.0)


def numbers(kind: str, count: int) -> np.ndarray:
    random = np.random.default_rng(count)
    if kind == "ties":
        return random.choice(np.float32([-0.5, -0.25, 0.0, -0.0, 0.25, 0.5]), count)
    if kind == "tiny and huge":
        return (random.standard_normal(count) * 10.0 ** random.integers(-42, 30, count)).astype(np.float32)
    return random.standard_normal(count).astype(np.float32)


@pytest.mark.parametrize("kind", ["normal", "ties", "tiny and huge"])
@pytest.mark.parametrize("count", [1, 2, 3, 100, 4097])
def test_the_percentile_is_that_of_numpy_to_the_last_bit(
    kind: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threshold, "_CHUNK", 1000)
    values = numbers(kind, count)
    with DeltaFile(tmp_path / "d", num_values=count) as deltas:
        for part in np.array_split(values, 7):
            deltas.append(part)
        for q in PERCENTS:
            expected = np.percentile(np.abs(values.astype(np.float64)), q)
            assert deltas.percentile(q) == expected, q
            assert deltas.percentile(q).dtype == np.float64


def test_the_percentile_of_nothing_is_nan(tmp_path: Path) -> None:
    with DeltaFile(tmp_path / "d", num_values=0) as deltas:
        assert np.isnan(deltas.percentile(50))


def test_blocks_come_back_as_they_were_and_the_file_goes_away(tmp_path: Path) -> None:
    blocks = [np.random.default_rng(at).standard_normal((3, at)).astype(np.float32) for at in range(1, 6)]
    with DeltaFile(tmp_path / "d", num_values=45) as deltas:
        for block in blocks:
            deltas.append(block)
        for given, found in zip(blocks, deltas.blocks([block.shape for block in blocks]), strict=True):
            np.testing.assert_array_equal(given, found)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(threshold.shutil, "disk_usage", lambda folder: usage(100, 0, 4000))
    with pytest.raises(EnvironmentProblem, match="GiB are free"):
        DeltaFile(tmp_path / "d", num_values=1000)
    assert not list(tmp_path.iterdir())
    with DeltaFile(tmp_path / "d", num_values=900):
        pass

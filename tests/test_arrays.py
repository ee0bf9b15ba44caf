"""Arrays on disk: a file that grew is one that safetensors reads, and what is read is mapped, not copied."""

from __future__ import annotations

import contextlib
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sftbench.arrays import GrowingArray, load_arrays, save_arrays

PIECES = [np.arange(start, start + count, dtype=np.float32) for start, count in ((0, 3), (3, 0), (3, 1), (4, 2))]


def test_what_was_appended_is_what_safetensors_reads(tmp_path):
    path, offsets = tmp_path / "a.safetensors", np.zeros(5, dtype=np.int64)
    with GrowingArray(path, name="values", beside={"offsets": offsets}) as file:
        for at, piece in enumerate(PIECES, start=1):
            file.append(piece)
            offsets[at] = file.num_rows
    expected = {"values": np.arange(6, dtype=np.float32), "offsets": np.array([0, 3, 3, 4, 6])}
    for found in (load_file(path), load_arrays(path)):
        assert set(found) == set(expected)
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)
            assert found[name].dtype == values.dtype
            assert found[name].flags.aligned


def test_rows_of_several_numbers_keep_their_shape_also_when_there_are_none(tmp_path):
    for name, count in (("none", 0), ("some", 7)):
        with GrowingArray(tmp_path / name, name="embeddings") as file:
            file.append(np.empty((0, 4), dtype=np.float32))
            file.append(np.ones((count, 4), dtype=np.float32))
        for found in (load_file(tmp_path / name), load_arrays(tmp_path / name)):
            np.testing.assert_array_equal(found["embeddings"], np.ones((count, 4)))


@pytest.mark.parametrize("values", [np.zeros(2, dtype=np.float64), np.zeros((2, 1), dtype=np.float32)])
def test_values_of_another_type_or_shape_are_refused(tmp_path, values):
    with GrowingArray(tmp_path / "a", name="values") as file:
        file.append(PIECES[0])
        with pytest.raises(ValueError, match="cannot follow"):
            file.append(values)


def test_a_file_whose_writing_broke_off_cannot_be_read(tmp_path):
    with contextlib.suppress(KeyboardInterrupt), GrowingArray(tmp_path / "a", name="values") as file:
        file.append(PIECES[0])
        raise KeyboardInterrupt
    with pytest.raises(ValueError, match="Expecting value"):
        load_arrays(tmp_path / "a")
    with pytest.raises(ValueError, match="nothing was appended"), GrowingArray(tmp_path / "b", name="values"):
        """Nothing comes."""


EVERY_TYPE = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?")


def test_every_type_is_read_as_safetensors_reads_it(tmp_path):
    made = {name: np.array([[0, 1], [1, 5]]).astype(name) for name in EVERY_TYPE}
    made |= {"empty": np.empty(0, dtype=np.int64), "number": np.array(2.5)}
    save_file(made, tmp_path / "a.safetensors", metadata={"of": "a test"})
    found = load_arrays(tmp_path / "a.safetensors")
    assert set(found) == set(made)
    for name, values in made.items():
        np.testing.assert_array_equal(found[name], values)
        assert (found[name].dtype, found[name].shape) == (values.dtype, values.shape)


def test_no_arrays_are_no_arrays(tmp_path):
    save_arrays({}, tmp_path / "none.safetensors")
    assert load_arrays(tmp_path / "none.safetensors") == {}


def test_what_is_read_takes_no_memory_and_changing_it_changes_no_file(tmp_path):
    path = tmp_path / "a.safetensors"
    save_arrays({"values": np.zeros(2**20, dtype=np.float32)}, path)
    tracemalloc.start()
    values = load_arrays(path)["values"]
    assert values[-1] == 0
    assert tracemalloc.get_traced_memory()[1] < values.nbytes / 10
    tracemalloc.stop()
    values[0] = 7
    assert load_arrays(path)["values"][0] == 0

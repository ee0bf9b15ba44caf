"""Named arrays in safetensors files: written while they grow, and read as memory maps."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_NAMES = {np.dtype(text): name for name, text in _DTYPES.items()}
_HEADER_BYTES = 504
"""Room for the description, which is known last; with the eight bytes of its length the data is aligned."""


def save_arrays(arrays: Mapping[str, Array], path: Path) -> None:
    """Named arrays in one safetensors file."""
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(values) for name, values in arrays.items()}, path)


def load_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a safetensors file, memory-mapped: what is not looked at is not read.

    They may be written to; the file stays as it is.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    about = {name: each for name, each in header.items() if name != "__metadata__"}
    if not any(math.prod(each["shape"]) for each in about.values()):
        return {name: np.empty(each["shape"], dtype=_DTYPES[each["dtype"]]) for name, each in about.items()}
    data = np.asarray(np.memmap(path, dtype=np.uint8, mode="c", offset=8 + size))
    return {
        name: data[slice(*each["data_offsets"])].view(_DTYPES[each["dtype"]]).reshape(each["shape"])
        for name, each in about.items()
    }


class GrowingArray:
    """A safetensors file of which one array, `name`, is appended to while the file is open; memory holds none of it.

    `beside` are further arrays, of known size, that go into the same file; they may be filled in until the
    file is closed. A `with` block that ends with an error leaves a file that cannot be read.
    """

    def __init__(self, path: Path, *, name: str, beside: Mapping[str, Array] | None = None) -> None:
        self._name, self._beside = name, dict(beside or {})
        self._dtype: np.dtype[Any] | None = None
        self._shape: tuple[int, ...] = ()
        self._file = path.open("wb")
        self._start = sum(each.nbytes for each in self._beside.values())
        self._file.seek(8 + _HEADER_BYTES + self._start)
        self.num_rows = 0

    def __enter__(self) -> GrowingArray:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._file.close()

    def append(self, values: Array) -> None:
        """Add along the first axis; the first values say which type and which other axes the array has."""
        if self._dtype is None:
            self._dtype, self._shape = values.dtype, values.shape[1:]
        if (values.dtype, values.shape[1:]) != (self._dtype, self._shape):
            raise ValueError(f"{values.dtype} {values.shape[1:]} cannot follow {self._dtype} {self._shape}")
        self._file.write(np.ascontiguousarray(values).data)
        self.num_rows += len(values)

    def _finish(self) -> None:
        """Write the description into the room that was left for it, and the arrays beside."""
        if self._dtype is None:
            raise ValueError(f"nothing was appended to '{self._name}', not even no rows of some type")
        end = self._file.tell() - 8 - _HEADER_BYTES
        grown = {"dtype": _NAMES[self._dtype], "shape": [self.num_rows, *self._shape]}
        header: dict[str, Any] = {}
        start = 0
        for name, each in self._beside.items():
            header[name] = _entry(each, start)
            start += each.nbytes
        header[self._name] = {**grown, "data_offsets": [self._start, end]}
        text = json.dumps(header).encode()
        if len(text) > _HEADER_BYTES:
            raise ValueError(f"too many arrays for one file: {', '.join(header)}")
        self._file.seek(0)
        self._file.write(_HEADER_BYTES.to_bytes(8, "little") + text.ljust(_HEADER_BYTES))
        for each in self._beside.values():
            self._file.write(np.ascontiguousarray(each).data)


def _entry(values: Array, start: int) -> dict[str, Any]:
    return {
        "dtype": _NAMES[values.dtype],
        "shape": list(values.shape),
        "data_offsets": [start, start + values.nbytes],
    }

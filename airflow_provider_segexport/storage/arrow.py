"""Arrow columns from Python values, and numbers out of them: `values -> pa.Array`, `pa.Array -> numpy`.

`pa.array` asks first whether the values are pandas', and `to_numpy` what pandas would make of the type. Both import it:
40 MiB and a tenth of a second in a task that has no use for it (pyarrow 26). Buffers say the same without asking.
`pyarrow.compute` makes hundreds of functions when it is imported, which takes 25 ms: `take` and `filter` import it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa


def string_array(values: Iterable[str | None]) -> pa.Array:
    """A column of texts."""
    listed = list(values)
    missing = listed.count(None)
    if missing == len(listed):
        return pa.nulls(len(listed), pa.string())
    known = [value or "" for value in listed]
    content = "".join(known)
    byte_lengths = map(len, known if content.isascii() else [value.encode() for value in known])
    offsets = np.zeros(len(listed) + 1, np.int32)
    np.cumsum(np.fromiter(byte_lengths, np.int32, len(listed)), out=offsets[1:])
    validity = _bits(np.fromiter((value is not None for value in listed), np.bool_, len(listed))) if missing else None
    return pa.Array.from_buffers(
        pa.string(), len(listed), [validity, pa.py_buffer(offsets), pa.py_buffer(content.encode())]
    )


def int_array(values: Iterable[int]) -> pa.Array:
    """A column of 64-bit integers."""
    return from_numpy(np.fromiter(values, np.int64))


def from_numpy(listed: np.ndarray) -> pa.Array:
    """An array of numbers as a column, without a copy."""
    return pa.Array.from_buffers(pa.type_for_alias(listed.dtype.name), len(listed), [None, pa.py_buffer(listed)])


def bool_array(values: Iterable[bool]) -> pa.Array:
    """A column of yes and no."""
    listed = np.fromiter(values, np.bool_)
    return pa.Array.from_buffers(pa.bool_(), len(listed), [None, _bits(listed)])


def to_numpy(column: pa.Array, kind: type[np.number[Any]]) -> np.ndarray:
    """A column of numbers without nulls, as it lies in memory."""
    found = np.frombuffer(column.buffers()[1], kind)
    return found[column.offset : column.offset + len(column)]


def byte_lengths(column: pa.Array) -> np.ndarray:
    """How many bytes each text of a column without nulls has."""
    return np.diff(_bounds(column)).astype(np.int64)


def raw_bytes(column: pa.Array) -> memoryview:
    """The texts of a column one behind the other, as they lie in memory."""
    bounds = _bounds(column)
    return memoryview(column.buffers()[2] or b"")[bounds[0] : bounds[-1]]


def _bounds(column: pa.Array) -> np.ndarray:
    """Where each text of a column begins, and where the last ends."""
    return np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]


def _bits(listed: np.ndarray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(listed, bitorder="little"))

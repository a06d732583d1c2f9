"""Converts between Python or numpy values and Arrow columns through Arrow's raw buffers, without importing pandas.

`pa.array` checks whether the values are pandas objects, and `to_numpy` asks pandas about the type. Both import pandas:
40 MiB and 0.1 s in a task that does not use it (pyarrow 26). `take` and `filter` import `pyarrow.compute`, which
creates hundreds of functions in 25 ms.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa


def string_array(values: Iterable[str | None]) -> pa.Array:
    """Return a text column; None becomes null."""
    texts = list(values)
    missing = texts.count(None)
    if missing == len(texts):
        return pa.nulls(len(texts), pa.string())
    filled = [text or "" for text in texts]
    content = "".join(filled)
    byte_lengths = map(len, filled if content.isascii() else [text.encode() for text in filled])
    offsets = np.zeros(len(texts) + 1, np.int32)
    np.cumsum(np.fromiter(byte_lengths, np.int32, len(texts)), out=offsets[1:])
    validity = _bits(np.fromiter((text is not None for text in texts), np.bool_, len(texts))) if missing else None
    return pa.Array.from_buffers(
        pa.string(), len(texts), [validity, pa.py_buffer(offsets), pa.py_buffer(content.encode())]
    )


def int_array(values: Iterable[int]) -> pa.Array:
    """Return a column of 64-bit integers."""
    return from_numpy(np.fromiter(values, np.int64))


def from_numpy(numbers: np.ndarray) -> pa.Array:
    """Return an array of numbers as a column, without a copy."""
    return pa.Array.from_buffers(pa.type_for_alias(numbers.dtype.name), len(numbers), [None, pa.py_buffer(numbers)])


def bool_array(values: Iterable[bool]) -> pa.Array:
    """Return a boolean column."""
    flags = np.fromiter(values, np.bool_)
    return pa.Array.from_buffers(pa.bool_(), len(flags), [None, _bits(flags)])


def to_numpy(column: pa.Array, dtype: type[np.number[Any]]) -> np.ndarray:
    """Return a column of numbers without nulls as an array, without a copy."""
    numbers = np.frombuffer(column.buffers()[1], dtype)
    return numbers[column.offset : column.offset + len(column)]


def byte_lengths(column: pa.Array) -> np.ndarray:
    """Return the UTF-8 length of each text of a column without nulls."""
    return np.diff(_offsets(column)).astype(np.int64)


def raw_bytes(column: pa.Array) -> memoryview:
    """Return the concatenated texts of a column, without a copy."""
    offsets = _offsets(column)
    return memoryview(column.buffers()[2] or b"")[offsets[0] : offsets[-1]]


def _offsets(column: pa.Array) -> np.ndarray:
    """Return the byte at which each text of a column begins, and the one at which the last ends."""
    return np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]


def _bits(flags: np.ndarray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))

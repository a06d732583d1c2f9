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


def texts(values: Iterable[str | None]) -> pa.Array:
    """A column of texts."""
    listed = list(values)
    missing = listed.count(None)
    if missing == len(listed):
        return pa.nulls(len(listed), pa.string())
    known = [value or "" for value in listed]
    content = "".join(known)
    lengths = map(len, known if content.isascii() else [value.encode() for value in known])
    offsets = np.zeros(len(listed) + 1, np.int32)
    np.cumsum(np.fromiter(lengths, np.int32, len(listed)), out=offsets[1:])
    validity = _bits(np.fromiter((value is not None for value in listed), np.bool_, len(listed))) if missing else None
    return pa.Array.from_buffers(
        pa.string(), len(listed), [validity, pa.py_buffer(offsets), pa.py_buffer(content.encode())]
    )


def integers(values: Iterable[int]) -> pa.Array:
    """A column of 64-bit integers."""
    listed = np.fromiter(values, np.int64)
    return pa.Array.from_buffers(pa.int64(), len(listed), [None, pa.py_buffer(listed)])


def switches(values: Iterable[bool]) -> pa.Array:
    """A column of yes and no."""
    listed = np.fromiter(values, np.bool_)
    return pa.Array.from_buffers(pa.bool_(), len(listed), [None, _bits(listed)])


def numbers(column: pa.Array, kind: type[np.number[Any]]) -> np.ndarray:
    """A column of numbers without nulls, as it lies in memory."""
    found = np.frombuffer(column.buffers()[1], kind)
    return found[column.offset : column.offset + len(column)]


def lengths(column: pa.Array) -> np.ndarray:
    """How many bytes each text of a column without nulls has."""
    ends = np.frombuffer(column.buffers()[1], np.int32)
    return np.diff(ends[column.offset : column.offset + len(column) + 1]).astype(np.int64)


def stretch(column: pa.Array) -> memoryview:
    """The texts of a column one behind the other, as they lie in memory."""
    _, offsets, content = column.buffers()
    ends = np.frombuffer(offsets, np.int32)
    return memoryview(content or b"")[ends[column.offset] : ends[column.offset + len(column)]]


def _bits(listed: np.ndarray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(listed, bitorder="little"))

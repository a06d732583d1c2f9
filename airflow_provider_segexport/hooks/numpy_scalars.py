"""Converts NumPy scalars, which DAG files and DataFrames hold in place of Python's own objects."""

from __future__ import annotations

from typing import Any


def scalar(given: Any) -> Any:
    """Return a NumPy scalar as a Python object; any other value unchanged.

    NumPy itself returns a time in nanoseconds as an integer, so it is rounded down to microseconds first.
    """
    if type(given).__module__ != "numpy" or getattr(given, "ndim", None) != 0:
        return given
    in_nanoseconds = given.dtype.kind in "mM" and isinstance(given.item(), int)
    return (given.astype(f"{given.dtype.kind}8[us]") if in_nanoseconds else given).item()

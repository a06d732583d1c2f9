"""The default of an argument for which None is a value that a template may render, and not the same as no argument."""

from __future__ import annotations

from enum import Enum


class LeftOut(Enum):
    """The type of `LEFT_OUT`, its only value."""

    LEFT_OUT = "left out"

    def __repr__(self) -> str:
        return "LEFT_OUT"


LEFT_OUT = LeftOut.LEFT_OUT
"""The argument is not there. None, an empty text or an empty list that was given is refused instead."""

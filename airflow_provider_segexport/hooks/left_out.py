"""`LEFT_OUT`, the default of arguments for which None is an error, because a template may have rendered to None."""

from __future__ import annotations

from enum import Enum


class LeftOut(Enum):
    """The type of `LEFT_OUT`, its only value."""

    LEFT_OUT = "left out"

    def __repr__(self) -> str:
        return "LEFT_OUT"


LEFT_OUT = LeftOut.LEFT_OUT
"""The argument was not given. None, an empty text or an empty list that was given stops the run instead."""

"""Reads values from JSON that another version, or a person, may have written. A value of a wrong type becomes empty."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

MAX_COUNT = 2**53
"""Counts up to this are exact as floats, so charts can divide them."""


def parse_object(content: str | bytes) -> dict[str, Any] | None:
    """Return the JSON object of a text; None if the text is not JSON, is nested too deeply, or is no object.

    An escape of half a surrogate pair becomes `?`, because a text with it can be neither shown nor written as UTF-8.
    """
    try:
        value: Any = json.loads(content)
        if "\\ud" in (content if isinstance(content, str) else content.decode("utf-8", "replace")).lower():
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def number(value: Any) -> float:
    """Return a finite number; 0 for any other value."""
    try:
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer of more than 308 digits
        return 0.0
    return float(value) if is_number else 0.0


def integer(value: Any) -> int:
    """Return a number without its fraction; 0 for any other value, and for a number beyond `MAX_COUNT`."""
    count = int(number(value))
    return count if abs(count) <= MAX_COUNT else 0


def text(value: Any) -> str:
    """Return a text; an empty one for any other value."""
    return value if isinstance(value, str) else ""


def mapping(value: Any) -> Mapping[str, Any]:
    """Return an object; an empty one for any other value."""
    return value if isinstance(value, Mapping) else {}


def array(value: Any) -> list[Any]:
    """Return a list; an empty one for any other value."""
    return value if isinstance(value, list) else []

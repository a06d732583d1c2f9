"""Parses JSON from vendors, and rejects JSON that cannot be processed."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
"""The escape of half of a UTF-16 surrogate pair. Most are emoji, which need two. One alone is not a character, and no
database stores it."""


class UnusableJson(Exception):
    """Well-formed JSON that exceeds a limit. The error's text says which one."""


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON body. In its strings, half of a surrogate pair becomes U+FFFD.

    Raises:
        ValueError: the body is not JSON in UTF-8.
        UnusableJson: the JSON is nested too deeply, or holds a number that is not finite or has thousands of digits.
    """
    text = body.decode("utf-8-sig")
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_reject_constant)
        return _with_whole_characters(value) if SURROGATE_ESCAPE.search(body) else value
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise UnusableJson("JSON that is nested hundreds of levels deep") from None
    except ValueError:  # Python's limit for integers in text: 4,300 digits
        raise UnusableJson("JSON that holds a number of thousands of digits") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise UnusableJson("JSON that holds a number beyond 1.8e308")
    return value


def _reject_constant(name: str) -> NoReturn:
    raise UnusableJson(f"JSON that holds {name}")


def _with_whole_characters(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_with_whole_characters(item) for item in value]
        case dict():
            return {_with_whole_characters(key): _with_whole_characters(item) for key, item in value.items()}
        case _:
            return value

"""Patterns as a user writes them in a path: `*`, `?`, `[…]` within one name, `**` for any number of folders.

Only a text that the user wrote is ever a pattern. A name that exists exactly as written is that file or folder.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

WILDCARDS = frozenset("*?[")
HIDDEN = ("_", ".")
ANY_DEPTH = "**"


def hidden(name: str) -> bool:
    """Tell whether readers of data folders pass over a name, as Spark, Hive, Trino and Arrow do."""
    return name.startswith(HIDDEN)


def wild(part: str) -> bool:
    """Tell whether a part of a path may be a pattern."""
    return bool(WILDCARDS & set(part))


@functools.lru_cache(maxsize=256)
def _expression(part: str) -> re.Pattern[str]:
    """Translate one part. A `[` without its `]` stands for itself."""
    pieces, at = [], 0
    while at < len(part):
        char = part[at]
        at += 1
        if char in "*?":
            pieces.append(".*" if char == "*" else ".")
            continue
        end = part.find("]", at + 1 + (part[at : at + 1] in {"!", "^"})) if char == "[" else -1
        if end < 0:
            pieces.append(re.escape(char))
            continue
        negated = part[at] in "!^"
        inside = part[at + negated : end]
        pieces.append(f"[{'^' if negated else ''}{_ranges(inside)}]")
        at = end + 1
    return re.compile("".join(pieces), re.DOTALL)


def _ranges(inside: str) -> str:
    """Escape the content of brackets; a range that ends before it begins matches nothing of its own."""
    pieces, at = [], 0
    while at < len(inside):
        if at + 2 < len(inside) and inside[at + 1] == "-":
            low, high = inside[at], inside[at + 2]
            if low <= high:
                pieces.append(f"{re.escape(low)}-{re.escape(high)}")
            at += 3
        else:
            pieces.append(re.escape(inside[at]))
            at += 1
    return "".join(pieces) or r"\ud800"  # no name holds this character alone


def matches(name: str, part: str) -> bool:
    """Tell whether a name fits one part of a pattern. A hidden name fits only if the part begins like it."""
    if hidden(name) and part[:1] != name[0]:
        return False
    return name == part or _expression(part).fullmatch(name) is not None


def fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Tell whether names below each other fit a pattern, or lie in a folder that does."""
    if not pattern:
        return not any(map(hidden, parts))
    if pattern[0] == ANY_DEPTH:
        if fits(parts, pattern[1:]):
            return True
        return bool(parts) and not hidden(parts[0]) and fits(parts[1:], pattern)
    return bool(parts) and matches(parts[0], pattern[0]) and fits(parts[1:], pattern[1:])


def split(text: str) -> tuple[str, list[str]]:
    """Cut a text before its first part that may be a pattern: `(what surely is a path, the parts of the pattern)`.

    The host, bucket or container of an address is never a pattern.
    """
    scheme, separator, path = text.partition("://") if "://" in text else ("", "", text)
    parts = path.split("/")
    least = 1 if separator and scheme != "file" else 0
    first = next((at for at, part in enumerate(parts) if at >= least and wild(part)), len(parts))
    base = "/".join(parts[:first]) or ("/" if path.startswith("/") else ".")
    return f"{scheme}{separator}{base}", [part for part in parts[first:] if part]

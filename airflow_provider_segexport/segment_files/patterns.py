"""Matches path patterns: `*`, `?`, `[…]` within one name, `**` for any number of folders.

Only a text that the user wrote can be a pattern. A text that is exactly the name of a file or folder names that file or
folder.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

WILDCARDS = frozenset("*?[")
HIDDEN = ("_", ".")
ANY_DEPTH = "**"


def is_hidden(name: str) -> bool:
    """Return whether a name is one that Spark, Hive, Trino and Arrow skip when they read a folder."""
    return name.startswith(HIDDEN)


def has_wildcard(part: str) -> bool:
    """Return whether a segment of a path may be a pattern."""
    return bool(WILDCARDS & set(part))


@functools.lru_cache(maxsize=256)
def _expression(part: str) -> re.Pattern[str]:
    """Translate one segment of a pattern to a regular expression. A `[` without its `]` is literal."""
    chunks: list[list[str]] = [[]]
    at = 0
    while at < len(part):
        char = part[at]
        at += 1
        if char == "*":
            chunks.append([])
            continue
        if char == "?":
            chunks[-1].append(".")
            continue
        end = part.find("]", at + 1 + (part[at : at + 1] in {"!", "^"})) if char == "[" else -1
        if end < 0:
            chunks[-1].append(re.escape(char))
            continue
        negated = part[at] in "!^"
        inside = part[at + negated : end]
        chunks[-1].append(f"[{'^' if negated else ''}{_ranges(inside)}]")
        at = end + 1
    first, *others = map("".join, chunks)
    if not others:
        return re.compile(first, re.DOTALL)
    # The first match of a chunk suffices, so an atomic group keeps the time linear in the number of `*`.
    middle = "".join(f"(?>.*?{chunk})" for chunk in others[:-1])
    return re.compile(f"{first}{middle}.*{others[-1]}", re.DOTALL)


def _ranges(inside: str) -> str:
    """Escape the content of brackets. A range that ends before it begins matches nothing."""
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
    """Return whether a name matches one segment of a pattern. A hidden name must begin as the segment does."""
    if is_hidden(name) and part[:1] != name[0]:
        return False
    return name == part or _expression(part).fullmatch(name) is not None


def matches_path(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether a path, as its segments, matches a pattern or is inside a folder that matches it."""
    if not pattern:
        return not any(map(is_hidden, parts))
    if pattern[0] == ANY_DEPTH:
        if matches_path(parts, pattern[1:]):
            return True
        return bool(parts) and not is_hidden(parts[0]) and matches_path(parts[1:], pattern)
    return bool(parts) and matches(parts[0], pattern[0]) and matches_path(parts[1:], pattern[1:])


def split_pattern(text: str) -> tuple[str, list[str]]:
    """Split a text at its first segment that may be a pattern. The host, bucket or container of a URL is never one.

    Returns:
        The path before that segment, and the segments of the pattern.
    """
    scheme, separator, path = text.partition("://") if "://" in text else ("", "", text)
    parts = path.split("/")
    first_allowed = 1 if separator and scheme != "file" else 0
    first = next((at for at, part in enumerate(parts) if at >= first_allowed and has_wildcard(part)), len(parts))
    base = "/".join(parts[:first]) or ("/" if path.startswith("/") else ".")
    return f"{scheme}{separator}{base}", [part for part in parts[first:] if part]

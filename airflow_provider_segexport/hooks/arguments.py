"""What a task or a call was told, as an order takes it: a template brings texts where a DAG brings objects."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from airflow_provider_segexport.errors import BadMatching, BadSegment
from airflow_provider_segexport.export.order import GUARDS, KNOWN_GUARDS, Consent, Guard, Then

Choice = TypeVar("Choice", bound=str)

YES = frozenset({"true", "yes", "on", "1"})
NO = frozenset({"false", "no", "off", "0", ""})
KEEPS = frozenset({"removals", "removals_share"})
"""Guards of which `keep` can be said: what they measure can be left undone while the rest is sent."""


def optional(given: Any) -> str | None:
    """A text, or None; a template of something empty brings the word `None`."""
    text = "" if given is None else str(given).strip()
    return None if text in {"", "None", "null"} else text


def segment(given: Any) -> str | list[str]:
    """A path, or several."""
    if hasattr(given, "iterdir"):  # a pathlib.Path or an ObjectStoragePath
        return str(given)
    if isinstance(given, str):
        text = given.strip()
        found = literal(text) if text.startswith("[") else None
        return [str(one) for one in found] if isinstance(found, list) else text
    if not isinstance(given, Sequence):
        raise BadSegment(f"`segment` is of type {type(given).__name__}, and should be a path or a list of paths.")
    return [str(one) for one in given]


def paths(given: Any) -> tuple[str, ...]:
    """No path, one, or several."""
    found = segment(given) if given is not None else ""
    several = [found] if isinstance(found, str) else found
    return tuple(path for one in several if (path := optional(one)))


def mapping(given: Any, name: str) -> dict[str, str]:
    """Column by field."""
    found = literal(given) if isinstance(given, str) else given
    if not isinstance(found, Mapping):
        raise BadMatching(
            f"`{name}` should map fields to columns, as {{'email': 'email'}}, or be such a mapping as JSON text."
        )
    return dict(found)


def number(given: Any, name: str) -> int:
    """A whole number."""
    text = str(given).strip()
    if not text.isdecimal():
        raise BadMatching(f"`{name}` is {given!r}, and should be a whole number.")
    return int(text)


def flag(given: Any, name: str) -> bool:
    """Yes or no; a template or a form brings a word."""
    word = "" if given is None else str(given).strip().lower()
    if word not in YES | NO | {"none", "null"}:
        raise BadMatching(f"`{name}` is {given!r}, and should be true or false.")
    return word in YES


def choice(given: Any, name: str, choices: tuple[Choice, ...]) -> Choice:
    """One of a few words."""
    text = str(given).strip()
    for one in choices:
        if text == one:
            return one
    raise BadMatching(f"`{name}` is {text!r}, and should be {' or '.join(map(repr, choices))}.")


def consent(column: Any, suppression: Any) -> Consent:
    """Who is withheld."""
    return Consent(column=optional(column), suppression=paths(suppression))


def guards(given: Any) -> dict[str, Guard | None]:
    """Guards by name: a limit, `{"limit": ..., "then": ...}`, or None that switches one off."""
    text = optional(given) if isinstance(given, str) else None
    found = literal(text) if text else ({} if isinstance(given, str) else given or {})
    if not isinstance(found, Mapping):
        raise BadMatching(
            "`guards` should map names to limits, as {'shrinks': 0.3}, or be such a mapping as JSON text."
        )
    if unknown := [name for name in found if name not in KNOWN_GUARDS]:
        raise BadMatching(
            f"There is no guard {', '.join(map(repr, unknown))}. There are: {', '.join(sorted(KNOWN_GUARDS))}."
        )
    return {str(name): _guard(name, value) for name, value in found.items()}


def _guard(name: str, given: Any) -> Guard | None:
    """One guard; of what is not told, the limit and the consequence are those that hold anyway."""
    if given is None:
        return None
    usual = GUARDS.get(name)
    told = given if isinstance(given, Mapping) else {"limit": given}
    if strange := [word for word in told if word not in {"limit", "then"}]:
        raise BadMatching(f"Guard {name!r} has `limit` and `then`, and no {', '.join(map(repr, strange))}.")
    limit = told.get("limit", usual.limit if usual else None)
    measure = _measure(limit)
    if measure is None:
        raise BadMatching(f"Guard {name!r}: the limit is {limit!r}, and should be a number; None switches it off.")
    then = choice(told.get("then") or (usual.then if usual else "fail"), f"then of guard {name}", get_args(Then))
    if then == "keep" and name not in KEEPS:
        raise BadMatching(f"Guard {name!r} cannot `keep`: only removals can be left undone while the rest is sent.")
    return Guard(measure, then)


def _measure(given: Any) -> float | None:
    """A number that is no less than nought, if it is one."""
    if isinstance(given, bool):
        return None
    try:
        found = float(given)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) and found >= 0 else None


def literal(text: str) -> Any:
    """What a text stands for: JSON, or Python as a template writes lists and mappings; None where it is neither."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            continue
    return None

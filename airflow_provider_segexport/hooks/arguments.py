"""Reads the value of one argument: `what a DAG file, a template or a call brings -> what an export takes`.

A template brings texts where a DAG file has objects. Each function takes the value and the argument's name. Whether a
value is there at all was decided before (`hooks/options.py`).
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, get_args

from airflow_provider_segexport.errors import InvalidArgument, InvalidSegment
from airflow_provider_segexport.export.config import GUARDS, KNOWN_GUARDS, Consent, Guard, GuardAction
from airflow_provider_segexport.trimming import trimmed
from airflow_provider_segexport.yes_no import yes_no

Choice = TypeVar("Choice", bound=str)

EMPTY_TEXTS = frozenset({"", "none", "null", "nan", "nat", "<na>"})
"""How the text of no value reads: an empty template, and Python's, JSON's, NumPy's and pandas' words for it."""

REMOVAL_GUARDS = frozenset({"max_removals", "max_removals_share"})
"""Guards of which `skip_removals` can be said: what they measure can be left undone while the rest is sent."""


def is_nothing(given: Any) -> bool:
    """Whether a value says nothing: None, blank, a word for None, an empty list, or a list in which one item is so."""
    if given is None:
        return True
    if isinstance(given, Mapping) or hasattr(given, "__arrow_c_stream__"):
        return False
    if isinstance(given, list | tuple | set | frozenset):
        return not given or any(map(is_nothing, given))
    text = trimmed(str(given))
    if text.lower() in EMPTY_TEXTS:
        return True
    several = literal(text) if text.startswith(("[", "(")) else None
    return isinstance(several, list | tuple) and is_nothing(several)


def optional(given: Any) -> str | None:
    """A text, or None."""
    return None if is_nothing(given) else trimmed(str(given))


def text(given: Any, name: str) -> str:
    """A text. A whole number is the text of its digits: the ids of some vendors' audiences are numbers."""
    given = scalar(given)
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    if isinstance(given, bool | float) or not isinstance(given, str | int):
        raise InvalidArgument(
            f"`{name}` is of type {type(given).__name__}, and should be a text. To fix: pass a text for `{name}`."
        )
    return trimmed(str(given))


def scalar(given: Any) -> Any:
    """A NumPy scalar as Python's own."""
    return given.item() if type(given).__module__ == "numpy" and hasattr(given, "item") else given


def path(given: Any) -> str:
    """A path as text: of a `Path`, of an `ObjectStoragePath`, and the address of an Asset."""
    if hasattr(given, "iterdir"):
        return str(given)
    uri = getattr(given, "uri", None)
    if isinstance(uri, str):
        return uri
    if not isinstance(given, str):
        raise InvalidSegment(
            f"A path is of type {type(given).__name__}. To fix: pass a text, a Path, an ObjectStoragePath or an Asset."
        )
    return given.strip()


def segment(given: Any, name: str = "segment") -> str | list[str]:
    """A path, or several."""
    if isinstance(given, str):
        listed = literal(given.strip()) if given.strip().startswith("[") else None
        return [path(item) for item in listed] if isinstance(listed, list) else given.strip()
    if hasattr(given, "iterdir") or isinstance(getattr(given, "uri", None), str):
        return path(given)
    if not isinstance(given, Sequence) or isinstance(given, bytes | bytearray):
        raise InvalidSegment(
            f"`{name}` is of type {type(given).__name__}, and should be a path or a list of paths. To fix: pass a "
            "text, a Path, an ObjectStoragePath, an Asset, or a list of them; a frame goes to `hook.export`."
        )
    return [path(item) for item in given]


def paths(given: Any, name: str = "suppression_list") -> tuple[str, ...]:
    """No path, one, or several."""
    listed = segment(given, name) if given is not None else ""
    several = [listed] if isinstance(listed, str) else listed
    return tuple(item for item in several if optional(item))


def mapping(given: Any, name: str) -> dict[str, str]:
    """Column by field."""
    read = literal(given) if isinstance(given, str) else given
    if not isinstance(read, Mapping):
        raise InvalidArgument(
            f"`{name}` should map fields to columns, as {{'email': 'email'}}, or be such a mapping as JSON text."
        )
    for field, column in read.items():
        if not isinstance(field, str) or not isinstance(column, str) or is_nothing(column):
            raise InvalidArgument(
                f"`{name}` gives the field {field!r} the column {column!r}. To fix: name a column, or take the "
                f"field out of `{name}`."
            )
    return dict(read)


def number(given: Any, name: str) -> int:
    """A whole number."""
    given = scalar(given)
    digits = f"{given:.0f}" if isinstance(given, float) and given.is_integer() else str(given).strip()
    digits = digits.removesuffix(".0")  # a param of type number, as its template renders
    if not digits.isdecimal():
        raise InvalidArgument(f"`{name}` is {given!r}, and should be a whole number.")
    return int(digits)


def positive(given: Any, name: str) -> int:
    """A whole number from 1."""
    found = number(given, name)
    if not found:
        raise InvalidArgument(f"`{name}` is 0, and every segment is larger. To fix: give a number from 1.")
    return found


def refuse_unrendered(given: Any, name: str) -> None:
    """Refuse a template that nobody rendered, in a text, a path, a list or a mapping."""
    if isinstance(given, Mapping):
        given = [*given, *given.values()]
    if isinstance(given, list | tuple | set | frozenset):
        for item in given:
            refuse_unrendered(item, name)
        return
    written = given if isinstance(given, str) else getattr(given, "uri", None)
    written = str(given) if hasattr(given, "iterdir") else written
    if isinstance(written, str) and ("{{" in written or "{%" in written):
        raise InvalidArgument(
            f"`{name}` holds a template that was not rendered: {written!r}. Nothing was sent. To fix: templates are "
            "rendered in arguments of operators, once: pass the value itself to a hook, and write no template into "
            "what a template yields (an f-string writes `{{{{ ds }}}}` for `{{ ds }}`)."
        )


def flag(given: Any, name: str) -> bool:
    """Yes or no; a template or a form brings a word."""
    value = yes_no(scalar(given))
    if value is None:
        raise InvalidArgument(f"`{name}` is {given!r}, and should be true or false.")
    return value


def choice(given: Any, name: str, choices: tuple[Choice, ...]) -> Choice:
    """One of a few words."""
    word = str(given).strip()
    for known in choices:
        if word == known:
            return known
    raise InvalidArgument(f"`{name}` is {word!r}, and should be {' or '.join(map(repr, choices))}.")


def consent(column: str | None, suppression: tuple[str, ...]) -> Consent:
    """Who is withheld."""
    return Consent(column=column, suppression_list=suppression)


def guards(given: Any, name: str = "guards") -> dict[str, Guard | None]:
    """Guards by name: a limit, `{"limit": ..., "action": ...}`, or None that switches one off."""
    read = {} if is_nothing(given) else literal(given.strip()) if isinstance(given, str) else given
    if not isinstance(read, Mapping):
        raise InvalidArgument(
            f"`{name}` should map names to limits, as {{'max_shrink': 0.3}}, or be such a mapping as JSON text."
        )
    if unknown := [guard for guard in read if guard not in KNOWN_GUARDS]:
        raise InvalidArgument(
            f"There is no guard {', '.join(map(repr, unknown))}. There are: {', '.join(sorted(KNOWN_GUARDS))}."
        )
    return {str(guard): _guard(guard, value) for guard, value in read.items()}


def _guard(name: str, given: Any) -> Guard | None:
    """One guard; of what is not told, the limit and the consequence are those that hold anyway."""
    if given is None:
        return None
    usual = GUARDS.get(name)
    told = given if isinstance(given, Mapping) else {"limit": given}
    if strange := [word for word in told if word not in {"limit", "action"}]:
        raise InvalidArgument(f"Guard {name!r} has `limit` and `action`, and no {', '.join(map(repr, strange))}.")
    limit = told.get("limit", usual.limit if usual else None)
    measure = _limit(limit)
    if measure is None:
        raise InvalidArgument(f"Guard {name!r}: the limit is {limit!r}, and should be a number; None switches it off.")
    then = choice(
        told.get("action") or (usual.action if usual else "fail"), f"action of guard {name}", get_args(GuardAction)
    )
    if then == "skip_removals" and name not in REMOVAL_GUARDS:
        raise InvalidArgument(
            f"Guard {name!r} cannot `skip_removals`: only removals can be left undone while the rest is sent."
        )
    return Guard(measure, then)


def _limit(given: Any) -> float | None:
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
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def one_of(*choices: str) -> Any:
    """A reader of one of a few words."""
    return partial(choice, choices=choices)

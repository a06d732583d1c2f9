"""A task's arguments after templates: a form or a template brings texts where a DAG brings objects."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from airflow_provider_segexport.errors import BadMatching, BadSegment

Choice = TypeVar("Choice", bound=str)


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


def choice(given: Any, name: str, choices: tuple[Choice, ...]) -> Choice:
    """One of a few words."""
    text = str(given).strip()
    for one in choices:
        if text == one:
            return one
    raise BadMatching(f"`{name}` is {text!r}, and should be {' or '.join(map(repr, choices))}.")


def literal(text: str) -> Any:
    """What a text stands for: JSON, or Python as a template writes lists and mappings; None where it is neither."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            continue
    return None

"""Writes the operator call of a plan as Python: `arguments -> code to paste into a DAG`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LINE_CHARS = 100
"""Longest line in characters, with four for the indent. A longer mapping or list is written with one item a line."""

IMPORT = "from airflow_provider_segexport.operators.segment_export import SegmentExportOperator"


def operator_call(conn_id: str, given: Mapping[str, Any], *, task_id: str = "export") -> str:
    """Return the call of `SegmentExportOperator` with the arguments that were given, and its import.

    Args:
        conn_id: the Airflow connection.
        given: value by argument, as the operator takes it.
        task_id: the task's id.
    """
    arguments = {"task_id": task_id, "conn_id": conn_id, **given}
    lines = [f"    {name}={_value(value, len(name))}," for name, value in arguments.items()]
    return "\n".join([IMPORT, "", "SegmentExportOperator(", *lines, ")"])


def _value(value: Any, used_chars: int) -> str:
    """Return a value's code, on one line if it fits."""
    line = _code(value)
    if used_chars + len(line) <= LINE_CHARS or not isinstance(value, Mapping | list) or not value:
        return line
    if isinstance(value, Mapping):
        items = [f"        {_text(key)}: {_code(item)}," for key, item in value.items()]
        return "\n".join(["{", *items, "    }"])
    return "\n".join(["[", *(f"        {_code(item)}," for item in value), "    ]"])


def _code(value: Any) -> str:
    """Return a value as Python code. Airflow renders each text to the given text; it does not render keys."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(key)}: {_code(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_code, value)) + "]"
    return _text(_unrendered(value)) if isinstance(value, str) else repr(value)


def _unrendered(text: str) -> str:
    """Return a template that renders to the text.

    Jinja drops comments and the last line break of a template, and changes carriage returns.
    """
    if "{#" in text or "\r" in text or text.endswith("\n"):
        return f"{{{{ {text!r} }}}}"
    return text


def _text(text: str) -> str:
    """Return a text as Python code: in double quotes if it needs no escape, else as `repr` writes it."""
    plain = repr(text)
    return f'"{text}"' if plain == f"'{text}'" and '"' not in text else plain

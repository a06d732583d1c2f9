"""Turns an item's shape into one SQL expression: `Object -> text`, a column of ready-made JSON.

DuckDB's `concat` leaves out nulls and `||` passes them on: a pair `',"Key":' || to_json(x)` vanishes with its value.
"""

from __future__ import annotations

import json

from airflow_provider_segexport.ports.engine import literal, quoted
from airflow_provider_segexport.shape import Array, Column, Const, Joined, Node, Object


def expression(item: Object) -> str:
    """The item as SQL; never null."""
    return f"concat('{{', {_members(item)}, '}}')"


def _members(item: Object) -> str:
    """The pairs of an object, with the comma before the first cut off."""
    if not item.members:
        return "''"
    pairs = ", ".join(literal(f",{json.dumps(key)}:") + f" || {_value(node)}" for key, node in item.members.items())
    return f"substr(concat({pairs}), 2)"


def _value(node: Node) -> str:
    match node:
        case Const(value):
            return literal(json.dumps(value, ensure_ascii=False))
        case Column(name, "text"):
            return f"to_json({quoted(name)})::varchar"
        case Column(name):
            return quoted(name)
        case Joined(names):
            parts = ", ".join(quoted(name) for name in names)
            return f"to_json(nullif(concat_ws(' ', {parts}), ''))::varchar"
        case Array(elements):
            inner = ", ".join(f"',' || {_element(element)}" for element in elements) or "''"
            return f"'[' || nullif(substr(concat({inner}), 2), '') || ']'"
        case Object():
            return f"'{{' || nullif({_members(node)}, '') || '}}'"


def _element(node: Node) -> str:
    """An element of an array; an object of it goes when one of its columns is null, or it would name a key alone."""
    if not isinstance(node, Object):
        return _value(node)
    pairs = " || ".join(
        literal(("{" if first else ",") + json.dumps(key) + ":") + f" || {_value(value)}"
        for first, (key, value) in zip([True, *[False] * len(node.members)], node.members.items(), strict=False)
    )
    return f"({pairs} || '}}')"

"""Turn an item template into one SQL expression: `JsonTemplate -> text`, a column of finished JSON.

All pieces of an item are arguments of one `concat`, which leaves out nulls. So the key, quotes and brackets around a
value are null if the value is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from airflow_provider_segexport.storage.duckdb_engine import literal, quoted
from airflow_provider_segexport.vendors.item_template import (
    EMAIL,
    Array,
    Column,
    Const,
    Joined,
    JsonTemplate,
    Node,
    When,
)


def expression(item: JsonTemplate, suffix: str = "") -> str:
    """Return SQL of the item as text; it is never null. `suffix` is a text after the item, such as a comma."""
    return _concat(["'{'", *_members(item), literal("}" + suffix)])


def _concat(pieces: Iterable[str]) -> str:
    """Return SQL of the pieces joined."""
    return f"concat({', '.join(_merged(pieces))})"


def _merged(pieces: Iterable[str]) -> list[str]:
    """Return the pieces with adjacent constants joined."""
    merged: list[str] = []
    for piece in pieces:
        if merged and merged[-1].startswith("'") and piece.startswith("'"):
            merged[-1] = merged[-1][:-1] + piece[1:]
        else:
            merged.append(piece)
    return merged


def _if(condition: str, sql: str) -> str:
    """Return SQL that is null if the condition does not hold."""
    return sql if condition == "true" else f"case when {condition} then {sql} end"


def _members(item: JsonTemplate) -> list[str]:
    """Return the pieces of an object's present pairs, with commas between them."""
    pieces: list[str] = []
    earlier: list[str] = []
    for key, node in item.members.items():
        pieces += _pieces(node, json.dumps(key) + ":", earlier)
        earlier.append(_presence(node))
    return pieces


def _pieces(node: Node, prefix: str, earlier: Sequence[str]) -> list[str]:
    """Return the pieces of a node, all null if the node is absent.

    Args:
        node: a node of the template.
        prefix: a text before the node, such as its key.
        earlier: SQL conditions of the presence of the nodes before it, which decide whether a comma is needed.
    """
    condition = _presence(node)
    match node:
        case _ if condition == "false":
            return []
        case JsonTemplate():
            opening, inner, closing = prefix + "{", _members(node), "}"
        case Array(elements):
            opening, inner, closing = prefix + "[", _elements(elements), "]"
        case _:
            return _guarded(condition, [_with_comma(prefix, earlier), *_complete(node)])
    return [_if(condition, _with_comma(opening, earlier)), *inner, _if(condition, literal(closing))]


def _with_comma(text: str, earlier: Sequence[str]) -> str:
    """Return SQL of the text, with a comma before it if any of the earlier nodes is present.

    Writing all commas and removing the first would copy the object once more, a quarter of an item's time.
    """
    possible = [condition for condition in earlier if condition != "false"]
    if "true" in possible:
        return literal("," + text)
    if not possible:
        return literal(text)
    none = " and ".join(f"not {condition}" for condition in possible)
    return f"case when {none} then {literal(text)} else {literal(',' + text)} end"


def _guarded(condition: str, pieces: list[str]) -> list[str]:
    """Return the pieces, null if the condition does not hold."""
    return [_if(condition, piece) for piece in _merged(pieces) if piece != "''"]


def _elements(elements: tuple[Node, ...]) -> list[str]:
    """Return the pieces of an array's present elements, with commas between them.

    An object in an array is present only if all of its parts are. Otherwise it could be a key without a value.
    """
    pieces: list[str] = []
    earlier: list[str] = []
    for node in elements:
        first, *others = _merged(_complete(node))
        opening = [_with_comma(_unquoted(first), earlier), *others] if first.startswith("'") else None
        pieces += _guarded(_is_complete(node), opening or [_with_comma("", earlier), first, *others])
        earlier.append(f"({_is_complete(node)})" if _is_complete(node) != "true" else "true")
    return pieces


def _unquoted(sql: str) -> str:
    """Return the text of an SQL string."""
    return sql[1:-1].replace("''", "'")


def _complete(node: Node) -> list[str]:
    """Return the pieces of a node of which every part is present."""
    match node:
        case Const(value):
            return [literal(json.dumps(value, ensure_ascii=False))]
        case Column():
            return [_value(node)]
        case Joined(names):
            return [f"to_json(concat_ws(' ', {', '.join(map(quoted, names))}))"]
        case JsonTemplate(members):
            plain = {key: member for key, member in members.items() if not isinstance(member, When)}
            pairs = [[literal(json.dumps(key) + ":"), *_complete(member)] for key, member in plain.items()]
            optional = [_after(key, member) for key, member in members.items() if isinstance(member, When)]
            return ["'{'", *_with_commas(pairs), *optional, "'}'"]
        case When(_, inner):
            return ["'{'", *_members(inner), "'}'"]
        case Array(elements):
            return ["'['", *_with_commas([_complete(element) for element in elements]), "']'"]


def _value(column: Column) -> str:
    """Return SQL of a column's JSON value."""
    if column.form != "text":
        return quoted(column.name)
    written = f"to_json({quoted(column.name)})"
    return f"replace({written}::varchar, {', '.join(map(literal, column.split))})" if column.split else written


def _after(key: str, node: When) -> str:
    """Return SQL of a comma and a pair; null if the pair is absent. It follows a pair that is always present."""
    return _if(_presence(node), _concat([literal(f",{json.dumps(key)}:"), *_complete(node)]))


def _with_commas(parts: list[list[str]]) -> list[str]:
    return [piece for number, part in enumerate(parts) for piece in (["','"] if number else []) + part]


def _presence(node: Node) -> str:
    """Return the SQL condition under which a node is present."""
    match node:
        case Const():
            return "true"
        case Column(name) | When(name):
            return "true" if name == EMAIL else f"({quoted(name)} is not null)"
        case Joined(names):
            return f"(coalesce({', '.join(map(quoted, names))}) is not null)"
        case Array(elements):
            return _any(map(_is_complete, elements))
        case JsonTemplate(members):
            return _any(map(_presence, members.values()))


def _is_complete(node: Node) -> str:
    """Return the SQL condition under which every part of a node is present."""
    if not isinstance(node, JsonTemplate | Array):
        return _presence(node)
    parts = node.members.values() if isinstance(node, JsonTemplate) else node.elements
    needed = (part for part in parts if not isinstance(part, When))
    conditions = [condition for condition in map(_is_complete, needed) if condition != "true"]
    return " and ".join(conditions) or "true"


def _any(conditions: Iterable[str]) -> str:
    alternatives = list(conditions)
    if "true" in alternatives:
        return "true"
    return f"({' or '.join(alternatives)})" if alternatives else "false"

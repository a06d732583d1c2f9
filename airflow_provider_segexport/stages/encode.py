"""Turns an item's shape into one SQL expression: `Object -> text`, a column of ready-made JSON.

All pieces of an item are arguments of one `concat`, which leaves out nulls: what stands around a value is null with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from airflow_provider_segexport.storage.duckdb_engine import literal, quoted
from airflow_provider_segexport.vendors.item_template import Array, Column, Const, Joined, JsonTemplate, Node

ALWAYS = "email"
"""The column that no item lacks."""


def expression(item: JsonTemplate, behind: str = "") -> str:
    """The item as SQL, with a text behind it; never null."""
    return _concat(["'{'", *_members(item), literal("}" + behind)])


def _concat(pieces: Iterable[str]) -> str:
    """One text of all pieces."""
    return f"concat({', '.join(_merged(pieces))})"


def _merged(pieces: Iterable[str]) -> list[str]:
    """The pieces, with neighbouring constants made one."""
    merged: list[str] = []
    for piece in pieces:
        if merged and merged[-1].startswith("'") and piece.startswith("'"):
            merged[-1] = merged[-1][:-1] + piece[1:]
        else:
            merged.append(piece)
    return merged


def _given(condition: str, sql: str) -> str:
    """The SQL where the condition holds, and null elsewhere."""
    return sql if condition == "true" else f"case when {condition} then {sql} end"


def _members(item: JsonTemplate) -> list[str]:
    """The pairs of an object that are there, with commas between them."""
    pieces: list[str] = []
    earlier: list[str] = []
    for key, node in item.members.items():
        pieces += _pieces(node, json.dumps(key) + ":", earlier)
        earlier.append(_presence(node))
    return pieces


def _pieces(node: Node, head: str, earlier: Sequence[str]) -> list[str]:
    """A node behind its head; all null where it is not there. `earlier`: when nodes before it are."""
    condition = _presence(node)
    match node:
        case _ if condition == "false":
            return []
        case JsonTemplate():
            opening, inner, closing = head + "{", _members(node), "}"
        case Array(elements):
            opening, inner, closing = head + "[", _elements(elements), "]"
        case _:
            return _guarded(condition, [_behind_comma(head, earlier), *_solid(node)])
    return [_given(condition, _behind_comma(opening, earlier)), *inner, _given(condition, literal(closing))]


def _behind_comma(text: str, earlier: Sequence[str]) -> str:
    """The text, with a comma before it where any of the earlier nodes is there.

    To write all commas and cut off the first would copy the object once more: a quarter of the time of an item.
    """
    possible = [condition for condition in earlier if condition != "false"]
    if "true" in possible:
        return literal("," + text)
    if not possible:
        return literal(text)
    none = " and ".join(f"not {condition}" for condition in possible)
    return f"case when {none} then {literal(text)} else {literal(',' + text)} end"


def _guarded(condition: str, pieces: list[str]) -> list[str]:
    """Pieces that are there under one condition."""
    return [_given(condition, piece) for piece in _merged(pieces) if piece != "''"]


def _elements(elements: tuple[Node, ...]) -> list[str]:
    """Elements with commas between those that are there; of an object all is there, or it would name a key alone."""
    pieces: list[str] = []
    earlier: list[str] = []
    for node in elements:
        first, *rest = _merged(_solid(node))
        opening = [_behind_comma(_text(first), earlier), *rest] if first.startswith("'") else None
        pieces += _guarded(_whole(node), opening or [_behind_comma("", earlier), first, *rest])
        earlier.append(f"({_whole(node)})" if _whole(node) != "true" else "true")
    return pieces


def _text(sql: str) -> str:
    """What an SQL string says."""
    return sql[1:-1].replace("''", "'")


def _solid(node: Node) -> list[str]:
    """A node of which nothing lacks."""
    match node:
        case Const(value):
            return [literal(json.dumps(value, ensure_ascii=False))]
        case Column(name, "text", split):
            written = f"to_json({quoted(name)})"
            return [f"replace({written}::varchar, {', '.join(map(literal, split))})" if split else written]
        case Column(name):
            return [quoted(name)]
        case Joined(names):
            return [f"to_json(concat_ws(' ', {', '.join(map(quoted, names))}))"]
        case JsonTemplate(members):
            pairs = [[literal(json.dumps(key) + ":"), *_solid(member)] for key, member in members.items()]
            return ["'{'", *_with_commas(pairs), "'}'"]
        case Array(elements):
            return ["'['", *_with_commas([_solid(element) for element in elements]), "']'"]


def _with_commas(listed: list[list[str]]) -> list[str]:
    return [piece for number, one in enumerate(listed) for piece in (["','"] if number else []) + one]


def _presence(node: Node) -> str:
    """When a node is there, as SQL."""
    match node:
        case Const():
            return "true"
        case Column(name):
            return "true" if name == ALWAYS else f"({quoted(name)} is not null)"
        case Joined(names):
            return f"(coalesce({', '.join(map(quoted, names))}) is not null)"
        case Array(elements):
            return _any(map(_whole, elements))
        case JsonTemplate(members):
            return _any(map(_presence, members.values()))


def _whole(node: Node) -> str:
    """When all of a node is there."""
    if not isinstance(node, JsonTemplate | Array):
        return _presence(node)
    parts = node.members.values() if isinstance(node, JsonTemplate) else node.elements
    conditions = [one for one in map(_whole, parts) if one != "true"]
    return " and ".join(conditions) or "true"


def _any(conditions: Iterable[str]) -> str:
    listed = list(conditions)
    if "true" in listed:
        return "true"
    return f"({' or '.join(listed)})" if listed else "false"

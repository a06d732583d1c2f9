"""Turns an item's shape into one SQL expression of a hash: `Object -> ubigint`, the same where the same would be sent.

It is of the values, each behind a mark of where it goes, and of what is the same in every item; nulls have no part in
it, nor has the order of fields. So a row that did not change is known without its JSON being made, and a field that is
matched anew concerns those who have a value for it. Stable over versions and machines: a stored hash is compared months
later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from airflow_provider_segexport.storage.duckdb_engine import hashed, literal, quoted
from airflow_provider_segexport.vendors.item_template import Array, Column, Const, Joined, JsonTemplate, Node

BETWEEN = "\x1f"
"""Before each mark. No value holds it: control characters are replaced."""

MARK_BYTES = 4


def expression(item: JsonTemplate) -> str:
    """The hash as SQL."""
    marked = [f"case when {column} is not null then {mark} end, {column}" for mark, column in sorted(_columns(item))]
    pieces = ", ".join([literal(_digest(_form(item, constants=True))), *marked])
    return hashed(f"concat({pieces})")


def _columns(item: JsonTemplate) -> Iterator[tuple[str, str]]:
    """Every column of an item behind the mark of its place, as SQL."""
    for place, name in _placed(item, ()):
        yield literal(BETWEEN + _digest(place)), quoted(name)


def _digest(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=MARK_BYTES).hexdigest()


def _placed(node: Node, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Where each column goes, and its name. What it is called here, and its number in a list, play no part."""
    match node:
        case Const():
            return
        case Column(name, form, split):
            yield (*path, form, *(split or ())), name
        case Joined(names):
            yield from (((*path, "joined", number), name) for number, name in enumerate(names))
        case JsonTemplate(members):
            for key, member in members.items():
                yield from _placed(member, (*path, key))
        case Array(elements):
            for element in elements:
                yield from _placed(element, (*path, [_form(element)]))


def _form(node: Node, *, constants: bool = False) -> Any:
    """What a node is but for the names of its columns; or of it only what stands in every item."""
    match node:
        case Const(value):
            return {"always": value}
        case Column(_, form):
            return None if constants else form
        case Joined(names):
            return None if constants else len(names)
        case JsonTemplate(members):
            forms = {key: _form(member, constants=constants) for key, member in members.items()}
            return {key: form for key, form in forms.items() if form is not None} or None
        case Array(elements):
            # An element with a column comes and goes with it, and its constants are part of that column's mark.
            listed = [element for element in elements if not (constants and any(_placed(element, ())))]
            return [_form(element, constants=constants) for element in listed] or None

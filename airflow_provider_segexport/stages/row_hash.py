"""Turn an item template into one SQL expression of a hash: `JsonTemplate -> ubigint`, equal if the same data is sent.

The hash covers each value with a path mark, which says where the value goes, and the constants of every item. Nulls and
the order of fields do not count. The address does not count either, because only hashes of the same address are
compared. So an unchanged row is recognised without building its JSON, and a newly mapped field
changes only the rows that have a value for it. So does a field whose values the vendor has lost. The hash is stable
over versions and machines, because a stored hash is compared months later.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_segexport.storage.duckdb_engine import hashed, literal, quoted
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

SEPARATOR = "\x1f"
"""Before each path mark. No value contains it, because control characters are replaced."""

MARK_BYTES = 4
"""Length of a path mark's digest. An item has a few hundred paths at most, so two marks never coincide in practice."""


def expression(item: JsonTemplate, generations: Mapping[str, int] | None = None) -> str:
    """Return the hash as SQL.

    Args:
        item: the vendor's template.
        generations: by column, the generation of the vendor's field that it feeds (`storage.known_fields`); a
            column that is missing has generation 0.
    """
    marks = sorted(_marks(item, generations or {}))
    constants = _digest([_form(item, constants=True), [mark for mark, name in marks if name == EMAIL]])
    columns = [(literal(SEPARATOR + mark), quoted(name)) for mark, name in marks if name != EMAIL]
    marked = [f"case when {column} is not null then {mark} end, {column}" for mark, column in columns]
    return hashed(f"concat({', '.join([literal(constants), *marked])})")


def _marks(item: JsonTemplate, generations: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Yield path mark and column of every value of an item."""
    for path, name in _paths(item, ()):
        generation = generations.get(name, 0)
        yield _digest((*path, generation) if generation else path), name


def _digest(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    # MD5 takes 64 bytes at a time, so short marks save time.
    return base64.b85encode(hashlib.blake2b(text.encode(), digest_size=MARK_BYTES).digest()).decode()


def _paths(node: Node, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Yield the path and the name of each column. A path contains neither the name nor an index in a list."""
    match node:
        case Const():
            return
        case Column(name, form, split):
            yield (*path, form, *(split or ())), name
        case Joined(names):
            yield from (((*path, "joined", number), name) for number, name in enumerate(names))
        case JsonTemplate(members):
            for key, member in members.items():
                yield from _paths(member, (*path, key))
        case Array(elements):
            for element in elements:
                yield from _paths(element, (*path, [_form(element)]))
        case When(_, inner):
            yield from _paths(inner, (*path, [_form(inner, constants=True)]))


def _form(node: Node, *, constants: bool = False) -> Any:
    """Return the structure of a node without the names of its columns; with `constants`, only what every item has."""
    match node:
        case Const(value):
            return {"always": value}
        case Column(_, form):
            return None if constants else form
        case Joined(names):
            return None if constants else len(names)
        case When():
            return None  # a row without this node has the same hash as in a template without the node
        case JsonTemplate(members):
            forms = {key: _form(member, constants=constants) for key, member in members.items()}
            return {key: form for key, form in forms.items() if form is not None} or None
        case Array(elements):
            # An element is absent if its column is null. Its constants are part of the column's path mark.
            counted = [element for element in elements if not (constants and any(_paths(element, ())))]
            return [_form(element, constants=constants) for element in counted] or None

"""JSON template of one item in a vendor's request: a tree of columns and constants.

A vendor builds the tree once for each export, and `stages.encode` turns it into a SQL expression, so no Python runs per
row. A null column is left out together with its key. It is never sent as null, because null clears a field at
dotdigital, while an omitted field keeps its value at every vendor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Json = str | int | float | bool

EMAIL = "email"
"""The column of the address, which has a value in every row."""


@dataclass(frozen=True, slots=True)
class Column:
    """The value of a cleaned column.

    Attributes:
        name: the plan's column.
        form: the JSON type of the value.
        split: separator of several values in the column, and the JSON text that replaces it; for a vendor that expects
            several values of one key as separate array elements.
    """

    name: str
    form: Literal["text", "number", "boolean"] = "text"
    split: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """The non-null values of several text columns, joined with a space."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Const:
    """A constant."""

    value: Json


@dataclass(frozen=True, slots=True)
class JsonTemplate:
    """A JSON object. It is left out if all its columns are null, unless it is the item itself."""

    members: Mapping[str, Node]


@dataclass(frozen=True, slots=True)
class Array:
    """A JSON array of its non-null elements. It is left out if all are null."""

    elements: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class When:
    """A JSON object that is present if a column has a value. It alone does not make its parent present.

    Attributes:
        column: the plan's column.
        node: the object; its null members are left out.
    """

    column: str
    node: JsonTemplate


Node = Column | Joined | Const | JsonTemplate | Array | When

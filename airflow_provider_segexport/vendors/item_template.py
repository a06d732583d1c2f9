"""The shape of one item in a vendor's request: a small tree of columns and constants.

A vendor builds the tree once an export; the plan stage turns it into a columnar expression. Nothing runs per row in
Python. A null column is left out together with its key, never sent as null: null clears a field at dotdigital, and
an omitted field keeps its value at every vendor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Json = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Column:
    """A cleaned column by its name in the plan.

    Attributes:
        form: the JSON type that the column is written in.
        split: a text that separates several values in the column, and the JSON that stands in its place between the
            values; for a vendor that takes several values of one key as several elements.
    """

    name: str
    form: Literal["text", "number", "boolean"] = "text"
    split: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """Several text columns, those that are there, with a space between."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Const:
    """The same value in every item."""

    value: Json


@dataclass(frozen=True, slots=True)
class JsonTemplate:
    """A JSON object. Left out as a whole when all its columns are null, unless it is the item itself."""

    members: Mapping[str, Node]


@dataclass(frozen=True, slots=True)
class Array:
    """A JSON array of the elements that are there; left out when none is."""

    elements: tuple[Node, ...]


Node = Column | Joined | Const | JsonTemplate | Array

"""Shows a few planned items as the vendor would get them, without personal data: `plan, template -> masked items`.

Keys stay, because they come from the field mapping. The template's constants stay, too, such as the audience. Every
other value becomes a description: `j…@e….com` for an address, and kind and length for any other value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.storage.plan import ITEM_SUFFIX
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.vendors.item_template import Array, Column, Const, Joined, JsonTemplate, Node, When

PREVIEW_ITEMS = 3
"""Items in a preview: enough to see that the field mapping is right."""

ELEMENT = ""
"""The part of a path for each element of an array."""

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
SHOWN_TLD = re.compile(r"[a-z]{2,12}", re.ASCII)
DATE = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}/\d{4}", re.ASCII)
DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.*", re.ASCII | re.DOTALL)
PHONE = re.compile(r"\+[0-9][0-9 ().-]{5,}", re.ASCII)
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)

Path = tuple[str, ...]
Constants = frozenset[tuple[Path, str]]


def preview(folder: RunFolder, template: JsonTemplate) -> list[Any]:
    """Return the first planned items with masked values; none if nothing is to be sent.

    Args:
        folder: folder of a run whose rows are planned.
        template: the template from which the items were made.
    """
    with closing(folder.upserts(["item"])) as rows:
        items = rows.batch(0).column(0).slice(0, PREVIEW_ITEMS).to_pylist() if len(rows) else []
    shown = constants(template)
    return [mask(json.loads(item.removesuffix(ITEM_SUFFIX)), shown) for item in items]


def constants(template: Node) -> Constants:
    """Return the constants of a template, each with its path."""
    return frozenset(_constants(template, ()))


def _constants(node: Node, path: Path) -> Iterator[tuple[Path, str]]:
    match node:
        case Const(value):
            yield path, json.dumps(value)
        case JsonTemplate(members):
            for key, member in members.items():
                yield from _constants(member, (*path, key))
        case Array(elements):
            for element in elements:
                yield from _constants(element, (*path, ELEMENT))
        case When():
            yield from _constants(node.node, path)
        case Column() | Joined():
            return


def mask(value: Any, shown: Constants = frozenset(), path: Path = ()) -> Any:
    """Return a JSON value in which each value is a description of itself.

    Args:
        value: an item, or a part of it.
        shown: the constants that stay as they are.
        path: path of the value in the item.
    """
    if isinstance(value, dict):
        return {key: mask(member, shown, (*path, key)) for key, member in value.items()}
    if isinstance(value, list):
        return [mask(element, shown, (*path, ELEMENT)) for element in value]
    return value if (path, json.dumps(value)) in shown else describe(value)


def describe(value: Any) -> str:
    """Return the kind and length of a value; for an address, its first letters and its top-level domain."""
    if isinstance(value, bool):
        return "<true or false>"
    text = value if isinstance(value, str) else json.dumps(value)
    if EMAIL.fullmatch(text):
        return _address(text)
    digits = counted(sum(char.isdecimal() for char in text), "digit")
    kinds = {DATE: "date", DATE_TIME: "date and time", PHONE: f"phone number, {digits}", NUMBER: f"number, {digits}"}
    length = counted(len(text), "character")
    return f"<{next((kind for pattern, kind in kinds.items() if pattern.fullmatch(text)), f'text, {length}')}>"


def _address(text: str) -> str:
    """Return an address as `j…@e….com`. A letter outside ASCII and an unusual top-level domain are left out."""
    local, _, domain = text.rpartition("@")
    first, second = (part[:1] if part[:1].isascii() and part[:1].isalnum() else "" for part in (local, domain))
    top = domain.rpartition(".")[2].lower()
    return f"{first}…@{second}….{top if SHOWN_TLD.fullmatch(top) else '…'}"

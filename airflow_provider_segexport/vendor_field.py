"""A custom field of an audience, and the values that it accepts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class VendorField:
    """A custom field as the vendor holds it.

    Attributes:
        key: the vendor's name of the field.
        type: the type of its values.
        options: the values of a select field; empty for a field that takes any value.
        separator: separates the options of one value; empty for a field that holds one option.
        earliest, latest: bounds of a date field's values, as ISO dates; empty without bounds.
        decimals: decimal places of a number field; None without a limit.
        id: the vendor's id, which changes if a field is deleted and recreated; empty if the vendor has none.
    """

    key: str
    type: Literal["text", "number", "boolean", "date", "datetime"] = "text"
    options: tuple[str, ...] = ()
    separator: str = ""
    earliest: str = ""
    latest: str = ""
    decimals: int | None = None
    id: str = ""

"""Shared by the vendors' contacts: compact storage of fields, email validation, and reproducible ids."""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Fields = tuple[object, ...]
"""Packed fields: a tuple of names, then the values."""
History = tuple[tuple[float, str], ...]
"""Events of a contact, oldest first: seconds since the epoch and a description."""

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# No vendor publishes its address syntax. Assumed: ASCII, a dot in the domain, no spaces.
_EMAIL = re.compile(
    rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~-]+)*"
    rf"@(?:{_LABEL}\.)+{_LABEL}"
)
_EMAIL_LENGTH = 254

_field_names: dict[tuple[str, ...], tuple[str, ...]] = {}


def is_email(text: str) -> bool:
    """Whether the vendors accept `text` as an email address."""
    return len(text) <= _EMAIL_LENGTH and _EMAIL.fullmatch(text) is not None


def pack(fields: Mapping[str, object]) -> Fields:
    """Pack fields into one tuple; contacts with the same fields share the tuple of names, to save memory."""
    names = tuple(fields)
    return (_field_names.setdefault(names, names), *fields.values())


def unpack(packed: Fields) -> dict[str, object]:
    """Return the fields as a dict: the inverse of `pack`."""
    names = packed[0]
    return dict(zip(names, packed[1:], strict=True)) if isinstance(names, tuple) else {}


NO_FIELDS = pack({})


class Ids:
    """Generator of ids that depend only on the seed, so that a repeated run gets the same ids."""

    def __init__(self, seed: int, vendor: str) -> None:
        self._random = Random(f"{seed}:{vendor}")  # noqa: S311 - repeatable, not secret

    def hex(self, digits: int = 32) -> str:
        """Return random lower-case hexadecimal digits."""
        return f"{self._random.getrandbits(digits * 4):0{digits}x}"

    def guid(self) -> str:
        """Return a random id in the form of a UUID."""
        h = self.hex()
        return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"

    def number(self, low: int, high: int) -> int:
        """Return a random whole number from `low` to `high`, both included."""
        return self._random.randint(low, high)

"""A person, by their address: as ledgers hold it, and as a receipt may name it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_segexport.address import WHITESPACE, judge
from airflow_provider_segexport.errors import BadSegment


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """Somebody who is looked for.

    Attributes:
        typed: the address as it was given, trimmed and in lower case.
        email: the address as it is sent and kept.
    """

    typed: str
    email: str

    @classmethod
    def of(cls, text: str) -> Person:
        """The person of an address.

        Raises:
            BadSegment: the text is no address at all.
        """
        typed = text.strip(WHITESPACE).lower()
        if "@" not in typed:
            raise BadSegment("That is no email address: it has no @.")
        return cls(typed, judge(typed).email or typed)

    @property
    def mark(self) -> str:
        """SHA-256 of the address, as suppression lists have it: names a person to who knows the address already."""
        return hashlib.sha256(self.email.encode()).hexdigest()

    def rows(self, emails: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """Which of some addresses are this person's; rejected rows hold them as the segment had them."""
        plain = pc.utf8_lower(pc.utf8_trim(emails, WHITESPACE))
        found = pc.is_in(plain, value_set=pa.array(sorted({self.typed, self.email}), pa.string()))
        return pc.fill_null(found, False)  # noqa: FBT003 - Arrow has no name for it

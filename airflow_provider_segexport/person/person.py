"""Identifies a person by their email address, as ledgers store it, or by its hash, as receipts do."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from unicodedata import normalize

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_segexport.email_address import extract_address, validate
from airflow_provider_segexport.errors import InvalidSegment

LOCAL_PART_CHARS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]"
ENCODED_MAILTO = "(?i)mailto:[^@]*%"
"""A link with a percent-encoded address, which may not contain the address in plain text."""


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """A person to look up or erase.

    Attributes:
        email: the address as exports send and store it; an address that cannot be sent, as it was given.
    """

    email: str

    @classmethod
    def of(cls, text: str) -> Person:
        """Return the person of an address.

        Raises:
            InvalidSegment: the text is no email address.
        """
        if "@" not in extract_address(text):
            raise InvalidSegment("This is not an email address: it has no @. To fix: pass one address.")
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise InvalidSegment("This is not an email address: it is not UTF-8. To fix: pass one address in UTF-8.")
        return cls(_normalised(text))

    @property
    def mark(self) -> str:
        """SHA-256 of the address, as in suppression lists. A reader who knows the address can recognise it."""
        return hashlib.sha256(self.email.encode()).hexdigest()

    def rows(self, emails: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """Return which of the addresses are this person's, as a boolean column.

        Rejected rows contain addresses as the segment had them. Equal texts are compared as a column; the few texts
        that may be another spelling of the address are validated one by one, as an export validates them.
        """
        if isinstance(emails, pa.ChunkedArray):
            # Chunk by chunk: one array holds 2 GiB of text at most, and rejected addresses may be long. An empty chunk
            # is left out, because PyArrow 18 to 21 crash at it in `indices_nonzero`.
            return pa.chunked_array([self.rows(chunk) for chunk in emails.chunks if len(chunk)], pa.bool_())
        exact = pc.fill_null(pc.equal(emails, self.email), False)  # noqa: FBT003 - Arrow has no name for it
        candidates = pc.match_substring_regex(emails, self._spellings())
        indexes = pc.indices_nonzero(pc.and_not(pc.fill_null(candidates, False), exact))  # noqa: FBT003
        texts = emails.take(indexes).to_pylist()
        matches = [
            index for index, text in zip(indexes.to_pylist(), texts, strict=True) if _normalised(text) == self.email
        ]
        if not matches:
            return exact
        return pc.or_(exact, pc.is_in(pa.array(range(len(emails)), pa.int64()), pa.array(matches, pa.int64())))

    def _spellings(self) -> str:
        """Return a pattern that matches every other spelling of the address, and few other texts."""
        if not self.email.isascii():
            return r"[^\x00-\x7F]"
        local = re.escape(self.email.rpartition("@")[0])
        return f"(?i)(^|[^{LOCAL_PART_CHARS[1:-1]}]){local}@|{ENCODED_MAILTO}"


def _normalised(text: str) -> str:
    """Return the address as exports send it; one that cannot be sent, in lower case and composed letters.

    If that makes a non-ASCII address ASCII, it is returned as given, because the ASCII address is another person's.
    """
    email = validate(text).email
    if email is not None:
        return email
    given = extract_address(text)
    normalised = normalize("NFC", given.lower())
    return given if normalised.isascii() and not given.isascii() else normalised

"""A person, by their address: as ledgers hold it, and as a receipt may name it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from unicodedata import normalize

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_segexport.email_address import bare, judge
from airflow_provider_segexport.errors import InvalidSegment

LOCAL_SIGN = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]"
ENCODED = "(?i)mailto:[^@]*%"
"""A link whose address is percent-encoded, so that it need not hold the address as it is."""


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """Somebody who is looked for.

    Attributes:
        email: the address as it is sent and kept; one that cannot be sent as it was given.
    """

    email: str

    @classmethod
    def of(cls, text: str) -> Person:
        """The person of an address.

        Raises:
            InvalidSegment: the text is no address at all.
        """
        if "@" not in bare(text):
            raise InvalidSegment("That is no email address: it has no @.")
        return cls(_spelled(text))

    @property
    def mark(self) -> str:
        """SHA-256 of the address, as suppression lists have it: names a person to who knows the address already."""
        return hashlib.sha256(self.email.encode()).hexdigest()

    def rows(self, emails: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """Which of some addresses are this person's; rejected rows hold them as the segment had them.

        Equal texts are compared as a column. Texts that may be another spelling of the address are few, and are judged
        one by one as an export judges them.
        """
        exact = pc.fill_null(pc.equal(emails, self.email), False)  # noqa: FBT003 - Arrow has no name for it
        maybe = pc.match_substring_regex(emails, self._spellings())
        indexes = pc.indices_nonzero(pc.and_not(pc.fill_null(maybe, False), exact))  # noqa: FBT003
        texts = emails.take(indexes).to_pylist()
        theirs = [at for at, text in zip(indexes.to_pylist(), texts, strict=True) if _spelled(text) == self.email]
        if not theirs:
            return exact
        return pc.or_(exact, pc.is_in(pa.array(range(len(emails)), pa.int64()), pa.array(theirs, pa.int64())))

    def _spellings(self) -> str:
        """A pattern that every other spelling of the address matches, and few other texts."""
        if not self.email.isascii():
            return r"[^\x00-\x7F]"
        local = re.escape(self.email.rpartition("@")[0])
        return f"(?i)(^|[^{LOCAL_SIGN[1:-1]}]){local}@|{ENCODED}"


def _spelled(text: str) -> str:
    """The one spelling of an address: as it is sent; one that cannot be sent in lower case and composed letters.

    Unless that makes an ASCII address of it, which is somebody else's.
    """
    email = judge(text).email
    if email is not None:
        return email
    given = bare(text)
    spelled = normalize("NFC", given.lower())
    return given if spelled.isascii() and not given.isascii() else spelled

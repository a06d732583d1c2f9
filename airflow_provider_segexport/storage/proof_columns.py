"""The columns of a segment that hold the proof of consent, as an export's arguments name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ARGUMENTS: Mapping[str, str] = {
    "source": "consent_source_column",
    "text": "consent_text",
    "ip": "consent_ip_column",
    "user_agent": "consent_user_agent_column",
}
"""The argument of each optional part of the proof."""

CONSENTED_AT_COLUMN = "consented_at_column"
"""The argument of the moment of consent."""


@dataclass(frozen=True, slots=True)
class ProofColumns:
    """The proof of consent of a segment's rows.

    Attributes:
        consented_at: column with the moment of consent.
        columns: column by part, of `ARGUMENTS`.
        text: the text that every person has agreed to; empty if there is none, or if it has a column.
    """

    consented_at: str
    columns: Mapping[str, str]
    text: str = ""

    def arguments(self) -> dict[str, str]:
        """Return the argument of each part that is given, by part."""
        return {
            part: name for part, name in ARGUMENTS.items() if part in self.columns or (part == "text" and self.text)
        }

    def names(self) -> list[str]:
        """Return the columns that are read."""
        return [self.consented_at, *self.columns.values()]

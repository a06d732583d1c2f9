"""The contract of a proof of consent: the parts that a vendor takes, and those that a row's JSON can contain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.vendors.item_template import Column, Const

PROOF_AT = "proof_at"
"""The plan's column with the moment of consent, `2026-01-31T12:00:00Z`; null in a row without proof."""

PROOF_PARTS = {
    "source": "proof_source",
    "text": "proof_text",
    "ip": "proof_ip",
    "user_agent": "proof_user_agent",
}
"""The plan's column of each part of a proof beside its moment; null in a row without proof."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentProof:
    """A vendor's rules for the proof of a person's consent.

    Attributes:
        parts: the parts that the vendor stores, of `PROOF_PARTS`.
        required: parts without which the vendor takes no proof. A row without one of them is sent without proof.
        source_is_url: the source must be a URL.
        subscribes: an item with proof subscribes the person. The run then reads `Vendor.list_optouts` first, and sends
            people who have opted out since their consent without proof.
        why_not: returns why a proof may subscribe no person of an account, by what is known of it; empty if it may.
    """

    parts: frozenset[str]
    required: frozenset[str] = frozenset()
    source_is_url: bool = False
    subscribes: bool = False
    why_not: Callable[[Audience], str] | None = None


@dataclass(frozen=True, slots=True)
class MappedProof:
    """The proof of consent that an export sends.

    Attributes:
        columns: the parts that have a column in the plan, of `PROOF_PARTS`.
        text: the text that every person has agreed to; empty if there is none, or if it has a column.
        is_in_utc: every file has moments with a zone, so they are in UTC when they have been read.
    """

    columns: tuple[str, ...] = ()
    text: str = ""
    is_in_utc: bool = False

    def node(self, part: str) -> Column | Const | None:
        """Return the template's node of a part; None if the export has no such part."""
        if part in self.columns:
            return Column(PROOF_PARTS[part])
        return Const(self.text) if part == "text" and self.text else None

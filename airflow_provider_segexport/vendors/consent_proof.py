"""Contract of a proof of consent: the parts that a vendor accepts, and the parts that an export sends."""

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
"""The plan's column for each part of a proof except its moment; null in a row without proof."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentProof:
    """A vendor's rules for the proof of a person's consent.

    Attributes:
        parts: the keys of `PROOF_PARTS` that the vendor stores.
        required: parts that the vendor requires. A row that lacks one of them is sent without proof.
        source_is_url: the source must be a URL.
        subscribes: an item with proof subscribes the person. The run then reads `Vendor.list_optouts` first, and sends
            people who have opted out since their consent without proof.
        why_not: returns why a proof may not subscribe people of an account, judged by its facts (`Audience.extra`);
            empty if it may.
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
        columns: the keys of `PROOF_PARTS` that have a column in the plan.
        text: the text that every person has agreed to; empty if there is none, or if the text has a column.
        is_in_utc: the moments in every file have a time zone, so they are in UTC after the read.
    """

    columns: tuple[str, ...] = ()
    text: str = ""
    is_in_utc: bool = False

    def node(self, part: str) -> Column | Const | None:
        """Return the template node for a part; None if the export does not send that part."""
        if part in self.columns:
            return Column(PROOF_PARTS[part])
        return Const(self.text) if part == "text" and self.text else None

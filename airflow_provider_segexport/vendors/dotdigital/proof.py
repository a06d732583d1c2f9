"""dotdigital: the proof of consent of a contact.

`consentRecords` takes one to five records. Each has `text`, `dateTimeConsented`, `url`, `ipAddress` (IPv4 or IPv6) and
`userAgent`, all of them required (contacts specification 3.4.3, read 2026-11). A record documents a consent and changes
no status.
"""

from __future__ import annotations

from airflow_provider_segexport.vendors.consent_proof import PROOF_AT, PROOF_PARTS, ConsentProof, MappedProof
from airflow_provider_segexport.vendors.item_template import Array, Column, JsonTemplate, Node

PROOF = ConsentProof(parts=frozenset(PROOF_PARTS), required=frozenset(PROOF_PARTS), source_is_url=True)

NOT_APPLIED = "consentrecordsnotapplied"
"""Failure code, in lower case, for a contact whose import did not store its consent records."""

MEMBERS = {"text": "text", "url": "source", "ipAddress": "ip", "userAgent": "user_agent"}
"""Part of the proof for each member of a record."""


def records(proof: MappedProof) -> Array:
    """Return the template of `consentRecords`, which is left out of rows without proof."""
    record: dict[str, Node] = {"dateTimeConsented": Column(PROOF_AT)}
    for member, part in MEMBERS.items():
        if (node := proof.node(part)) is not None:
            record[member] = node
    return Array((JsonTemplate(record),))

"""Omnisend: item members that subscribe people with proof of consent.

An identifier with `channels` sets a status as of `statusChangedAt`. "If you post a status date earlier than in the
system, status and statusDate won't be changed" (contacts page of v3, read 2026-11), so an opt-out after the consent
stays. The page of 2026-03-15 does not repeat the sentence, so the run also reads the unsubscribed contacts.

`consent` has the members `source`, `createdAt`, `ip` and `userAgent`, all optional (contacts OpenAPI 2026-03-15, read
2026-11). It has no member for the consent text.
"""

from __future__ import annotations

from airflow_provider_segexport.vendors.consent_proof import PROOF_AT, ConsentProof, MappedProof
from airflow_provider_segexport.vendors.item_template import Column, Const, JsonTemplate, Node, When
from airflow_provider_segexport.vendors.omnisend.account_facts import why_not_subscribed

PROOF = ConsentProof(parts=frozenset({"source", "ip", "user_agent"}), subscribes=True, why_not=why_not_subscribed)

SUBSCRIBED = "subscribed"

MEMBERS = {"source": "source", "ip": "ip", "userAgent": "user_agent"}
"""Part of the proof for each member of `consent`."""


def with_proof(identifier: JsonTemplate, proof: MappedProof) -> JsonTemplate:
    """Return an email's identifier that, in rows with proof, subscribes the person as of the time of consent."""
    status: dict[str, Node] = {"status": Const(SUBSCRIBED), "statusChangedAt": Column(PROOF_AT)}
    consent: dict[str, Node] = {"createdAt": Column(PROOF_AT)}
    for member, part in MEMBERS.items():
        if (node := proof.node(part)) is not None:
            consent[member] = node
    return JsonTemplate(
        {
            **identifier.members,
            "channels": When(PROOF_AT, JsonTemplate({"email": JsonTemplate(status)})),
            "consent": When(PROOF_AT, JsonTemplate(consent)),
        }
    )

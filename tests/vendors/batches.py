"""Batches of addresses alone, as an export would write them."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_segexport.model import Batch, BatchKind, batch_id

ITEMS = {
    "campaign_monitor": '{{"EmailAddress":"{0}","ConsentToTrack":"Unchanged"}}',
    "dotdigital": '{{"matchIdentifier":"email","identifiers":{{"email":"{0}"}},"lists":[{1}]}}',
    "constant_contact": '{{"email":"{0}"}}',
    "omnisend": '{{"identifiers":[{{"type":"email","id":"{0}","sendWelcomeMessage":false}}],"tags":["{1}"]}}',
}


def upserts(vendor: str, audience: str, emails: Sequence[str], kind: BatchKind = BatchKind.UPSERT) -> Batch:
    items = [ITEMS[vendor].format(email, audience) for email in emails]
    return Batch(batch_id(items, kind=kind), range(len(items)), list(emails), items, kind=kind)

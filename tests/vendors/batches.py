"""Batches whose items contain only addresses, as an export would write them."""

from __future__ import annotations

from collections.abc import Sequence

from vendors.rows import row

from airflow_provider_segexport.model import Batch, BatchKind, batch_id


def upserts(vendor: str, audience: str, emails: Sequence[str], kind: BatchKind = BatchKind.UPSERT) -> Batch:
    items = [row(vendor).item.format(email, audience) for email in emails]
    return Batch(batch_id(items, kind=kind), range(len(items)), list(emails), items, kind=kind)

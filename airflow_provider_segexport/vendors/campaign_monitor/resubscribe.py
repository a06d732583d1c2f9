"""Campaign Monitor: adds people to a list again after an export has removed them.

`Resubscribe: true` makes every person active, also a person who unsubscribed (vendor page: "should be used with
caution", read 2026-08). It is therefore sent only for people who are not on the client's suppression list, and whose
state is Deleted in a read just before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.model import Audience, Batch, BatchReply, BatchResult, Operation, Reason, RowRejection
from airflow_provider_segexport.vendors.campaign_monitor.imports import import_batch
from airflow_provider_segexport.vendors.campaign_monitor.subscribers import (
    ABSENT,
    ACTIVE,
    DELETED,
    find_client,
    read_state,
    read_suppression_list,
    why_inactive,
)
from airflow_provider_segexport.vendors.responses import as_text

SUPPRESSED_CODE = "204"
SUPPRESSION_UNREADABLE = (
    "This key cannot read the client's suppression list, so the person is not added again. To fix: put the client's id "
    "into the Airflow connection."
)


def resubscribe_removed(audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """Resubscribe people whose state is Deleted. People who are active or not in the list are imported as usual."""
    states = [""] * len(batch)
    for row, email in enumerate(batch.emails):
        states[row] = yield from read_state(audience, email)
    deleted = [row for row, state in enumerate(states) if state == DELETED]
    ordinary = [row for row, state in enumerate(states) if state in {ACTIVE, ABSENT}]
    rejected = yield from find_suppressed(audience, batch, deleted)
    for row, state in enumerate(states):
        if state not in {ACTIVE, DELETED, ABSENT}:
            rejected[row] = why_inactive(row, state)
    unattributed = 0
    allowed = [row for row in deleted if row not in rejected]
    for rows, resubscribe in ((ordinary, False), (allowed, True)):
        if rows:
            result = yield from import_batch(audience, batch.subset(rows), resubscribe=resubscribe)
            rejected |= {rows[each.index]: replace(each, index=rows[each.index]) for each in result.rejected}
            unattributed += result.unattributed
    return BatchResult(rejected=tuple(rejected[row] for row in sorted(rejected)), unattributed=unattributed)


def find_suppressed(audience: Audience, batch: Batch, deleted: Sequence[int]) -> Operation[dict[int, RowRejection]]:
    """Return rejections for the people on the suppression list; for all people if the list cannot be read.

    Args:
        audience: the list.
        batch: the people to add again.
        deleted: rows of the batch whose state is Deleted.
    """
    if not deleted:
        return {}
    client = yield from find_client(audience)
    if not client:
        return {row: RowRejection(row, Reason.DELETED, "", SUPPRESSION_UNREADABLE) for row in deleted}
    pending = {canonical(batch.emails[row]): row for row in deleted}
    rejected: dict[int, RowRejection] = {}

    def on_suppressed(entries: Sequence[dict[str, Any]]) -> bool:
        for entry in entries:
            row = pending.pop(canonical(as_text(entry.get("EmailAddress"))), None)
            if row is not None:
                message = "On the client's suppression list."
                rejected[row] = RowRejection(row, Reason.SUPPRESSED, SUPPRESSED_CODE, message)
        return bool(pending)

    yield from read_suppression_list(audience, client, on_suppressed)
    return rejected

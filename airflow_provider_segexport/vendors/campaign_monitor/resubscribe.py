"""Campaign Monitor: people whom we took out of a list, back into it.

`Resubscribe: true` brings back whoever is not active, also people who unsubscribed (vendor page: "should be used with
caution", read 2026-08). So it goes out for those alone whom the list holds as Deleted when it is asked just before, and
whom the client's suppression list does not hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from airflow_provider_segexport.email_address import same
from airflow_provider_segexport.model import Audience, Batch, BatchReply, BatchResult, Operation, Reason, RowRejection
from airflow_provider_segexport.vendors.campaign_monitor.imports import BODY_SUFFIX, RESUBSCRIBE_SUFFIX, import_batch
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
    "The client's suppression list cannot be read with this key, so that it is not known whether this person may be "
    "brought back. Put the client's id into the Airflow connection."
)


def resubscribe_removed(audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """Bring back who is Deleted; who is active by now, or nobody's, is imported as anybody else."""
    states: dict[int, str] = {}
    for at, email in enumerate(batch.emails):
        states[at] = yield from read_state(audience, email)
    deleted = [at for at, found in states.items() if found == DELETED]
    ordinary = [at for at, found in states.items() if found in {ACTIVE, ABSENT}]
    refused = yield from find_suppressed(audience, batch, deleted)
    refused |= {at: why_inactive(at, found) for at, found in states.items() if found not in {ACTIVE, DELETED, ABSENT}}
    unnamed = 0
    for indexes, tail in ((ordinary, BODY_SUFFIX), ([at for at in deleted if at not in refused], RESUBSCRIBE_SUFFIX)):
        if indexes:
            settled = yield from import_batch(audience, batch.subset(indexes), tail)
            refused |= {indexes[one.index]: replace(one, index=indexes[one.index]) for one in settled.rejected}
            unnamed += settled.unattributed
    return BatchResult(rejected=tuple(refused[at] for at in sorted(refused)), unattributed=unnamed)


def find_suppressed(audience: Audience, batch: Batch, deleted: Sequence[int]) -> Operation[dict[int, RowRejection]]:
    """Which of the deleted stand on the suppression list; where it cannot be read, none may be brought back."""
    if not deleted:
        return {}
    client = yield from find_client(audience)
    if not client:
        return {at: RowRejection(at, Reason.DELETED, "", SUPPRESSION_UNREADABLE) for at in deleted}
    left = {same(batch.emails[at]): at for at in deleted}
    found: dict[int, RowRejection] = {}

    def take(page: Sequence[dict[str, Any]]) -> bool:
        for one in page:
            at = left.pop(same(as_text(one.get("EmailAddress"))), None)
            if at is not None:
                found[at] = RowRejection(at, Reason.SUPPRESSED, SUPPRESSED_CODE, "On the client's suppression list.")
        return bool(left)

    yield from read_suppression_list(audience, client, take)
    return found

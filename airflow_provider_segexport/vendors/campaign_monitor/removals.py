"""Campaign Monitor: removal from a list, one person in a call.

`DELETE` makes an active person Deleted in this list: not unsubscribed, not suppressed, and unchanged in the client's
other lists (endpoint pages of v3.3 and the official clients, read 2026-08). No call removes several people.
"""

from __future__ import annotations

from airflow_provider_segexport.errors import BatchRejected
from airflow_provider_segexport.model import Audience, Batch, BatchReply, BatchResult, Operation, Request
from airflow_provider_segexport.vendors.base import Limits, Removal
from airflow_provider_segexport.vendors.campaign_monitor.responses import error_of, raise_for
from airflow_provider_segexport.vendors.campaign_monitor.subscribers import (
    ACTIVE,
    NOT_IN_LIST,
    read_state,
    subscriber_url,
    why_inactive,
)


def remove(audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """Delete the active people. All others keep their state, because deleting an opt-out would erase it."""
    rejected = []
    for row, email in enumerate(batch.emails):
        state = yield from read_state(audience, email)
        if state == ACTIVE:
            yield from delete(audience, email)
        else:
            rejected.append(why_inactive(row, state))
    return BatchResult(rejected=tuple(rejected))


def delete(audience: Audience, email: str) -> Operation[None]:
    """Delete a person who was active a moment ago.

    Code 203 counts as success: an attempt whose response was lost, or another client, has deleted the person since.
    """
    url = subscriber_url(audience)
    response = yield Request("DELETE", url, query={"email": email}, headers={"accept": "application/json"})
    if response.status in {200, 204}:
        return
    if response.status == 400:  # noqa: PLR2004
        code, message = error_of(response)
        if code == NOT_IN_LIST:
            return
        raise BatchRejected(str(code), message)
    raise_for(response)


REMOVAL = Removal(
    remove=remove,
    # Two calls for each person. No rate is published, but 429 occurs (createsend-ruby#67), so four in parallel are a
    # modest choice.
    limits=Limits(batch_rows=1, batch_bytes=1_000, max_concurrency=4, max_jobs=0, timeout_s=120),
)

"""Campaign Monitor: leavers out of a list, one person a call.

Endpoint pages of v3.3 and the official clients, read 2026-08. `DELETE` makes an active person Deleted in this list:
not unsubscribed, not suppressed, in the client's other lists as before. There is no call for several.
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
    """Delete who is active. Anybody else keeps their state: an opt-out that was deleted would be none any more."""
    refused = []
    for index, email in enumerate(batch.emails):
        found = yield from read_state(audience, email)
        if found == ACTIVE:
            yield from delete(audience, email)
        else:
            refused.append(why_inactive(index, found))
    return BatchResult(rejected=tuple(refused))


def delete(audience: Audience, email: str) -> Operation[None]:
    """Take one out who was active just now.

    203 says that it is done: a first try of this call whose answer was lost, or somebody else a moment before.
    """
    response = yield Request(
        "DELETE", subscriber_url(audience), query={"email": email}, headers={"accept": "application/json"}
    )
    if response.status in {200, 204}:
        return
    if response.status == 400:  # noqa: PLR2004
        code, words = error_of(response)
        if code == NOT_IN_LIST:
            return
        raise BatchRejected(str(code), words)
    raise_for(response)


REMOVAL = Removal(
    remove=remove,
    # Two calls a person. No rate is published; 429 does occur (createsend-ruby#67), and four at a time is modest.
    limits=Limits(batch_rows=1, batch_bytes=1_000, max_concurrency=4, max_jobs=0, timeout_s=120),
)

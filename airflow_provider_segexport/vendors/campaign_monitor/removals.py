"""Campaign Monitor: removes people from a list, one person per call.

`DELETE` changes an active person's state in this list to Deleted. It does not unsubscribe or suppress the person, and
it changes no other list of the client (endpoint pages of v3.3 and the official clients, read 2026-08). No call removes
several people.
"""

from __future__ import annotations

from airflow_provider_segexport.model import Audience, Batch, BatchReply, BatchResult, Operation, Request
from airflow_provider_segexport.vendors.base import Limits, Removal
from airflow_provider_segexport.vendors.campaign_monitor.responses import error_of, raise_for, reject
from airflow_provider_segexport.vendors.campaign_monitor.subscribers import (
    ACTIVE,
    NOT_IN_LIST,
    read_state,
    subscriber_url,
    why_inactive,
)


def remove(audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """Delete the active people. All other people keep their state, because deleting an opt-out would erase it."""
    rejected = []
    for row, email in enumerate(batch.emails):
        state = yield from read_state(audience, email)
        if state == ACTIVE:
            yield from delete(audience, email)
        else:
            rejected.append(why_inactive(row, state))
    return BatchResult(rejected=tuple(rejected))


def delete(audience: Audience, email: str) -> Operation[None]:
    """Delete a person whose state was active in a read just before.

    Code 203 counts as success: another client, or an attempt whose response was lost, has already deleted the person.
    """
    url = subscriber_url(audience)
    response = yield Request("DELETE", url, query={"email": email}, headers={"accept": "application/json"})
    if response.status in {200, 204}:
        return
    if response.status == 400:  # noqa: PLR2004
        if error_of(response)[0] == NOT_IN_LIST:
            return
        reject(response)
    raise_for(response)


REMOVAL = Removal(
    remove=remove,
    # Two calls for each person. No rate limit is published, but 429 occurs (createsend-ruby#67), so four parallel calls
    # are a conservative choice.
    limits=Limits(batch_rows=1, batch_bytes=1_000, max_concurrency=4, max_jobs=0, timeout_s=120),
)

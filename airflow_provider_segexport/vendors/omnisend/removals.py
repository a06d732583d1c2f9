"""Omnisend: leavers lose the tag, by address.

Contacts OpenAPI 2026-03-15, read 2026-08. The subscription stays as it is, and so do all other tags. Accepted with 202
and done later: there is no job to ask for, and addresses that the brand does not know are ignored in silence.
"""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_segexport.errors import BatchRejected
from airflow_provider_segexport.model import Audience, Batch, BatchReply, BatchResult, Operation, Sleep
from airflow_provider_segexport.vendors.base import Limits, OnPage, Removal
from airflow_provider_segexport.vendors.omnisend.members import list_members, read_page, to_members
from airflow_provider_segexport.vendors.omnisend.responses import error_of, raise_for, read_json, versioned
from airflow_provider_segexport.vendors.responses import as_object, get, required_list, send_json

TAGS_SCOPE = "tags"  # 60 calls a minute, counted apart


def remove(audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """Take the tag off up to 250 people: a DELETE with a body."""
    body = {"emails": list(batch.emails), "tags": [audience.audience]}
    response = yield versioned(send_json("DELETE", f"{audience.base_url}/contacts/tags", body), TAGS_SCOPE)
    if response.status in {200, 202, 204}:
        return BatchResult()
    if response.status in {400, 413}:
        raise BatchRejected(*error_of(response))
    raise_for(response)


def find_members(audience: Audience, emails: Sequence[str], on_page: OnPage) -> Operation[None]:
    """Who still has the tag: by pages of all who have it while fewer were read than people are wanted, then one by one.

    How many have a tag is told nowhere, and a page costs as much as a read of one person: this is at most twice what
    the better of the two ways takes.
    """
    wanted, after, pages = set(emails), "", 0
    while len(wanted) > pages + 1:
        people, following = yield from read_page(audience, after)
        here = [one for one in people if one.email in wanted]
        on_page(here)
        wanted -= {one.email for one in here}
        if not following or following == after:
            return
        after, pages = following, pages + 1
    unclear: set[str] = set()
    for email in sorted(wanted):
        found = as_object(read_json((yield versioned(get(f"{audience.base_url}/contacts", email=email)))))
        contacts = required_list(found.get("contacts"), "contacts")
        if not all(isinstance(one.get("tags"), list) for one in contacts):
            unclear.add(email)
            continue
        has_tag = [one for one in contacts if audience.audience in one["tags"]]
        on_page([one for one in to_members(has_tag) if one.email == email])
    if unclear:  # the list of people with the tag tells what a contact's own record does not
        yield Sleep(0)
        yield from list_members(audience, lambda people: on_page([one for one in people if one.email in unclear]))


REMOVAL = Removal(
    remove=remove,
    limits=Limits(batch_rows=250, batch_bytes=100_000, max_concurrency=4, max_jobs=0, timeout_s=30),
    find_members=find_members,
    confirms=False,  # 202 promises the work and reports nothing of it
)

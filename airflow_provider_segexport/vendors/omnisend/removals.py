"""Omnisend: removes the tag from people, by address.

The subscription and all other tags do not change. The vendor responds with 202 and removes the tag later. There is
no job to poll, and addresses that the brand does not have are silently ignored (contacts OpenAPI 2026-03-15, read
2026-08).
"""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_segexport.errors import BatchRejected
from airflow_provider_segexport.model import Audience, Batch, BatchReply, BatchResult, Operation, Sleep
from airflow_provider_segexport.vendors.base import Limits, OnPage, Removal
from airflow_provider_segexport.vendors.omnisend.members import list_members, read_page, to_members
from airflow_provider_segexport.vendors.omnisend.responses import error_of, raise_for, read_json, versioned
from airflow_provider_segexport.vendors.omnisend.tags import ACCEPTED, tags_request
from airflow_provider_segexport.vendors.responses import as_object, get, required_list


def remove(audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """Remove the tag from up to 250 people, with a DELETE that has a body.

    The call also accepts 250 contact ids. But a stored id may belong to another person by now, and reading the current
    ids takes longer than it saves (docs/decisions/0043-omnisend-removals-by-address.md).
    """
    response = yield tags_request("DELETE", audience, {"emails": list(batch.emails), "tags": [audience.audience]})
    if response.status in {400, 413}:
        raise BatchRejected(*error_of(response))
    if response.status not in ACCEPTED:
        raise_for(response)
    return BatchResult()


def find_members(audience: Audience, emails: Sequence[str], on_page: OnPage) -> Operation[None]:
    """Pass the people who still have the tag to `on_page`: read pages first, then single people.

    The API does not return how many contacts have a tag, and a page costs one call, as a read of one person does. Pages
    are read while more people are missing than the number of pages read, plus one. So this takes at most twice as many
    calls as the better of the two methods.

    Args:
        audience: the audience.
        emails: addresses to look up, normalised.
        on_page: receives the members among them.
    """
    missing, cursor, pages = set(emails), "", 0
    while len(missing) > pages + 1:
        members, next_page = yield from read_page(audience, cursor)
        matches = [member for member in members if member.email in missing]
        on_page(matches)
        missing -= {member.email for member in matches}
        if not next_page:
            return
        cursor, pages = next_page, pages + 1
    unclear: set[str] = set()
    for email in sorted(missing):
        page = as_object(read_json((yield versioned(get(f"{audience.base_url}/contacts", email=email)))))
        contacts = required_list(page.get("contacts"), "contacts")
        if not all(isinstance(contact.get("tags"), list) for contact in contacts):
            unclear.add(email)
            continue
        tagged = [contact for contact in contacts if audience.audience in contact["tags"]]
        on_page([member for member in to_members(tagged) if member.email == email])
    if unclear:  # the contact's record lacks its tags, so read all contacts with the tag
        yield Sleep(0)
        yield from list_members(audience, lambda page: on_page([member for member in page if member.email in unclear]))


REMOVAL = Removal(
    remove=remove,
    limits=Limits(batch_rows=250, batch_bytes=100_000, max_concurrency=4, max_jobs=0, timeout_s=30),
    find_members=find_members,
    confirms=False,  # 202 means that the removal is queued, and no call reports its result
)

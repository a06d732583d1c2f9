"""Constant Contact: leavers out of a list, by contact id: `batch -> removal activity -> state`.

Specification 3.0.178, read 2026-08. Only the membership ends; `permission_to_send` and other lists stay as they are.
Neither imports nor exports tell contact ids (an export's documented fields hold none): they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from airflow_provider_segexport.email_address import same
from airflow_provider_segexport.errors import BatchRejected
from airflow_provider_segexport.model import (
    Audience,
    Batch,
    BatchReply,
    BatchResult,
    JobId,
    JobState,
    Member,
    Operation,
)
from airflow_provider_segexport.vendors.base import Limits, OnPage, Removal
from airflow_provider_segexport.vendors.constant_contact.account import link_url
from airflow_provider_segexport.vendors.constant_contact.imports import STATES, poll, read_activity
from airflow_provider_segexport.vendors.constant_contact.responses import error_of, raise_for, read_json
from airflow_provider_segexport.vendors.responses import (
    GUID,
    as_object,
    as_text,
    get,
    id_of,
    required_id,
    required_list,
    send_json,
)

PAGE_SIZE = 500


def remove(audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """Hand in a removal activity for up to 500 contacts."""
    body = {"source": {"contact_ids": list(batch.items)}, "list_ids": [audience.audience]}
    response = yield send_json("POST", f"{audience.base_url}/activities/remove_list_memberships", body)
    if response.status in {200, 201, 202}:
        return JobId(required_id(response.mapping(), "activity_id", GUID))
    if response.status == 400:  # noqa: PLR2004
        raise BatchRejected(*error_of(response))
    raise_for(response)


def collect(audience: Audience, batch: Batch, job_id: str) -> Operation[BatchResult]:
    """An activity counts what it has processed and names nobody; one that failed goes again as a whole."""
    done = removal_state((yield from read_activity(audience, job_id))) is JobState.FINISHED
    return BatchResult(retry=() if done else tuple(range(len(batch))))


def removal_state(found: dict[str, Any]) -> JobState:
    """A removal's state. One that is absent or not documented is no verdict: its people are looked for in the list."""
    return STATES.get(as_text(found.get("state")), JobState.FINISHED)


def resolve_ids(audience: Audience, emails: Sequence[str], on_page: OnPage) -> Operation[None]:
    """By pages of the list, or one read a person: whatever takes fewer of the day's calls."""
    pages = math.inf if audience.member_count is None else audience.member_count // PAGE_SIZE + 1
    wanted = set(emails)
    if len(emails) > pages:
        yield from find_on_pages(audience, wanted, on_page)
        return
    unclear: set[str] = set()
    for email in emails:
        query = {"email": email, "status": "all", "include": "list_memberships"}
        found = as_object(read_json((yield get(f"{audience.base_url}/contacts", **query))))
        contacts = required_list(found.get("contacts"), "contacts")
        if not all(isinstance(one.get("list_memberships"), list) and id_of(one.get("contact_id")) for one in contacts):
            unclear.add(email)
            continue
        on_page(list(to_members([one for one in contacts if audience.audience in one["list_memberships"]], {email})))
    if unclear:  # the list itself tells what a contact's own record does not
        yield from find_on_pages(audience, unclear, on_page)


def find_on_pages(audience: Audience, wanted: set[str], on_page: OnPage) -> Operation[None]:
    """Read the list, whatever may be sent to its people, until all that are wanted are found."""
    left = set(wanted)
    page = f"{audience.base_url}/contacts?lists={audience.audience}&status=all&limit={PAGE_SIZE}"
    while page and left:
        found = as_object(read_json((yield get(page))))
        here = list(to_members(required_list(found.get("contacts"), "contacts"), left))
        on_page(here)
        left -= {one.email for one in here}
        following = link_url(audience.base_url, found, "next")
        page = "" if following == page else following


def to_members(contacts: Sequence[dict[str, Any]], wanted: set[str]) -> Iterator[Member]:
    """Those among the contacts of an answer who are wanted."""
    for one in contacts:
        address = as_object(one.get("email_address"))
        email = same(as_text(address.get("address")))
        if email in wanted:
            yield Member(email, required_id(one, "contact_id"), address.get("permission_to_send") != "unsubscribed")


REMOVAL = Removal(
    remove=remove,
    limits=Limits(batch_rows=500, batch_bytes=100_000, max_concurrency=4, max_jobs=100, timeout_s=120),
    by_id=True,
    poll=partial(poll, state=removal_state),
    collect=collect,
    resolve_ids=resolve_ids,
    # No `look`: an export of the list takes fewer of the day's calls.
    confirms=False,  # `items_completed_count` counts contacts processed, whether they were in the list or not
)

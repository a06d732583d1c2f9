"""Constant Contact: removes people from a list by contact id, with an activity.

A removal ends only the membership; `permission_to_send` and other lists do not change. Contact ids have to be read,
because neither imports nor exports return them (specification 3.0.178, read 2026-08).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from airflow_provider_segexport.email_address import canonical
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
from airflow_provider_segexport.vendors.look_up import member_lookup
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

PAGE_SIZE = 500  # maximum


def remove(audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """Start a removal activity for up to 500 contacts."""
    body = {"source": {"contact_ids": list(batch.items)}, "list_ids": [audience.audience]}
    response = yield send_json("POST", f"{audience.base_url}/activities/remove_list_memberships", body)
    if response.status in {200, 201, 202}:
        return JobId(required_id(response.mapping(), "activity_id", GUID))
    if response.status == 400:  # noqa: PLR2004
        raise BatchRejected(*error_of(response))
    raise_for(response)


def collect(audience: Audience, batch: Batch, job_id: str) -> Operation[BatchResult]:
    """Return all rows to retry if the activity failed. A finished activity only counts contacts, so it rejects none.

    Args:
        audience: the audience of the job.
        batch: the rows of the job.
        job_id: the vendor's id of the job.
    """
    is_finished = removal_state((yield from read_activity(audience, job_id))) is JobState.FINISHED
    return BatchResult(retry=() if is_finished else tuple(range(len(batch))))


def removal_state(activity: dict[str, Any]) -> JobState:
    """Return a removal's state. An undocumented state counts as finished, because the run reads the list back."""
    return STATES.get(as_text(activity.get("state")), JobState.FINISHED)


def read_contact(audience: Audience, email: str) -> Operation[list[Member] | None]:
    """Return the list's members with an address; None if their records lack the id, the address or the memberships."""
    query = {"email": email, "status": "all", "include": "list_memberships"}
    page = as_object(read_json((yield get(f"{audience.base_url}/contacts", **query))))
    contacts = required_list(page.get("contacts"), "contacts")
    if not all(
        isinstance(contact.get("list_memberships"), list)
        and id_of(contact.get("contact_id"))
        and as_text(as_object(contact.get("email_address")).get("address"))
        for contact in contacts
    ):
        return None
    members = [contact for contact in contacts if audience.audience in contact["list_memberships"]]
    return list(to_members(members, {email}))


def find_on_pages(audience: Audience, wanted: set[str], on_page: OnPage) -> Operation[None]:
    """Read the list's contacts of any status, until all wanted addresses have been read.

    Args:
        audience: the audience.
        wanted: addresses to look up, normalised.
        on_page: receives the members among them.
    """
    missing = set(wanted)
    url = f"{audience.base_url}/contacts?lists={audience.audience}&status=all&limit={PAGE_SIZE}"
    while url and missing:
        page = as_object(read_json((yield get(url))))
        members = list(to_members(required_list(page.get("contacts"), "contacts"), missing))
        on_page(members)
        missing -= {member.email for member in members}
        url = link_url(audience.base_url, page, "next")


def to_members(contacts: Sequence[dict[str, Any]], wanted: set[str]) -> Iterator[Member]:
    """Yield the contacts whose address is wanted."""
    for contact in contacts:
        address = as_object(contact.get("email_address"))
        email = canonical(as_text(address.get("address")))
        if email in wanted:
            is_active = address.get("permission_to_send") != "unsubscribed"
            yield Member(email, required_id(contact, "contact_id"), is_active)


resolve_ids = member_lookup(PAGE_SIZE, read_contact, find_on_pages)

REMOVAL = Removal(
    remove=remove,
    limits=Limits(batch_rows=500, batch_bytes=100_000, max_concurrency=4, max_jobs=100, timeout_s=120),
    by_id=True,
    poll=partial(poll, state_of=removal_state),
    collect=collect,
    resolve_ids=resolve_ids,
    # No `find_members`: an export of the list uses fewer calls of the daily quota.
    confirms=False,  # `items_completed_count` counts processed contacts, also those that were not in the list
)

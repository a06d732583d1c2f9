"""dotdigital: removes people from an address book by contact id, with a job.

A removal does not change the account, the contact's status or its other address books (lists specification v2 and error
registry, read 2026-08). `DELETE /contacts/v3/..` would delete the person from the account and is never called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.errors import BatchRejected, JobSlotsFull
from airflow_provider_segexport.model import (
    Audience,
    Batch,
    BatchReply,
    BatchResult,
    JobId,
    JobState,
    Member,
    Operation,
    Response,
    Sleep,
)
from airflow_provider_segexport.vendors.base import Limits, OnPage, Removal
from airflow_provider_segexport.vendors.dotdigital.members import PAGE_SIZE, list_members
from airflow_provider_segexport.vendors.dotdigital.responses import error_of, is_unknown_contact, raise_for, read_json
from airflow_provider_segexport.vendors.look_up import member_lookup
from airflow_provider_segexport.vendors.responses import (
    DIGITS,
    GUID,
    as_object,
    as_objects,
    as_text,
    get,
    id_of,
    required_id,
    send_batch,
)

BOOK_IN_USE = "ERROR_ADDRESSBOOK_IN_USE"
IN_USE_WAITS_S = (5.0, 15.0, 30.0)
"""Seconds before each retry of a removal from a book in use. After the last retry, the job slots count as full."""

STATES = {"started": JobState.RUNNING, "completed": JobState.ACCEPTED, "failed": JobState.FAILED}
"""Job states by status. A completed job is `ACCEPTED`, because it has no result to collect."""


def remove(audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """Start a removal job, whose body is an array of contact ids. The vendor ignores ids that are not in the book."""
    url = f"{audience.base_url}/v2/address-books/{audience.audience}/contacts/delete"
    waits = iter(IN_USE_WAITS_S)
    while True:
        response = yield send_batch("POST", url, "[", batch, "]")
        if response.status in {200, 202}:
            return JobId(required_id(job_json(response), "id", GUID))
        if response.status in {401, 403}:
            raise_for(response)
        code, message = error_of(response)
        if code == BOOK_IN_USE:
            wait_s = next(waits, None)
            if wait_s is None:
                raise JobSlotsFull(f"The address book is in use at dotdigital ({code}): another job changes it.")
            yield Sleep(wait_s)
        elif response.status == 400 and not code.startswith("ERROR_ADDRESSBOOK"):  # noqa: PLR2004
            raise BatchRejected(code, message)
        else:
            raise_for(response)


def job_json(response: Response) -> dict[str, Any]:
    """Return a job with its keys in lower case, because the specification's example has capitals."""
    return {name.lower(): value for name, value in as_object(read_json(response, 200, 202)).items()}


def poll(audience: Audience, job_ids: Sequence[str]) -> Operation[dict[str, JobState]]:
    """Read the state of each job, with one call per job."""
    states = {}
    for job_id in job_ids:
        states[job_id] = yield from read_state(audience, job_id)
    return states


def read_state(audience: Audience, job_id: str) -> Operation[JobState]:
    """Read a job's state. A job that no longer exists counts as failed.

    The vendor does not document how long it keeps jobs. A state that is absent or undocumented counts as finished,
    because the run checks the removal in the book.
    """
    response = yield get(f"{audience.base_url}/v2/contacts/deletion/{job_id}")
    if response.status == 404:  # noqa: PLR2004
        return JobState.FAILED
    return STATES.get(as_text(job_json(response).get("status")).lower(), JobState.FINISHED)


def collect(audience: Audience, batch: Batch, job_id: str) -> Operation[BatchResult]:
    """Return all rows to retry if the job failed. Removing a contact twice is harmless.

    Args:
        audience: the audience of the job.
        batch: the rows of the job.
        job_id: the vendor's id of the job.
    """
    failed = (yield from read_state(audience, job_id)) is JobState.FAILED
    return BatchResult(retry=tuple(range(len(batch))) if failed else ())


def read_contact(audience: Audience, email: str) -> Operation[list[Member] | None]:
    """Return the book's members with an address; None if the contact's record lacks address, id or books."""
    # The `@` is sent as %40. Logs and rate limit stores use it to recognise an address in a URL.
    response = yield get(f"{audience.base_url}/contacts/v3/email/{quote(email, safe='')}")
    if is_unknown_contact(response):
        return []
    contact = as_object(read_json(response))
    lists, contact_id = contact.get("lists"), id_of(contact.get("contactId"), DIGITS)
    address = as_text(as_object(contact.get("identifiers")).get("email"))
    if canonical(address) != email:
        return None
    list_ids = {as_text(entry.get("id")) for entry in as_objects(lists)}
    if not isinstance(lists, list) or "" in list_ids or len(as_objects(lists)) < len(lists):
        return None
    if audience.audience not in list_ids:
        return []
    return [Member(email, contact_id)] if contact_id else None


def find_on_pages(audience: Audience, wanted: set[str], on_page: OnPage) -> Operation[None]:
    """Read all pages of the book, and pass the members among the wanted addresses to `on_page`.

    Args:
        audience: the audience.
        wanted: addresses to look up, normalised.
        on_page: receives the members among them.
    """
    yield from list_members(audience, lambda page: on_page([member for member in page if member.email in wanted]))


resolve_ids = member_lookup(PAGE_SIZE, read_contact, find_on_pages)

REMOVAL = Removal(
    forgets_optouts=True,
    remove=remove,
    # The maximum of ids in a call is not published. Oro's connector sends 1,000 (OroCRMDotmailerBundle,
    # batch_jobs.yml); a batch that is too large is rejected and halved. The vendor does not document whether two jobs
    # may run on one book. If they may not, it responds with `BOOK_IN_USE`.
    limits=Limits(
        batch_rows=1000, batch_bytes=100_000, max_concurrency=2, max_jobs=4, timeout_s=121, poll_one_per_call=True
    ),
    by_id=True,
    poll=poll,
    collect=collect,
    resolve_ids=resolve_ids,
    find_members=resolve_ids,
    confirms=False,  # a completed job neither names nor counts contacts
)

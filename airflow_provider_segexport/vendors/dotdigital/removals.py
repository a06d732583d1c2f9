"""dotdigital: leavers out of an address book, by contact id: `batch -> removal job -> state`.

Lists specification v2 and the error registry, read 2026-08. The account, the contact's status and its other address
books stay as they are. `DELETE /contacts/v3/..` would delete the person from the account and is never called.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

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
from airflow_provider_segexport.vendors.dotdigital.responses import error_of, raise_for, read_json
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
"""Waits until a book in use is asked again; after them it is as if all job slots were taken."""

# No counters and no names: a job that completes leaves nothing to collect.
STATES = {"started": JobState.RUNNING, "completed": JobState.ACCEPTED, "failed": JobState.FAILED}


def remove(audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """Hand in a removal job: a bare array of contact ids. Ids that are not in the book are passed over in silence."""
    url = f"{audience.base_url}/v2/address-books/{audience.audience}/contacts/delete"
    waits = iter(IN_USE_WAITS_S)
    while True:
        response = yield send_batch("POST", url, "[", batch, "]")
        if response.status in {200, 202}:
            return JobId(required_id(job_json(response), "id", GUID))
        if response.status in {401, 403}:
            raise_for(response)
        code, words = error_of(response)
        if code == BOOK_IN_USE:
            wait = next(waits, None)
            if wait is None:
                raise JobSlotsFull(f"The address book is in use at dotdigital ({code}): another job works on it.")
            yield Sleep(wait)
        elif response.status == 400 and not code.startswith("ERROR_ADDRESSBOOK"):  # noqa: PLR2004
            raise BatchRejected(code, words)
        else:
            raise_for(response)


def job_json(response: Response) -> dict[str, Any]:
    """A job's `id` and `status`, which the specification's example writes with capitals."""
    return {name.lower(): value for name, value in as_object(read_json(response, 200, 202)).items()}


def poll(audience: Audience, job_ids: Sequence[str]) -> Operation[dict[str, JobState]]:
    """One call a job."""
    states = {}
    for ticket in job_ids:
        states[ticket] = yield from read_state(audience, ticket)
    return states


def read_state(audience: Audience, job_id: str) -> Operation[JobState]:
    """A job's state; how long it is kept is not published, and one that is gone counts as failed.

    A state that is absent or not documented is no verdict: the job's people are looked for in the book.
    """
    response = yield get(f"{audience.base_url}/v2/contacts/deletion/{job_id}")
    if response.status == 404:  # noqa: PLR2004
        return JobState.FAILED
    return STATES.get(as_text(job_json(response).get("status")).lower(), JobState.FINISHED)


def collect(audience: Audience, batch: Batch, job_id: str) -> Operation[BatchResult]:
    """A job that failed goes again as a whole: who is out already makes no difference to it."""
    failed = (yield from read_state(audience, job_id)) is JobState.FAILED
    return BatchResult(retry=tuple(range(len(batch))) if failed else ())


def resolve_ids(audience: Audience, emails: Sequence[str], on_page: OnPage) -> Operation[None]:
    """By pages of the book, or one read a person: whatever takes fewer calls."""
    pages = math.inf if audience.member_count is None else audience.member_count // int(PAGE_SIZE) + 1
    if len(emails) > pages:
        wanted = set(emails)
        yield from list_members(audience, lambda page: on_page([one for one in page if one.email in wanted]))
        return
    unclear: set[str] = set()
    for email in emails:
        # The `@` is written as %40, by which whoever logs or counts addresses of calls knows that this is a person's.
        response = yield get(f"{audience.base_url}/contacts/v3/email/{quote(email, safe='')}")
        if response.status == 404:  # noqa: PLR2004 - contacts:contactNotFound
            continue
        found = as_object(read_json(response))
        lists, contact_id = found.get("lists"), id_of(found.get("contactId"), DIGITS)
        ids = {as_text(one.get("id")) for one in as_objects(lists)}
        if not isinstance(lists, list) or "" in ids or len(as_objects(lists)) < len(lists):
            unclear.add(email)
        elif audience.audience in ids:
            on_page([Member(email, contact_id)]) if contact_id else unclear.add(email)
    if unclear:  # the address book itself tells what a contact's own record does not
        yield from list_members(audience, lambda page: on_page([one for one in page if one.email in unclear]))


REMOVAL = Removal(
    forgets_optouts=True,
    remove=remove,
    # The most ids of a call are not published; Oro's connector sends 1,000 (OroCRMDotmailerBundle, batch_jobs.yml), and
    # what is too many is refused and halved. Whether two jobs may work on one book is not stated: the vendor says so.
    limits=Limits(
        batch_rows=1000, batch_bytes=100_000, max_concurrency=2, max_jobs=4, timeout_s=121, poll_one_per_call=True
    ),
    by_id=True,
    poll=poll,
    collect=collect,
    resolve_ids=resolve_ids,
    find_members=resolve_ids,
    confirms=False,  # a job that completes names nobody and counts nothing
)

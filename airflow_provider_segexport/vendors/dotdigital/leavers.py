"""dotdigital: leavers out of an address book, by contact id: `batch -> removal job -> state`.

Lists specification v2 and the error registry, read 2026-08. The account, the contact's status and its other address
books stay as they are. `DELETE /contacts/v3/..` would delete the person from the account and is never called.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from airflow_provider_segexport.contract import Limits, Removal, Tell
from airflow_provider_segexport.errors import BatchRefused, SlotsFull
from airflow_provider_segexport.model import (
    Batch,
    JobState,
    Member,
    Operation,
    Reply,
    Response,
    Settled,
    Target,
    Ticket,
    Wait,
)
from airflow_provider_segexport.vendors.dotdigital.answers import code_and_words, read, refuse
from airflow_provider_segexport.vendors.dotdigital.members import PAGE, members
from airflow_provider_segexport.vendors.replies import (
    DIGITS,
    GUID,
    get,
    id_of,
    inner,
    items,
    needed_id,
    send_items,
    text,
)

BOOK_IN_USE = "ERROR_ADDRESSBOOK_IN_USE"
LOOKS_S = (5.0, 15.0, 30.0)
"""Waits until a book in use is asked again; after them it is as if all job slots were taken."""

# No counters and no names: a job that completes leaves nothing to collect.
STATES = {"started": JobState.RUNNING, "completed": JobState.ACCEPTED, "failed": JobState.FAILED}


def remove(target: Target, batch: Batch) -> Operation[Reply]:
    """Hand in a removal job: a bare array of contact ids. Ids that are not in the book are passed over in silence."""
    url = f"{target.api}/v2/address-books/{target.audience}/contacts/delete"
    waits = iter(LOOKS_S)
    while True:
        response = yield send_items("POST", url, "[", batch, "]")
        if response.status in {200, 202}:
            return Ticket(needed_id(told(response), "id", GUID))
        if response.status in {401, 403}:
            refuse(response)
        code, words = code_and_words(response)
        if code == BOOK_IN_USE:
            wait = next(waits, None)
            if wait is None:
                raise SlotsFull(f"The address book is in use at dotdigital ({code}): another job works on it.")
            yield Wait(wait)
        elif response.status == 400 and not code.startswith("ERROR_ADDRESSBOOK"):  # noqa: PLR2004
            raise BatchRefused(code, words)
        else:
            refuse(response)


def told(response: Response) -> dict[str, Any]:
    """A job's `id` and `status`, which the specification's example writes with capitals."""
    return {name.lower(): value for name, value in inner(read(response, 200, 202)).items()}


def poll(target: Target, tickets: Sequence[str]) -> Operation[dict[str, JobState]]:
    """One call a job."""
    states = {}
    for ticket in tickets:
        states[ticket] = yield from state(target, ticket)
    return states


def state(target: Target, ticket: str) -> Operation[JobState]:
    """A job's state; how long it is kept is not published, and one that is gone counts as failed.

    A state that is absent or not documented is no verdict: the job's people are looked for in the book.
    """
    response = yield get(f"{target.api}/v2/contacts/deletion/{ticket}")
    if response.status == 404:  # noqa: PLR2004
        return JobState.FAILED
    return STATES.get(text(told(response).get("status")).lower(), JobState.FINISHED)


def collect(target: Target, batch: Batch, ticket: str) -> Operation[Settled]:
    """A job that failed goes again as a whole: who is out already makes no difference to it."""
    failed = (yield from state(target, ticket)) is JobState.FAILED
    return Settled(again=tuple(range(len(batch))) if failed else ())


def identify(target: Target, emails: Sequence[str], tell: Tell) -> Operation[None]:
    """By pages of the book, or one read a person: whatever takes fewer calls."""
    pages = math.inf if target.members is None else target.members // int(PAGE) + 1
    if len(emails) > pages:
        wanted = set(emails)
        yield from members(target, lambda page: tell([one for one in page if one.email in wanted]))
        return
    unclear: set[str] = set()
    for email in emails:
        # The `@` is written as %40, by which whoever logs or counts addresses of calls knows that this is a person's.
        response = yield get(f"{target.api}/contacts/v3/email/{quote(email, safe='')}")
        if response.status == 404:  # noqa: PLR2004 - contacts:contactNotFound
            continue
        found = inner(read(response))
        lists, contact_id = found.get("lists"), id_of(found.get("contactId"), DIGITS)
        ids = {text(one.get("id")) for one in items(lists)}
        if not isinstance(lists, list) or "" in ids or len(items(lists)) < len(lists):
            unclear.add(email)
        elif target.audience in ids:
            tell([Member(email, contact_id)]) if contact_id else unclear.add(email)
    if unclear:  # the address book itself tells what a contact's own record does not
        yield from members(target, lambda page: tell([one for one in page if one.email in unclear]))


REMOVAL = Removal(
    loses_optouts=True,
    remove=remove,
    # The most ids of a call are not published; Oro's connector sends 1,000 (OroCRMDotmailerBundle, batch_jobs.yml), and
    # what is too many is refused and halved. Whether two jobs may work on one book is not stated: the vendor says so.
    limits=Limits(batch_rows=1000, batch_bytes=100_000, connections=2, jobs=4, timeout_s=121, one_by_one=True),
    by_id=True,
    poll=poll,
    collect=collect,
    identify=identify,
    look=identify,
    verdict=False,  # a job that completes names nobody and counts nothing
)

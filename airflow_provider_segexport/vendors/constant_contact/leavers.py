"""Constant Contact: leavers out of a list, by contact id: `batch -> removal activity -> state`.

Specification 3.0.178, read 2026-08. Only the membership ends; `permission_to_send` and other lists stay as they are.
Neither imports nor exports tell contact ids (an export's documented fields hold none): they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from airflow_provider_segexport.address import same
from airflow_provider_segexport.contract import Limits, Removal, Tell
from airflow_provider_segexport.errors import BatchRefused
from airflow_provider_segexport.model import Batch, JobState, Member, Operation, Reply, Settled, Target, Ticket
from airflow_provider_segexport.vendors.constant_contact.account import linked
from airflow_provider_segexport.vendors.constant_contact.contacts import STATES, activity, poll
from airflow_provider_segexport.vendors.constant_contact.replies import key_and_words, read, refuse
from airflow_provider_segexport.vendors.replies import GUID, answer_list, get, id_of, inner, needed_id, send_json, text

PAGE = 500


def remove(target: Target, batch: Batch) -> Operation[Reply]:
    """Hand in a removal activity for up to 500 contacts."""
    body = {"source": {"contact_ids": list(batch.items)}, "list_ids": [target.audience]}
    response = yield send_json("POST", f"{target.api}/activities/remove_list_memberships", body)
    if response.status in {200, 201, 202}:
        return Ticket(needed_id(response.mapping(), "activity_id", GUID))
    if response.status == 400:  # noqa: PLR2004
        raise BatchRefused(*key_and_words(response))
    refuse(response)


def collect(target: Target, batch: Batch, ticket: str) -> Operation[Settled]:
    """An activity counts what it has processed and names nobody; one that failed goes again as a whole."""
    done = removal_state((yield from activity(target, ticket))) is JobState.FINISHED
    return Settled(again=() if done else tuple(range(len(batch))))


def removal_state(found: dict[str, Any]) -> JobState:
    """A removal's state. One that is absent or not documented is no verdict: its people are looked for in the list."""
    return STATES.get(text(found.get("state")), JobState.FINISHED)


def identify(target: Target, emails: Sequence[str], tell: Tell) -> Operation[None]:
    """By pages of the list, or one read a person: whatever takes fewer of the day's calls."""
    pages = math.inf if target.members is None else target.members // PAGE + 1
    wanted = set(emails)
    if len(emails) > pages:
        yield from by_pages(target, wanted, tell)
        return
    unclear: set[str] = set()
    for email in emails:
        query = {"email": email, "status": "all", "include": "list_memberships"}
        found = inner(read((yield get(f"{target.api}/contacts", **query))))
        contacts = answer_list(found.get("contacts"), "contacts")
        if not all(isinstance(one.get("list_memberships"), list) and id_of(one.get("contact_id")) for one in contacts):
            unclear.add(email)
            continue
        tell(list(people([one for one in contacts if target.audience in one["list_memberships"]], {email})))
    if unclear:  # the list itself tells what a contact's own record does not
        yield from by_pages(target, unclear, tell)


def by_pages(target: Target, wanted: set[str], tell: Tell) -> Operation[None]:
    """Read the list, whatever may be sent to its people, until all that are wanted are found."""
    left = set(wanted)
    page = f"{target.api}/contacts?lists={target.audience}&status=all&limit={PAGE}"
    while page and left:
        found = inner(read((yield get(page))))
        here = list(people(answer_list(found.get("contacts"), "contacts"), left))
        tell(here)
        left -= {one.email for one in here}
        following = linked(target.api, found, "next")
        page = "" if following == page else following


def people(contacts: Sequence[dict[str, Any]], wanted: set[str]) -> Iterator[Member]:
    """Those among the contacts of an answer who are wanted."""
    for one in contacts:
        address = inner(one.get("email_address"))
        email = same(text(address.get("address")))
        if email in wanted:
            yield Member(email, needed_id(one, "contact_id"), address.get("permission_to_send") != "unsubscribed")


REMOVAL = Removal(
    remove=remove,
    limits=Limits(batch_rows=500, batch_bytes=100_000, connections=4, jobs=100, timeout_s=120),
    by_id=True,
    poll=partial(poll, state=removal_state),
    collect=collect,
    identify=identify,
    # No `look`: an export of the list takes fewer of the day's calls.
    verdict=False,  # `items_completed_count` counts contacts processed, whether they were in the list or not
)

"""Constant Contact: leavers out of a list, by contact id: `batch -> removal activity -> state`.

Specification 3.0.178, read 2026-08. Only the membership ends; `permission_to_send` and other lists stay as they are.
Neither imports nor exports tell contact ids (an export's documented fields hold none): they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from airflow_provider_segexport.address import same
from airflow_provider_segexport.contract import Limits, Removal, Tell
from airflow_provider_segexport.errors import BatchRefused
from airflow_provider_segexport.model import Batch, JobState, Member, Operation, Reply, Settled, Target, Ticket
from airflow_provider_segexport.vendors.constant_contact.account import linked
from airflow_provider_segexport.vendors.constant_contact.contacts import activity, poll, state_of
from airflow_provider_segexport.vendors.constant_contact.replies import key_and_words, read, refuse
from airflow_provider_segexport.vendors.replies import get, send_json

PAGE = 500


def remove(target: Target, batch: Batch) -> Operation[Reply]:
    """Hand in a removal activity for up to 500 contacts."""
    body = {"source": {"contact_ids": list(batch.items)}, "list_ids": [target.audience]}
    response = yield send_json("POST", f"{target.api}/activities/remove_list_memberships", body)
    if response.status in {200, 201, 202}:
        return Ticket(str(response.mapping()["activity_id"]))
    if response.status == 400:  # noqa: PLR2004
        raise BatchRefused(*key_and_words(response))
    refuse(response)


def collect(target: Target, batch: Batch, ticket: str) -> Operation[Settled]:
    """An activity counts what it has processed and names nobody; one that did not complete goes again as a whole."""
    done = state_of((yield from activity(target, ticket))) is JobState.FINISHED
    return Settled(again=() if done else tuple(range(len(batch))))


def identify(target: Target, emails: Sequence[str], tell: Tell) -> Operation[None]:
    """By pages of the list, or one read a person: whatever takes fewer of the day's calls."""
    pages = math.inf if target.members is None else target.members // PAGE + 1
    wanted = set(emails)
    if len(emails) > pages:
        yield from by_pages(target, wanted, tell)
        return
    for email in emails:
        query = {"email": email, "status": "all", "include": "list_memberships"}
        found = read((yield get(f"{target.api}/contacts", **query)))
        on_the_list = [one for one in found["contacts"] if target.audience in (one.get("list_memberships") or [])]
        tell(list(people(on_the_list, {email})))


def by_pages(target: Target, wanted: set[str], tell: Tell) -> Operation[None]:
    """Read the list, whatever may be sent to its people, until all that are wanted are found."""
    left = set(wanted)
    page = f"{target.api}/contacts?lists={target.audience}&status=all&limit={PAGE}"
    while page and left:
        found = read((yield get(page)))
        here = list(people(found["contacts"], left))
        tell(here)
        left -= {one.email for one in here}
        following = linked(target.api, found, "next")
        page = "" if following == page else following


def people(contacts: Sequence[dict[str, Any]], wanted: set[str]) -> Iterator[Member]:
    """Those among the contacts of an answer who are wanted."""
    for one in contacts:
        address = one.get("email_address") or {}
        email = same(str(address.get("address", "")))
        if email in wanted:
            yield Member(email, str(one["contact_id"]), address.get("permission_to_send") != "unsubscribed")


REMOVAL = Removal(
    remove=remove,
    limits=Limits(batch_rows=500, batch_bytes=100_000, connections=4, jobs=100, timeout_s=120),
    by_id=True,
    poll=poll,
    collect=collect,
    identify=identify,
    # No `look`: an export of the list takes fewer of the day's calls.
    verdict=False,  # `items_completed_count` counts contacts processed, whether they were in the list or not
)

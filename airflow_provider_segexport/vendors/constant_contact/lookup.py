"""Constant Contact: the activities that batches became whose call had no answer.

Specification 3.0.178, read 2026-08: activities of the past ten days are listed with counters, and with nothing of what
was sent nor of their kind. So one is told only where the counters leave no other, and even then it is not proven.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_segexport.model import Batch, JobState, Kind, Operation, Target, Ticket, Wait
from airflow_provider_segexport.vendors.constant_contact.account import linked
from airflow_provider_segexport.vendors.constant_contact.contacts import state_of
from airflow_provider_segexport.vendors.constant_contact.replies import read
from airflow_provider_segexport.vendors.moments import seconds
from airflow_provider_segexport.vendors.replies import get

SKEW_S = 120.0
"""So far the vendor's clock may be behind ours."""
MOST_PAGES = 20
LOOKS_S = (2.0, 5.0, 10.0, 20.0)
"""Waits for activities that do not count yet: one of them might be the one."""


def lookup(
    target: Target, batches: Sequence[Batch], since: float, known: frozenset[str]
) -> Operation[dict[str, Ticket]]:
    """One activity that fits one batch, and that batch alone, is its."""
    waits = iter(LOOKS_S)
    while True:
        listed = yield from activities(target, since - SKEW_S)
        made = [one for one in listed if str(one["activity_id"]) not in known]
        if all(one.get("status") for one in made) or (wait := next(waits, None)) is None:
            break
        yield Wait(wait)
    fitting = {batch.name: [str(one["activity_id"]) for one in made if fits(batch, one)] for batch in batches}
    claims = [ticket for tickets in fitting.values() for ticket in tickets]
    return {
        name: Ticket(tickets[0])
        for name, tickets in fitting.items()
        if len(tickets) == 1 and claims.count(tickets[0]) == 1
    }


def activities(target: Target, earliest: float) -> Operation[list[dict[str, Any]]]:
    """Activities made since a moment that have not failed, newest first as far as pages go."""
    made: list[dict[str, Any]] = []
    page = f"{target.api}/activities?limit=500"
    for _ in range(MOST_PAGES):
        found = read((yield get(page)))
        recent = [one for one in found["activities"] if (seconds(str(one.get("created_at"))) or earliest) >= earliest]
        made += [one for one in recent if state_of(one) is not JobState.FAILED]
        page = linked(target.api, found, "next")
        if not page or not recent:
            break
    return made


def fits(batch: Batch, activity: Mapping[str, Any]) -> bool:
    """Whether an activity counts what the batch holds. Only those over list memberships count lists.

    `items_total_count` of an import holds its header, as is said, where one in JSON has none; whether `person_count`
    holds the rows that are wrong is not said.
    """
    counted, rows = activity.get("status") or {}, len(batch)
    total, people = counted.get("items_total_count"), counted.get("person_count")
    wrong = (counted.get("error_count") or 0) + (counted.get("correctable_count") or 0)
    over_lists = counted.get("list_count") is not None
    match batch.kind:
        case Kind.REMOVE:
            return over_lists and total == rows
        case Kind.UPSERT:
            return not over_lists and rows in (
                {total, (total or 0) - 1} if people is None else {people, people + wrong}
            )
        case Kind.REVIVE:
            return False

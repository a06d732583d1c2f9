"""Constant Contact: contacts in by import activities, verdicts out of counters and line numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import BatchRejected, UnexpectedResponse, public_code
from airflow_provider_segexport.model import (
    Audience,
    Batch,
    BatchReply,
    BatchResult,
    JobId,
    JobState,
    Operation,
    Reason,
    Response,
    RowRejection,
)
from airflow_provider_segexport.vendors.base import MappedFields
from airflow_provider_segexport.vendors.constant_contact.account import link_url
from airflow_provider_segexport.vendors.constant_contact.fields import FIELD_RULES
from airflow_provider_segexport.vendors.constant_contact.responses import error_of, raise_for, read_json
from airflow_provider_segexport.vendors.item_template import Column, JsonTemplate, Node
from airflow_provider_segexport.vendors.responses import (
    GUID,
    as_object,
    as_objects,
    as_text,
    get,
    required,
    required_id,
    send_batch,
)

STATES = {
    "initialized": JobState.RUNNING,
    "processing": JobState.RUNNING,
    "completed": JobState.FINISHED,
    "cancelled": JobState.FAILED,
    "failed": JobState.FAILED,
    "timed_out": JobState.FAILED,
}

# "Line 355: Invalid email" (php-sdk#145); the header counts as line 1, also for JSON.
ERROR_LINE = re.compile(r"Line (\d+):?\s*(.*)")
FIRST_ROW_LINE = 2


def item_template(matched: MappedFields, audience: Audience) -> JsonTemplate:
    """One row of `import_data`: flat, unlike the contact resource. `sign_up_form` is never used: it opts people in."""
    members: dict[str, Node] = {}
    for rule in FIELD_RULES:
        if rule.field not in matched.fields:
            continue
        if rule.custom:
            members[f"cf:{audience.fields[rule.key.lower()].key}"] = Column(rule.name)
        else:
            members[rule.key] = Column(rule.name, "number" if rule.value_kind in {"month", "day"} else "text")
    for custom in matched.custom:
        members[f"cf:{audience.fields[custom.name.lower()].key}"] = Column(custom.column)
    return JsonTemplate(members)


def upsert(audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """Hand in an import activity. Anything over 4,000,000 bytes or 40,000 rows would be dropped without a word."""
    tail = f'],"list_ids":{json.dumps([audience.audience])}}}'
    url = f"{audience.base_url}/activities/contacts_json_import"
    response = yield send_batch("POST", url, '{"import_data":[', batch, tail)
    if response.status in {200, 201, 202}:
        return JobId(required_id(response.mapping(), "activity_id", GUID))
    if response.status == 400:  # noqa: PLR2004
        raise BatchRejected(*error_of(response))
    raise_for(response)


def poll(
    audience: Audience, job_ids: Sequence[str], state: Callable[[dict[str, Any]], JobState] | None = None
) -> Operation[dict[str, JobState]]:
    """One call tells 500 activities of the past ten days, everybody's; what the pages lack is asked for by itself.

    A page costs as much as asking for one activity, so pages are read while fewer were read than activities are wanted.
    """
    wanted, states, pages = set(job_ids), dict[str, JobState](), 0
    page = f"{audience.base_url}/activities?limit=500"
    while page and len(wanted) > pages + 1:
        found = as_object(read_json((yield get(page))))
        listed = as_objects(found.get("activities"))
        here = {as_text(one.get("activity_id")): one for one in listed if as_text(one.get("state")) in STATES}
        for ticket in wanted & here.keys():
            states[ticket] = job_state(here[ticket])
        wanted -= here.keys()
        pages, page = pages + 1, link_url(audience.base_url, found, "next")
    for ticket in sorted(wanted):
        states[ticket] = (state or job_state)((yield from read_activity(audience, ticket)))
    return states


def job_state(found: dict[str, Any]) -> JobState:
    """An activity's state in our words."""
    state = required(found, "state")
    if state not in STATES:
        name = public_code(state)
        raise UnexpectedResponse(f"Constant Contact's activity has the state {name!r}, which is not documented.")
    return STATES[state]


def read_activity(audience: Audience, job_id: str) -> Operation[dict[str, Any]]:
    """One activity; one that is gone after ten days counts as failed, and its rows go out again."""
    response = yield get(f"{audience.base_url}/activities/{job_id}")
    if response.status == 404:  # noqa: PLR2004
        return {"activity_id": job_id, "state": "failed"}
    return as_object(read_json(response))


def embedded_job_reads(response: Response) -> dict[str, Response]:
    """The activities that a list of them tells as each one's own address does: the specification gives both one shape.

    Only those that went well to the end (specification 3.0.178, read 2026-08): that a list spells out the words of a
    thousand errors is not promised, and one whose counters it leaves out has no verdict there.
    """
    if response.status != 200 or not response.url.endswith("/activities"):  # noqa: PLR2004
        return {}
    return {
        f"{response.url}/{one['activity_id']}": replace(response, body=json.dumps(one).encode())
        for one in as_objects(response.mapping().get("activities"))
        if as_text(one.get("activity_id"))
        and one.get("state") == "completed"
        and _all_accepted(as_object(one.get("status")))
    }


def _all_accepted(counts: Mapping[str, Any]) -> bool:
    """Whether an activity counts what it did, and no error. Of imports that is people, of removals lists."""
    told = counts.get("list_count") is not None or all(counts.get(name) is not None for name in PROOF_COUNTERS)
    wrong = ("error_count", "correctable_count", "cannot_add_to_list_count")
    return told and not any(counts.get(name) for name in wrong)


def collect(audience: Audience, batch: Batch, job_id: str) -> Operation[BatchResult]:
    """Turn counters and line numbers into verdicts; rows that are only counted are named later, by reading back."""
    found = yield from read_activity(audience, job_id)
    if job_state(found) is not JobState.FINISHED:
        return BatchResult(retry=tuple(range(len(batch))))
    status = found.get("status")
    pairs = status.items() if isinstance(status, dict) else ()
    counts = {name: number for name, number in pairs if isinstance(number, int)}
    wrong = counts.get("error_count", 0) + counts.get("correctable_count", 0)
    if rows_were_dropped(counts, wrong, len(batch)):
        raise BatchRejected("person_count", f"The vendor dropped some of {counted(len(batch), 'row')} without a word.")
    errors = found.get("activity_errors")
    refused = {one.index: one for one in row_errors(errors if isinstance(errors, list) else [], len(batch))}
    if (
        not counts.keys() >= PROOF_COUNTERS
    ):  # optional in the specification: who was taken is found by reading the list back
        return BatchResult(rejected=tuple(refused.values()), unattributed=len(batch) - len(refused))
    unlisted = max(0, wrong - len(refused))
    return BatchResult(
        rejected=tuple(refused.values()),
        unattributed=min(unlisted + counts.get("cannot_add_to_list_count", 0), len(batch) - len(refused)),
        unattributed_reason=Reason.NO_RESULT if unlisted else Reason.UNSUBSCRIBED,
    )


PROOF_COUNTERS = {"person_count", "error_count", "cannot_add_to_list_count"}
"""Counters that together tell whether every row was taken."""


def rows_were_dropped(counts: Mapping[str, int], wrong: int, rows: int) -> bool:
    """Whether the vendor read fewer rows than were sent.

    `person_count` may hold the wrong rows or not: that is not documented. Where both readings are possible,
    `items_total_count` decides, which is all rows and a header's.
    """
    people = counts.get("person_count", rows)
    return people + wrong < rows or (people < rows and counts.get("items_total_count", rows) < rows)


def row_errors(errors: Sequence[str], rows: int) -> list[RowRejection]:
    """Rows that the vendor names by line. Lines outside the batch, and words without a line, name nobody."""
    refusals = []
    for line in errors:
        match = ERROR_LINE.match(as_text(line))
        index = int(match[1]) - FIRST_ROW_LINE if match else -1
        if match and 0 <= index < rows:
            words = match[2]
            reason = Reason.INVALID_EMAIL if "email" in words.lower() else Reason.INVALID_VALUE
            refusals.append(RowRejection(index, reason, "", words))
    return refusals

"""Constant Contact: item template and import activities, which report counters, and errors by line number."""

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
    not_ended,
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

ERROR_LINE = re.compile(r"Line (\d+):?\s*(.*)")
"""An error of a row, for example "Line 355: Invalid email" (php-sdk#145)."""
FIRST_ROW_LINE = 2
"""Line number of the first row. A header counts as line 1, also in an import of JSON."""

ERROR_LINES_FACT = "error_lines"
"""Key of `Audience.extra`: the line number of the first row according to a probe, `line_1` or `line_2`."""

PROOF_COUNTERS = {"person_count", "error_count", "cannot_add_to_list_count"}
"""Counters that together show whether every row was accepted."""


def item_template(mapped: MappedFields, audience: Audience) -> JsonTemplate:
    """Build the flat template of an `import_data` row. It omits `sign_up_form`, because that would opt people in."""
    members: dict[str, Node] = {}
    for rule in FIELD_RULES:
        if rule.field not in mapped.fields:
            continue
        if rule.custom:
            members[f"cf:{audience.fields[rule.key.lower()].key}"] = Column(rule.name)
        else:
            members[rule.key] = Column(rule.name, "number" if rule.value_kind in {"month", "day"} else "text")
    for custom in mapped.custom:
        members[f"cf:{audience.fields[custom.name.lower()].key}"] = Column(custom.column)
    return JsonTemplate(members)


def upsert(audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """Start an import activity. The vendor silently drops rows beyond 4,000,000 bytes or 40,000 rows."""
    suffix = f'],"list_ids":{json.dumps([audience.audience])}}}'
    url = f"{audience.base_url}/activities/contacts_json_import"
    response = yield send_batch("POST", url, '{"import_data":[', batch, suffix)
    if response.status in {200, 201, 202}:
        return JobId(required_id(response.mapping(), "activity_id", GUID))
    if response.status == 400:  # noqa: PLR2004
        raise BatchRejected(*error_of(response))
    raise_for(response)


def poll(
    audience: Audience, job_ids: Sequence[str], state_of: Callable[[dict[str, Any]], JobState] | None = None
) -> Operation[dict[str, JobState]]:
    """Return job states. Read pages of 500 activities of the past ten days, then single activities not on these pages.

    A page costs one call, as a single activity does. So another page is read only while more activities are missing
    than the number of pages read, plus one.

    Args:
        audience: the list.
        job_ids: ids of activities.
        state_of: returns the state of a single activity; None for `job_state`.
    """
    missing, states, pages = set(job_ids), dict[str, JobState](), 0
    url = f"{audience.base_url}/activities?limit=500"
    while url and len(missing) > pages + 1:
        page = as_object(read_json((yield get(url))))
        activities = as_objects(page.get("activities"))
        by_id = {as_text(each.get("activity_id")): each for each in activities if as_text(each.get("state")) in STATES}
        for job_id in missing & by_id.keys():
            states[job_id] = job_state(by_id[job_id])
        missing -= by_id.keys()
        pages, url = pages + 1, link_url(audience.base_url, page, "next")
    for job_id in sorted(missing):
        states[job_id] = (state_of or job_state)((yield from read_activity(audience, job_id)))
    return states


def job_state(activity: dict[str, Any]) -> JobState:
    """Return an activity's state; raise `UnexpectedResponse` for a state that is not documented."""
    state = required(activity, "state")
    if state not in STATES:
        raise UnexpectedResponse(
            f"Constant Contact's activity has the state {public_code(state)!r}, which is not documented. To fix: ask "
            "Constant Contact's support what it means, and report it to the maintainers of this package."
        )
    return STATES[state]


def read_activity(audience: Audience, job_id: str) -> Operation[dict[str, Any]]:
    """Read an activity. The vendor deletes activities after ten days; a deleted activity counts as failed."""
    response = yield get(f"{audience.base_url}/activities/{job_id}")
    if response.status == 404:  # noqa: PLR2004
        return {"activity_id": job_id, "state": "failed"}
    return as_object(read_json(response))


def embedded_job_reads(response: Response) -> dict[str, Response]:
    """Return the single-activity responses that a list of activities contains (specification 3.0.178, 2026-08).

    Only activities without errors are returned, because a list may omit error texts. Activities without all counters
    are left out, because they have no result.
    """
    if response.status != 200 or not response.url.endswith("/activities"):  # noqa: PLR2004
        return {}
    return {
        f"{response.url}/{activity['activity_id']}": replace(response, body=json.dumps(activity).encode())
        for activity in as_objects(response.mapping().get("activities"))
        if as_text(activity.get("activity_id"))
        and activity.get("state") == "completed"
        and _has_no_errors(as_object(activity.get("status")))
    }


def _has_no_errors(counts: Mapping[str, Any]) -> bool:
    """Return whether all counters are present and count no error. Imports count people, removals count lists."""
    complete = counts.get("list_count") is not None or all(counts.get(name) is not None for name in PROOF_COUNTERS)
    error_counters = ("error_count", "correctable_count", "cannot_add_to_list_count")
    return complete and not any(counts.get(name) for name in error_counters)


def collect(audience: Audience, batch: Batch, job_id: str) -> Operation[BatchResult]:
    """Return the result of each row, from errors with line numbers. Rows that are only counted stay unattributed.

    Args:
        audience: the audience of the job.
        batch: the rows of the job.
        job_id: the vendor's id of the job.
    """
    activity = yield from read_activity(audience, job_id)
    state = job_state(activity)
    if state is JobState.RUNNING:
        raise not_ended("Constant Contact")
    if state is JobState.FAILED:
        return BatchResult(retry=tuple(range(len(batch))))
    counts = {name: value for name, value in as_object(activity.get("status")).items() if isinstance(value, int)}
    error_count = counts.get("error_count", 0) + counts.get("correctable_count", 0)
    if rows_were_dropped(counts, error_count, len(batch)):
        raise BatchRejected("person_count", f"The vendor silently dropped some of {counted(len(batch), 'row')}.")
    errors = activity.get("activity_errors")
    first_line = 1 if audience.extra.get(ERROR_LINES_FACT) == "line_1" else FIRST_ROW_LINE
    texts = errors if isinstance(errors, list) else []
    rejected = {error.index: error for error in row_errors(texts, len(batch), first_line)}
    remaining = len(batch) - len(rejected)
    if not counts.keys() >= PROOF_COUNTERS:  # the specification makes them optional
        return BatchResult(rejected=tuple(rejected.values()), unattributed=remaining)
    unlisted = max(0, error_count - len(rejected))
    return BatchResult(
        rejected=tuple(rejected.values()),
        unattributed=min(unlisted + counts.get("cannot_add_to_list_count", 0), remaining),
        unattributed_reason=Reason.NO_RESULT if unlisted else Reason.UNSUBSCRIBED,
    )


def rows_were_dropped(counts: Mapping[str, int], error_count: int, rows: int) -> bool:
    """Return whether the vendor read fewer rows than were sent.

    The vendor does not document whether `person_count` includes rows with errors. If both interpretations are
    possible, `items_total_count` decides, which counts all rows and a header.

    Args:
        counts: the activity's counters.
        error_count: number of rows with errors.
        rows: number of rows that were sent.
    """
    people = counts.get("person_count", rows)
    return people + error_count < rows or (people < rows and counts.get("items_total_count", rows) < rows)


def row_errors(errors: Sequence[str], rows: int, first_line: int = FIRST_ROW_LINE) -> list[RowRejection]:
    """Return the rejections of rows by line number. Ignore errors whose line is missing or outside the batch.

    Args:
        errors: error texts of an activity.
        rows: number of rows in the batch.
        first_line: line number of the first row.
    """
    rejected = []
    for error in errors:
        match = ERROR_LINE.match(as_text(error))
        row = int(match[1]) - first_line if match else -1
        if match and 0 <= row < rows:
            message = match[2]
            reason = Reason.INVALID_EMAIL if "email" in message.lower() else Reason.INVALID_VALUE
            rejected.append(RowRejection(row, reason, "", message))
    return rejected

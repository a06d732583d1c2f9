"""Constant Contact: reads a list with an export activity.

An export takes a few calls. Pages of a million contacts would take 2,000.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.errors import RetryableError, UnexpectedResponse, public_code
from airflow_provider_segexport.model import Audience, JobState, Member, Operation, Sleep
from airflow_provider_segexport.vendors.base import OnPage
from airflow_provider_segexport.vendors.constant_contact.account import link_url
from airflow_provider_segexport.vendors.constant_contact.imports import job_state, read_activity
from airflow_provider_segexport.vendors.constant_contact.responses import read_json
from airflow_provider_segexport.vendors.member_pages import read_parts
from airflow_provider_segexport.vendors.responses import GUID, as_int, as_object, get, required_id, send_json

PAGE_ROWS = 10_000
"""Maximum rows of the exported file in one page that a callback receives."""
MAX_POLLS = 240
FIRST_WAIT_S, MAX_WAIT_S = 0.5, 15.0
"""First and longest wait between two polls, in seconds. All polls together take about an hour."""
EXPORT_COLUMNS = ["email_address", "email_optout_date"]


def list_members(audience: Audience, on_page: OnPage) -> Operation[None]:
    """Export all contacts of the list and read the file."""
    return read_parts(read_members, audience, on_page)


def read_members(audience: Audience, marker: str, on_page: OnPage) -> Operation[str]:
    """Start an export of the list and return its id, or read the file of the export with that id.

    An export without a status filter contains every contact of the list, also bounced contacts. A contact who has
    unsubscribed from everything has an opt-out date. The documented columns do not include contact ids.

    Args:
        audience: the audience.
        marker: id of the export; empty to start one.
        on_page: receives the members, `PAGE_ROWS` at a time.
    """
    if not marker:
        body = {"list_ids": [audience.audience], "fields": EXPORT_COLUMNS}
        request = replace(send_json("POST", f"{audience.base_url}/activities/contact_exports", body), read_only=True)
        return required_id(read_json((yield request), 200, 201, 202), "activity_id", GUID)
    finished = yield from wait_for_export(audience, marker)
    url = link_url(audience.base_url, finished, "results")
    if not url:
        raise UnexpectedResponse(
            "Constant Contact's finished export has no link to its file. To fix: run the task again later."
        )
    response = yield get(url)
    if response.status != 200:  # noqa: PLR2004
        read_json(response)
    rows = csv.reader(io.TextIOWrapper(io.BytesIO(response.body), "utf-8-sig", newline=""))
    next(rows, None)  # skip the header, whose names are not documented
    row_count, is_complete = 0, True
    while page := list(islice(rows, PAGE_ROWS)):
        complete = [row for row in page if len(row) == len(EXPORT_COLUMNS)]
        is_complete = is_complete and len(complete) == sum(map(bool, page))  # an empty line is not a row
        row_count += len(complete)
        on_page(list(to_members(complete)))
    expected = as_int(as_object(finished.get("status")).get("items_completed_count")) or 0
    if row_count + 1 < expected:  # the vendor may count the header
        raise RetryableError(
            f"Constant Contact's export of the list contains {row_count:,} of {counted(expected, 'contact')}."
        )
    if not is_complete:
        raise RetryableError(
            "Constant Contact's export of the list has a row without exactly "
            f"{counted(len(EXPORT_COLUMNS), 'column')}. To fix: run the task again later; if the error remains, report "
            "it to the vendor's support."
        )
    return ""


def wait_for_export(audience: Audience, job_id: str) -> Operation[dict[str, Any]]:
    """Poll an export activity until it has finished."""
    wait_s = FIRST_WAIT_S
    for _ in range(MAX_POLLS):
        activity = yield from read_activity(audience, job_id)
        state = job_state(activity)
        if state is JobState.FINISHED:
            return activity
        if state is JobState.FAILED:
            name = public_code(activity["state"])
            raise RetryableError(f"Constant Contact's export of the list ended as {name!r}.")
        yield Sleep(wait_s)
        wait_s = min(wait_s * 1.5, MAX_WAIT_S)
    raise RetryableError("Constant Contact has not finished the export of the list within an hour.")


def to_members(rows: Sequence[Sequence[str]]) -> Iterator[Member]:
    """Yield the contacts of a page that have an address. The order of the two columns is not documented."""
    email_column = next((column for row in rows for column, cell in enumerate(row) if "@" in cell), 0)
    for row in rows:
        email = canonical(row[email_column])
        if email:
            yield Member(email, active=not row[1 - email_column])

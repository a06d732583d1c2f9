"""Constant Contact: who is in a list, by an export activity: a few calls, where pages would take 2,000 a million."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.email_address import same
from airflow_provider_segexport.errors import RetryableError, UnexpectedResponse, public_code
from airflow_provider_segexport.model import Audience, JobState, Member, Operation, Sleep
from airflow_provider_segexport.vendors.base import OnPage
from airflow_provider_segexport.vendors.constant_contact.account import link_url
from airflow_provider_segexport.vendors.constant_contact.imports import job_state, read_activity
from airflow_provider_segexport.vendors.constant_contact.responses import read_json
from airflow_provider_segexport.vendors.responses import GUID, as_int, as_object, get, required_id, send_json

PAGE_ROWS = 10_000
MAX_POLLS = 240
FIRST_WAIT_S, MAX_WAIT_S = 0.5, 15.0
EXPORT_COLUMNS = ["email_address", "email_optout_date"]


def list_members(audience: Audience, on_page: OnPage) -> Operation[None]:
    """Export everybody in the list, whatever may be sent to them, and read the file.

    Without a status the export holds all contacts of the list. Who bounced is still in it, and has not left; who has
    opted out of everything has a date for it. Contact ids are not among the fields that exports are documented to have.
    """
    body = {"list_ids": [audience.audience], "fields": EXPORT_COLUMNS}
    asked = replace(send_json("POST", f"{audience.base_url}/activities/contact_exports", body), read_only=True)
    started = read_json((yield asked), 200, 201, 202)
    ended = yield from wait_for_export(audience, required_id(started, "activity_id", GUID))
    address = link_url(audience.base_url, ended, "results")
    if not address:
        raise UnexpectedResponse("Constant Contact's finished export names no file below the API's own address.")
    response = yield get(address)
    if response.status != 200:  # noqa: PLR2004
        read_json(response)
    rows = csv.reader(io.TextIOWrapper(io.BytesIO(response.body), "utf-8-sig", newline=""))
    next(rows, None)  # the heads, whose words are not documented
    told = 0
    while page := list(islice(rows, PAGE_ROWS)):
        complete = [row for row in page if len(row) == len(EXPORT_COLUMNS)]
        told += len(complete)
        on_page(list(to_members(complete)))
    promised = as_int(as_object(ended.get("status")).get("items_completed_count")) or 0
    if told + 1 < promised:  # one less, should the heads be counted as an item
        raise RetryableError(f"Constant Contact's export of the list holds {told:,} of {counted(promised, 'contact')}.")


def wait_for_export(audience: Audience, job_id: str) -> Operation[dict[str, Any]]:
    """Look at an activity until it is done."""
    wait = FIRST_WAIT_S
    for _ in range(MAX_POLLS):
        found = yield from read_activity(audience, job_id)
        state = job_state(found)
        if state is JobState.FINISHED:
            return found
        if state is JobState.FAILED:
            raise RetryableError(f"Constant Contact's export of the list ended as {public_code(found['state'])!r}.")
        yield Sleep(wait)
        wait = min(wait * 1.5, MAX_WAIT_S)
    raise RetryableError("Constant Contact has not finished the export of the list within an hour.")


def to_members(page: Sequence[Sequence[str]]) -> Iterator[Member]:
    """The contacts of a page that have an address. The order of the two columns is not documented."""
    at = next((at for row in page for at, cell in enumerate(row) if "@" in cell), 0)
    for row in page:
        address = same(row[at])
        if address:
            yield Member(address, active=not row[1 - at])

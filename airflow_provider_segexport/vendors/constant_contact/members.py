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
from airflow_provider_segexport.vendors.constant_contact.account import linked
from airflow_provider_segexport.vendors.constant_contact.imports import activity, state_of
from airflow_provider_segexport.vendors.constant_contact.responses import read
from airflow_provider_segexport.vendors.responses import GUID, get, inner, needed_id, send_json, whole

PAGE = 10_000
LOOKS = 240
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0
FIELDS = ["email_address", "email_optout_date"]


def members(audience: Audience, on_page: OnPage) -> Operation[None]:
    """Export everybody in the list, whatever may be sent to them, and read the file.

    Without a status the export holds all contacts of the list. Who bounced is still in it, and has not left; who has
    opted out of everything has a date for it. Contact ids are not among the fields that exports are documented to have.
    """
    body = {"list_ids": [audience.audience], "fields": FIELDS}
    asked = replace(send_json("POST", f"{audience.base_url}/activities/contact_exports", body), read_only=True)
    started = read((yield asked), 200, 201, 202)
    ended = yield from finished(audience, needed_id(started, "activity_id", GUID))
    address = linked(audience.base_url, ended, "results")
    if not address:
        raise UnexpectedResponse("Constant Contact's finished export names no file below the API's own address.")
    response = yield get(address)
    if response.status != 200:  # noqa: PLR2004
        read(response)
    rows = csv.reader(io.TextIOWrapper(io.BytesIO(response.body), "utf-8-sig", newline=""))
    next(rows, None)  # the heads, whose words are not documented
    told = 0
    while page := list(islice(rows, PAGE)):
        complete = [row for row in page if len(row) == len(FIELDS)]
        told += len(complete)
        on_page(list(people(complete)))
    promised = whole(inner(ended.get("status")).get("items_completed_count")) or 0
    if told + 1 < promised:  # one less, should the heads be counted as an item
        raise RetryableError(f"Constant Contact's export of the list holds {told:,} of {counted(promised, 'contact')}.")


def finished(audience: Audience, job_id: str) -> Operation[dict[str, Any]]:
    """Look at an activity until it is done."""
    wait = FIRST_WAIT_S
    for _ in range(LOOKS):
        found = yield from activity(audience, job_id)
        state = state_of(found)
        if state is JobState.FINISHED:
            return found
        if state is JobState.FAILED:
            raise RetryableError(f"Constant Contact's export of the list ended as {public_code(found['state'])!r}.")
        yield Sleep(wait)
        wait = min(wait * 1.5, LONGEST_WAIT_S)
    raise RetryableError("Constant Contact has not finished the export of the list within an hour.")


def people(page: Sequence[Sequence[str]]) -> Iterator[Member]:
    """The contacts of a page that have an address. The order of the two columns is not documented."""
    at = next((at for row in page for at, cell in enumerate(row) if "@" in cell), 0)
    for row in page:
        address = same(row[at])
        if address:
            yield Member(address, active=not row[1 - at])

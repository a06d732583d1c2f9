"""Constant Contact: who is in a list, by an export activity: a few calls, where pages would take 2,000 a million."""

from __future__ import annotations

import csv
import io
from itertools import islice

from airflow_provider_segexport.contract import Tell
from airflow_provider_segexport.errors import TryAgain
from airflow_provider_segexport.model import JobState, Member, Operation, Target, Wait
from airflow_provider_segexport.vendors.constant_contact.contacts import activity, state_of
from airflow_provider_segexport.vendors.constant_contact.replies import read
from airflow_provider_segexport.vendors.replies import get, send_json

PAGE = 10_000
LOOKS = 240
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0


def members(target: Target, tell: Tell) -> Operation[None]:
    """Export the list's active members and read the file. It has no contact ids: none are documented for exports."""
    body = {"list_ids": [target.audience], "fields": ["email_address"], "status": "active"}
    started = read((yield send_json("POST", f"{target.api}/activities/contact_exports", body)), 200, 201, 202)
    ticket, wait = str(started["activity_id"]), FIRST_WAIT_S
    for _ in range(LOOKS):
        found = yield from activity(target, ticket)
        state = state_of(found)
        if state is JobState.FINISHED:
            break
        if state is JobState.FAILED:
            raise TryAgain(f"Constant Contact's export of the list ended as {found['state']!r}.")
        yield Wait(wait)
        wait = min(wait * 1.5, LONGEST_WAIT_S)
    else:
        raise TryAgain("Constant Contact has not finished the export of the list within an hour.")
    href = str(found["_links"]["results"]["href"])
    response = yield get(target.api.removesuffix("/v3") + href if href.startswith("/") else href)
    if response.status != 200:  # noqa: PLR2004
        read(response)
    rows = csv.reader(io.StringIO(response.body.decode("utf-8-sig")))
    next(rows, None)  # the heads; only one field was asked for, and their words are not documented
    while page := list(islice(rows, PAGE)):
        tell([Member(row[0].strip().lower()) for row in page if row])

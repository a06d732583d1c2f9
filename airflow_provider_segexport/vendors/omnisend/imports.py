"""Omnisend: contacts in by batches, verdicts item by item.

Batches OpenAPI 2026-03-15 and the batches page of v3, read 2026-08.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from airflow_provider_segexport.email_address import same
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
from airflow_provider_segexport.vendors.item_template import Array, Column, Const, JsonTemplate, Node
from airflow_provider_segexport.vendors.omnisend.fields import RULES
from airflow_provider_segexport.vendors.omnisend.responses import problem, read, refuse, versioned
from airflow_provider_segexport.vendors.responses import (
    get,
    id_of,
    index_by_email,
    inner,
    items,
    needed,
    needed_id,
    send_items,
    text,
    whole,
)

HEAD, TAIL = '{"endpoint":"contacts","method":"POST","items":[', "]}"
PAGE = 250  # the most batches that one call lists

RUNNING = {"pending", "inProgress"}
STOPPED = "stopped"  # "for too many errors": what comes after the stop was not looked at
KNOWN = RUNNING | {STOPPED, "finished"}
AGAIN = {408, 429, 503}  # what the vendor's WooCommerce plugin sends again, but for the 403
TAKEN = range(200, 300)
EMAIL_FIELD = re.compile(r"identifiers[.\[]0\b")
"""The email is the first identifier of every item that is sent."""


def item(matched: MappedFields, audience: Audience) -> JsonTemplate:
    """One contact.

    An identifier has no `channels`: without them the vendor leaves everybody's status alone. `sendWelcomeMessage` is
    true unless it is said to be false.
    """
    identifiers = [identifier("email", "email")]
    if "phone" in matched.fields:
        identifiers.append(identifier("phone", "phone"))
    members: dict[str, Node] = {"identifiers": Array(tuple(identifiers))}
    for rule in RULES:
        if rule.field in matched.fields and rule.field not in {"email", "phone"}:
            members[rule.key] = Column(rule.name)
    members["tags"] = Array((Const(audience.audience),))
    if matched.custom:
        members["customProperties"] = JsonTemplate({one.name: typed(one.column, one.type) for one in matched.custom})
    return JsonTemplate(members)


def identifier(kind: str, column: str) -> JsonTemplate:
    """An address or a number; left out with its column."""
    return JsonTemplate({"type": Const(kind), "id": Column(column), "sendWelcomeMessage": Const(value=False)})


def typed(column: str, kind: str) -> Column:
    """A custom property keeps the type of its column: segments compare text, numbers and switches differently."""
    match kind:
        case "integer" | "decimal":
            return Column(column, "number")
        case "boolean":
            return Column(column, "boolean")
        case _:
            return Column(column)


def upsert(audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """Hand in a batch of up to 100. POST is the verb for contacts; PUT is documented for products only."""
    response = yield versioned(send_items("POST", f"{audience.base_url}/batches", HEAD, batch, TAIL))
    if response.status in TAKEN:
        return JobId(needed_id(response.mapping(), "batchID"))
    if response.status in {400, 413}:
        raise BatchRejected(*problem(response))
    refuse(response)


def poll(audience: Audience, job_ids: Sequence[str]) -> Operation[dict[str, JobState]]:
    """One call tells 250 batches of the brand, everybody's; what the pages do not hold is asked for by itself.

    A page costs as much as asking for one batch, so pages are read while fewer were read than batches are wanted. They
    begin on the day of the check. The order is not documented: newest first is hoped for, any order is right.
    """
    wanted, states = set(job_ids), dict[str, JobState]()
    since = {"dateFrom": audience.extra["since"]} if audience.extra.get("since") else {}
    pages, more = 0, True
    while more and len(wanted) > pages + 1:
        asked = {"endpoint": "contacts", "limit": str(PAGE), "offset": str(pages * PAGE), **since}
        found = items(inner(read((yield versioned(get(f"{audience.base_url}/batches", **asked))))).get("batches"))
        for one in found:
            ticket = text(one.get("batchID"))
            if ticket in wanted and text(one.get("status")) in KNOWN:
                states[ticket] = state_of(one)
                wanted.discard(ticket)
        pages, more = pages + 1, len(found) == PAGE
    for ticket in sorted(wanted):
        batch = yield from report(audience, f"{ticket}")
        states[ticket] = JobState.FAILED if batch is None else state_of(batch)
    return states


def state_of(found: dict[str, Any]) -> JobState:
    """A batch's state in our words: one whose counters say that all went well needs no collecting."""
    status = needed(found, "status")
    if status in RUNNING:
        return JobState.RUNNING
    if status == STOPPED:
        return JobState.FAILED
    if status != "finished":
        raise UnexpectedResponse(f"An Omnisend batch has the status {public_code(status)!r}, which is not documented.")
    clean = found.get("errorsCount") == 0 and found.get("finishedCount") == found.get("totalCount") is not None
    return JobState.ACCEPTED if clean else JobState.FINISHED


def report(audience: Audience, path: str) -> Operation[dict[str, Any] | None]:
    """A batch, or its items; None when it is gone: batches are kept for 7 days.

    They are read here, by the first poll that sees a batch ended, days before that; a run that is resumed a week later
    finds them gone and sends their rows again.
    """
    response: Response = yield versioned(get(f"{audience.base_url}/batches/{path}"))
    if response.status == 404:  # noqa: PLR2004 - HTTP's own number
        return None
    return inner(read(response))


def collect(audience: Audience, batch: Batch, job_id: str) -> Operation[BatchResult]:
    """Turn a batch's items into verdicts by row."""
    found = yield from report(audience, f"{job_id}/items")
    if found is None:
        return BatchResult(retry=tuple(range(len(batch))))
    return verdicts(found, batch)


def verdicts(found: dict[str, Any], batch: Batch) -> BatchResult:
    """Map items back by address, never by position; what has no verdict goes out again.

    A row that stands nowhere was taken only if the batch went to its end and every error it counts is named.
    """
    index = index_by_email(batch)
    taken: dict[int, str] = {}
    refused: dict[int, RowRejection] = {}
    again: set[int] = set()
    for one in [*items(found.get("responses")), *items(found.get("errors"))]:
        at = index.get(address(one))
        code = whole(one.get("responseCode")) or 0
        if at is None or not code:  # an item without a code has no verdict
            continue
        if code in TAKEN:
            taken[at] = id_of(inner(one.get("response")).get("id"))
        elif code in AGAIN:
            again.add(at)
        else:
            refused[at] = judged(at, code, one.get("response"))
    named = taken.keys() | refused.keys() | again
    complete = found.get("status") == "finished" and found.get("errorsCount") == len(refused) + len(again)
    if found.get("status") == STOPPED and not named and len(batch) > 1:
        raise BatchRejected(STOPPED, "The vendor stopped the batch before its first item.")
    if not complete:
        again |= set(range(len(batch))) - named
    return BatchResult(
        rejected=tuple(refused.values()),
        retry=tuple(sorted(again)),
        contact_ids={at: contact for at, contact in taken.items() if contact},
    )


def address(one: dict[str, Any]) -> str:
    """Whom an item is about: its request is echoed."""
    identifiers = items(inner(one.get("request")).get("identifiers"))
    emails = [text(each.get("id")) for each in identifiers if each.get("type") == "email"]
    return same(emails[0]) if emails else ""


def judged(at: int, code: int, response: Any) -> RowRejection:
    """An item's answer is that of the single call: a problem with the fields that are wrong."""
    body = inner(response)
    errors = items(body.get("errors"))
    if any(EMAIL_FIELD.match(text(one.get("field"))) for one in errors):
        reason = Reason.INVALID_EMAIL
    else:
        reason = Reason.INVALID_VALUE if errors else Reason.REJECTED_BY_VENDOR
    named = (f"{text(one.get('field'))}: {text(one.get('message'))}" for one in errors)
    words = "; ".join(named) or text(body.get("detail"))
    return RowRejection(at, reason, str(code), words)

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
from airflow_provider_segexport.vendors.omnisend.fields import FIELD_RULES
from airflow_provider_segexport.vendors.omnisend.responses import error_of, raise_for, read_json, versioned
from airflow_provider_segexport.vendors.responses import (
    as_int,
    as_object,
    as_objects,
    as_text,
    get,
    id_of,
    index_by_email,
    required,
    required_id,
    send_batch,
)

BODY_PREFIX, BODY_SUFFIX = '{"endpoint":"contacts","method":"POST","items":[', "]}"
PAGE_SIZE = 250  # the most batches that one call lists

RUNNING_STATES = {"pending", "inProgress"}
STOPPED = "stopped"  # "for too many errors": what comes after the stop was not looked at
KNOWN_STATES = RUNNING_STATES | {STOPPED, "finished"}
RETRY_CODES = {408, 429, 503}  # what the vendor's WooCommerce plugin sends again, but for the 403
SUCCESS = range(200, 300)
EMAIL_FIELD = re.compile(r"identifiers[.\[]0\b")
"""The email is the first identifier of every item that is sent."""


def item_template(matched: MappedFields, audience: Audience) -> JsonTemplate:
    """One contact.

    An identifier has no `channels`: without them the vendor leaves everybody's status alone. `sendWelcomeMessage` is
    true unless it is said to be false.
    """
    identifiers = [identifier("email", "email")]
    if "phone" in matched.fields:
        identifiers.append(identifier("phone", "phone"))
    members: dict[str, Node] = {"identifiers": Array(tuple(identifiers))}
    for rule in FIELD_RULES:
        if rule.field in matched.fields and rule.field not in {"email", "phone"}:
            members[rule.key] = Column(rule.name)
    members["tags"] = Array((Const(audience.audience),))
    if matched.custom:
        members["customProperties"] = JsonTemplate(
            {one.name: typed_column(one.column, one.type) for one in matched.custom}
        )
    return JsonTemplate(members)


def identifier(kind: str, column: str) -> JsonTemplate:
    """An address or a number; left out with its column."""
    return JsonTemplate({"type": Const(kind), "id": Column(column), "sendWelcomeMessage": Const(value=False)})


def typed_column(column: str, kind: str) -> Column:
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
    response = yield versioned(send_batch("POST", f"{audience.base_url}/batches", BODY_PREFIX, batch, BODY_SUFFIX))
    if response.status in SUCCESS:
        return JobId(required_id(response.mapping(), "batchID"))
    if response.status in {400, 413}:
        raise BatchRejected(*error_of(response))
    raise_for(response)


def poll(audience: Audience, job_ids: Sequence[str]) -> Operation[dict[str, JobState]]:
    """One call tells 250 batches of the brand, everybody's; what the pages do not hold is asked for by itself.

    A page costs as much as asking for one batch, so pages are read while fewer were read than batches are wanted. They
    begin on the day of the check. The order is not documented: newest first is hoped for, any order is right.
    """
    wanted, states = set(job_ids), dict[str, JobState]()
    since = {"dateFrom": audience.extra["since"]} if audience.extra.get("since") else {}
    pages, more = 0, True
    while more and len(wanted) > pages + 1:
        asked = {"endpoint": "contacts", "limit": str(PAGE_SIZE), "offset": str(pages * PAGE_SIZE), **since}
        found = as_objects(
            as_object(read_json((yield versioned(get(f"{audience.base_url}/batches", **asked))))).get("batches")
        )
        for one in found:
            ticket = as_text(one.get("batchID"))
            if ticket in wanted and as_text(one.get("status")) in KNOWN_STATES:
                states[ticket] = job_state(one)
                wanted.discard(ticket)
        pages, more = pages + 1, len(found) == PAGE_SIZE
    for ticket in sorted(wanted):
        batch = yield from read_batch(audience, f"{ticket}")
        states[ticket] = JobState.FAILED if batch is None else job_state(batch)
    return states


def job_state(found: dict[str, Any]) -> JobState:
    """A batch's state in our words: one whose counters say that all went well needs no collecting."""
    status = required(found, "status")
    if status in RUNNING_STATES:
        return JobState.RUNNING
    if status == STOPPED:
        return JobState.FAILED
    if status != "finished":
        raise UnexpectedResponse(f"An Omnisend batch has the status {public_code(status)!r}, which is not documented.")
    clean = found.get("errorsCount") == 0 and found.get("finishedCount") == found.get("totalCount") is not None
    return JobState.ACCEPTED if clean else JobState.FINISHED


def read_batch(audience: Audience, path: str) -> Operation[dict[str, Any] | None]:
    """A batch, or its items; None when it is gone: batches are kept for 7 days.

    They are read here, by the first poll that sees a batch ended, days before that; a run that is resumed a week later
    finds them gone and sends their rows again.
    """
    response: Response = yield versioned(get(f"{audience.base_url}/batches/{path}"))
    if response.status == 404:  # noqa: PLR2004 - HTTP's own number
        return None
    return as_object(read_json(response))


def collect(audience: Audience, batch: Batch, job_id: str) -> Operation[BatchResult]:
    """Turn a batch's items into verdicts by row."""
    found = yield from read_batch(audience, f"{job_id}/items")
    if found is None:
        return BatchResult(retry=tuple(range(len(batch))))
    return batch_result(found, batch)


def batch_result(found: dict[str, Any], batch: Batch) -> BatchResult:
    """Map items back by address, never by position; what has no verdict goes out again.

    A row that stands nowhere was taken only if the batch went to its end and every error it counts is named.
    """
    index = index_by_email(batch)
    taken: dict[int, str] = {}
    refused: dict[int, RowRejection] = {}
    again: set[int] = set()
    for one in [*as_objects(found.get("responses")), *as_objects(found.get("errors"))]:
        at = index.get(item_email(one))
        code = as_int(one.get("responseCode")) or 0
        if at is None or not code:  # an item without a code has no verdict
            continue
        if code in SUCCESS:
            taken[at] = id_of(as_object(one.get("response")).get("id"))
        elif code in RETRY_CODES:
            again.add(at)
        else:
            refused[at] = to_rejection(at, code, one.get("response"))
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


def item_email(one: dict[str, Any]) -> str:
    """Whom an item is about: its request is echoed."""
    identifiers = as_objects(as_object(one.get("request")).get("identifiers"))
    emails = [as_text(each.get("id")) for each in identifiers if each.get("type") == "email"]
    return same(emails[0]) if emails else ""


def to_rejection(at: int, code: int, response: Any) -> RowRejection:
    """An item's answer is that of the single call: a problem with the fields that are wrong."""
    body = as_object(response)
    errors = as_objects(body.get("errors"))
    if any(EMAIL_FIELD.match(as_text(one.get("field"))) for one in errors):
        reason = Reason.INVALID_EMAIL
    else:
        reason = Reason.INVALID_VALUE if errors else Reason.REJECTED_BY_VENDOR
    named = (f"{as_text(one.get('field'))}: {as_text(one.get('message'))}" for one in errors)
    words = "; ".join(named) or as_text(body.get("detail"))
    return RowRejection(at, reason, str(code), words)

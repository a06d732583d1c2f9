"""Omnisend: item template and batch jobs, with a result for each item.

Sources: batches OpenAPI 2026-03-15 and the batches page of v3, read 2026-08.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from airflow_provider_segexport.email_address import canonical
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
from airflow_provider_segexport.vendors.base import ColumnType, MappedFields
from airflow_provider_segexport.vendors.delays import date_to_epoch_s
from airflow_provider_segexport.vendors.item_template import Array, Column, Const, JsonTemplate, Node
from airflow_provider_segexport.vendors.omnisend.fields import FIELD_RULES
from airflow_provider_segexport.vendors.omnisend.proof import with_proof
from airflow_provider_segexport.vendors.omnisend.responses import (
    error_of,
    field_errors,
    raise_for,
    read_json,
    versioned,
)
from airflow_provider_segexport.vendors.omnisend.tags import merges, tag_accepted, without_tags
from airflow_provider_segexport.vendors.responses import (
    as_int,
    as_object,
    as_objects,
    as_text,
    get,
    id_of,
    index_by_email,
    not_ended,
    required,
    required_id,
    send_batch,
)
from airflow_provider_segexport.vendors.timestamps import to_epoch_s

BODY_PREFIX, BODY_SUFFIX = '{"endpoint":"contacts","method":"POST","items":[', "]}"
PAGE_SIZE = 250  # maximum of batches in one call

RUNNING_STATES = {"pending", "inProgress"}
STOPPED = "stopped"
"""State of a batch that the vendor ended "for too many errors". It did not process the remaining items."""
KNOWN_STATES = RUNNING_STATES | {STOPPED, "finished"}
RETRY_CODES = {408, 429, 503}
"""Result codes of items to send again: the codes that the vendor's WooCommerce plugin retries, except 403."""
SUCCESS = range(200, 300)
LATE_S = 3600.0
"""Maximum seconds from the end of a batch without tags to the read of its result; later, its rows are sent again.
Adding the tag to 1,000 open batches takes 17 minutes at 60 calls a minute."""
EMAIL_FIELD = re.compile(r"identifiers[.\[]0\b(?!\]?\.(channels|consent)\b)")
"""Matches an invalid field that means the email, because the email is the first identifier of every item. Its status
and consent are separate fields."""


def item_template(mapped: MappedFields, audience: Audience) -> JsonTemplate:
    """Build the template of a contact.

    Identifiers have no `channels`, so the vendor changes no person's status. The exception is the email of a row with
    proof of consent. `sendWelcomeMessage` is sent, because its default is true.
    """
    email = identifier("email", "email")
    identifiers = [with_proof(email, mapped.proof) if mapped.proof is not None else email]
    if "phone" in mapped.fields:
        identifiers.append(identifier("phone", "phone"))
    members: dict[str, Node] = {"identifiers": Array(tuple(identifiers))}
    for rule in FIELD_RULES:
        if rule.field in mapped.fields and rule.field not in {"email", "phone"}:
            members[rule.key] = Column(rule.name)
    members["tags"] = Array((Const(audience.audience),))
    if mapped.custom:
        members["customProperties"] = JsonTemplate(
            {custom.name: typed_column(custom.column, custom.type) for custom in mapped.custom}
        )
    return JsonTemplate(members)


def identifier(kind: str, column: str) -> JsonTemplate:
    """Build an identifier of the type `email` or `phone`."""
    return JsonTemplate({"type": Const(kind), "id": Column(column), "sendWelcomeMessage": Const(value=False)})


def typed_column(column: str, kind: ColumnType) -> Column:
    """Build a custom property with its column's type, because segments compare each type differently."""
    match kind:
        case "integer" | "decimal":
            return Column(column, "number")
        case "boolean":
            return Column(column, "boolean")
        case _:
            return Column(column)


def upsert(audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """Start a batch job for up to 100 contacts, by POST: PUT is documented only for products.

    Unless an experiment has proven that tags are merged, the items are sent without tags, and `collect` adds the tag.
    """
    request = send_batch("POST", f"{audience.base_url}/batches", BODY_PREFIX, batch, BODY_SUFFIX)
    response = yield versioned(request if merges(audience) else without_tags(audience, request))
    if response.status in SUCCESS:
        return JobId(required_id(response.mapping(), "batchID"))
    if response.status in {400, 413}:
        raise BatchRejected(*error_of(response))
    raise_for(response)


def poll(audience: Audience, job_ids: Sequence[str]) -> Operation[dict[str, JobState]]:
    """Return job states. Read pages of 250 batches of the brand, then single batches that are not on these pages.

    A page costs one call, as a single batch does. So another page is read only while more batches are missing than the
    number of pages read, plus one. Pages begin on the day before the check. Their order is not documented: newest first
    takes the fewest calls, but any order works.
    """
    missing, states = set(job_ids), dict[str, JobState]()
    since = {"dateFrom": audience.extra["since"]} if audience.extra.get("since") else {}
    pages, has_more = 0, True
    while has_more and len(missing) > pages + 1:
        query = {"endpoint": "contacts", "limit": str(PAGE_SIZE), "offset": str(pages * PAGE_SIZE), **since}
        content = as_object(read_json((yield versioned(get(f"{audience.base_url}/batches", **query)))))
        batches = as_objects(content.get("batches"))
        for batch in batches:
            job_id = as_text(batch.get("batchID"))
            if job_id in missing and as_text(batch.get("status")) in KNOWN_STATES:
                states[job_id] = job_state(audience, batch)
                missing.discard(job_id)
        pages, has_more = pages + 1, len(batches) == PAGE_SIZE
    for job_id in sorted(missing):
        report = yield from read_batch(audience, job_id)
        states[job_id] = JobState.FAILED if report is None else job_state(audience, report)
    return states


def job_state(audience: Audience, batch: dict[str, Any]) -> JobState:
    """Return a batch's state: `ACCEPTED` if its counters show that all items succeeded, and the items had the tag."""
    status = required(batch, "status")
    if status in RUNNING_STATES:
        return JobState.RUNNING
    if status == STOPPED:
        return JobState.FAILED
    if status != "finished":
        raise UnexpectedResponse(
            f"An Omnisend batch has the status {public_code(status)!r}, which is not documented. To fix: ask "
            "Omnisend's support what it means, and report it to the maintainers of this package."
        )
    succeeded = batch.get("errorsCount") == 0 and batch.get("finishedCount") == batch.get("totalCount") is not None
    return JobState.ACCEPTED if succeeded and merges(audience) else JobState.FINISHED


def read_batch(audience: Audience, path: str) -> Operation[dict[str, Any] | None]:
    """Read a batch (path: its id) or its items (`<id>/items`); None if the batch no longer exists.

    The vendor keeps batches for 7 days. A run that resumes later sends the rows of a lost batch again.
    """
    response = yield versioned(get(f"{audience.base_url}/batches/{path}"))
    return batch_of(response)


def batch_of(response: Response) -> dict[str, Any] | None:
    """Return the batch in a response; None if the batch no longer exists."""
    if response.status == 404:  # noqa: PLR2004 - HTTP's own number
        return None
    return as_object(read_json(response))


def ended_long_ago(report: dict[str, Any], response: Response) -> bool:
    """Return whether a batch ended more than `LATE_S` seconds before the response, by the vendor's clock."""
    ended_at, now = to_epoch_s(as_text(report.get("endedAt"))), date_to_epoch_s(response.headers.get("date", ""))
    return ended_at is not None and now is not None and now - ended_at > LATE_S


def collect(audience: Audience, batch: Batch, job_id: str) -> Operation[BatchResult]:
    """Read a job's items and return the result of each row. If the job no longer exists, all rows are to be retried.

    If the items were sent without the tag, the tag is added before the result is returned, so a crash between the two
    repeats both and leaves no contact without the tag. The tag is added to the contact that now has the row's address.
    After more than `LATE_S` seconds, the address may have no contact, and the vendor would ignore it. The rows are then
    sent again, once.

    Args:
        audience: the audience of the job.
        batch: the rows of the job.
        job_id: the vendor's id of the job.
    """
    response = yield versioned(get(f"{audience.base_url}/batches/{job_id}/items"))
    report = batch_of(response)
    if report is None:
        return BatchResult(retry=tuple(range(len(batch))))
    result = batch_result(report, batch)
    if merges(audience):
        return result
    if ended_long_ago(report, response) and not batch.attempt:
        return to_retry(batch, result)
    return (yield from tag_accepted(audience, batch, result))


def collect_without_changes(audience: Audience, batch: Batch, job_id: str) -> Operation[BatchResult]:
    """Read a job's items like `collect`, but add no tag. Rows without the tag are to be sent again.

    Args:
        audience: the audience of the job.
        batch: the rows of the job.
        job_id: the vendor's id of the job.
    """
    report = yield from read_batch(audience, f"{job_id}/items")
    result = BatchResult() if report is None else batch_result(report, batch)
    return result if report is not None and merges(audience) else to_retry(batch, result)


def to_retry(batch: Batch, result: BatchResult) -> BatchResult:
    """Return a result without accepted rows: all rows that were not rejected are to be sent again."""
    rejected = {rejection.index for rejection in result.rejected}
    return replace(result, retry=tuple(row for row in range(len(batch)) if row not in rejected), contact_ids={})


def batch_result(report: dict[str, Any], batch: Batch) -> BatchResult:
    """Match items to rows by address, never by position. Rows without a result are retried.

    A row without an item counts as accepted only if the job has finished and lists all errors that it counts.

    Raises:
        VendorUnavailable: the job has not ended.
    """
    if report.get("status") in RUNNING_STATES:
        raise not_ended("Omnisend")
    index = index_by_email(batch)
    contact_ids: dict[int, str] = {}
    rejected: dict[int, RowRejection] = {}
    retry: set[int] = set()
    for result in [*as_objects(report.get("responses")), *as_objects(report.get("errors"))]:
        row = index.get(item_email(result))
        code = as_int(result.get("responseCode")) or 0
        if row is None or not code:  # an item without a code has no result
            continue
        if code in SUCCESS:
            contact_ids[row] = id_of(as_object(result.get("response")).get("id"))
        elif code in RETRY_CODES:
            retry.add(row)
        else:
            rejected[row] = to_rejection(row, code, result.get("response"))
    rows = contact_ids.keys() | rejected.keys() | retry
    is_complete = report.get("status") == "finished" and report.get("errorsCount") == len(rejected) + len(retry)
    if report.get("status") == STOPPED and not rows and len(batch) > 1:
        raise BatchRejected(STOPPED, "The vendor stopped the batch before its first item.")
    if not is_complete:
        retry |= set(range(len(batch))) - rows
    return BatchResult(
        rejected=tuple(rejected.values()),
        retry=tuple(sorted(retry)),
        contact_ids={row: contact_id for row, contact_id in contact_ids.items() if contact_id},
    )


def item_email(result: dict[str, Any]) -> str:
    """Return the address in the request that is part of an item's result; empty if there is none."""
    identifiers = as_objects(as_object(result.get("request")).get("identifiers"))
    emails = [as_text(entry.get("id")) for entry in identifiers if entry.get("type") == "email"]
    return canonical(emails[0]) if emails else ""


def to_rejection(row: int, code: int, response: Any) -> RowRejection:
    """Return the rejection of a row.

    Args:
        row: index in the batch.
        code: the item's result code.
        response: the item's response: a problem object with the invalid fields, as for a single call.
    """
    body = as_object(response)
    errors = as_objects(body.get("errors"))
    if any(EMAIL_FIELD.match(as_text(error.get("field"))) for error in errors):
        reason = Reason.INVALID_EMAIL
    else:
        reason = Reason.INVALID_VALUE if errors else Reason.REJECTED_BY_VENDOR
    return RowRejection(row, reason, str(code), field_errors(errors) or as_text(body.get("detail")))

"""Reads an import's report: what became of each of its contacts.

A report names thousands of contacts, and a million of them pass through here: they are decoded by msgspec straight into
what is read of them, a third of the time that JSON as dictionaries takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from airflow_provider_segexport.email_address import same
from airflow_provider_segexport.model import Batch, BatchResult, Reason, Response, RowRejection
from airflow_provider_segexport.vendors.dotdigital.responses import raise_for
from airflow_provider_segexport.vendors.responses import index_by_email

# The documented table and the spec's examples name the codes differently: compared in lower case, an open set.
REASONS = {
    "invalidemail": Reason.INVALID_EMAIL,
    "invaliddomain": Reason.INVALID_EMAIL,
    "globallysuppressed": Reason.SUPPRESSED,
    "suppressedbydomain": Reason.SUPPRESSED,
    "blocker": Reason.SUPPRESSED,
    "duplicate": Reason.REJECTED_BY_VENDOR,
    "duplicateidentifier": Reason.REJECTED_BY_VENDOR,
    "apischemaviolation": Reason.INVALID_VALUE,
    "invalidphonenumber": Reason.INVALID_VALUE,
}


class ReportPart(msgspec.Struct, rename="camel", gc=False):
    """A part of a report. What is not named here is not even made: reports hold all of a contact's data fields."""


class Identifiers(ReportPart):
    """What tells a contact from others."""

    email: str | None = None


class Contact(ReportPart):
    """A contact that was created or updated."""

    contact_id: int | str | None = None
    identifiers: Identifiers | None = None


class FailureReason(ReportPart):
    """Why something was not taken."""

    failure_code: str | int | None = None
    description: str | None = None


class Failure(ReportPart):
    """A contact, or something attached to one, that was not taken."""

    identifiers: Identifiers | None = None
    failures: list[FailureReason] | None = None


T = TypeVar("T", Contact, Failure)


class Report(ReportPart):
    """The answer to `GET /contacts/v3/import/{importId}`."""

    status: str
    created: list[Contact] | None = None
    updated: list[Contact] | None = None
    failures: list[Failure] | None = None


_REPORT = msgspec.json.Decoder(Report)


def read_report(response: Response) -> Report:
    """The report.

    Raises:
        ValueError: it is not of this shape.
    """
    if response.status == 404:  # noqa: PLR2004 - contacts:importNotFound: how long reports are kept is not published
        return Report("Failed")
    if response.status != 200:  # noqa: PLR2004
        raise_for(response)
    try:
        return _REPORT.decode(response.body)
    except msgspec.DecodeError:
        response.json()  # raises what it means when it is no JSON at all
        raise


def batch_result(found: Report, batch: Batch) -> BatchResult:
    """`created` and `updated` bring contact ids; `failures` name rows.

    A contact may be updated and stand in `failures` all the same, because something attached to it failed: it counts
    as delivered. One that stands nowhere has no verdict, unless the report leaves the lists out altogether.
    """
    index = index_by_email(batch)
    taken: dict[int, str] = {}
    for contacts in (found.created, found.updated):
        for at, one in _rows_in_batch(contacts, index):
            taken[at] = "" if one.contact_id is None else str(one.contact_id)
    refused: dict[int, RowRejection] = {}
    for at, failed in _rows_in_batch(found.failures, index):
        if at not in taken:
            refused[at] = _to_rejection(at, failed.failures[0] if failed.failures else FailureReason())
    told = found.created is not None or found.updated is not None
    if told and len(taken) + len(refused) < len(batch):
        for at in sorted(set(range(len(batch))) - taken.keys() - refused.keys()):
            refused[at] = RowRejection(at, Reason.NO_RESULT, "", "dotdigital's report does not mention this contact.")
    named = taken if all(taken.values()) else {at: contact for at, contact in taken.items() if contact}
    return BatchResult(rejected=tuple(refused.values()), contact_ids=named)


def _rows_in_batch(told: list[T] | None, index: dict[str, int]) -> Iterator[tuple[int, T]]:
    """Those of a list that stand in the batch, each behind where it stands."""
    for one in told or ():
        who = one.identifiers
        if who is not None and who.email is not None:
            at = index.get(same(who.email))
            if at is not None:
                yield at, one


def _to_rejection(at: int, why: FailureReason) -> RowRejection:
    code = "" if why.failure_code is None else str(why.failure_code)
    return RowRejection(at, REASONS.get(code.lower(), Reason.REJECTED_BY_VENDOR), code, why.description or "")

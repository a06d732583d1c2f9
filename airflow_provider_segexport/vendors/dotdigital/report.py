"""dotdigital: parses an import's report into the result of each row.

A report names thousands of contacts, so msgspec decodes it directly into structs that contain only the members in use.
This takes a third of the time of decoding to dictionaries.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.model import Batch, BatchResult, Reason, Response, RowRejection, RowWarning
from airflow_provider_segexport.vendors.dotdigital.proof import NOT_APPLIED
from airflow_provider_segexport.vendors.dotdigital.responses import raise_for
from airflow_provider_segexport.vendors.responses import index_by_email

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
"""Reasons by failure code. Failure codes are an open set. The keys are in lower case, because the documented table and
the specification's examples spell the codes differently."""


class ReportPart(msgspec.Struct, rename="camel", gc=False):
    """A part of a report. msgspec skips members that are not declared, such as a contact's data fields."""


class Identifiers(ReportPart):
    """Identifiers of a contact."""

    email: str | None = None


class Contact(ReportPart):
    """A contact that was created or updated."""

    contact_id: int | str | None = None
    identifiers: Identifiers | None = None


class FailureReason(ReportPart):
    """Code and description of a failure."""

    failure_code: str | int | None = None
    description: str | None = None


class Failure(ReportPart):
    """A rejected contact, or a rejected part of an accepted contact."""

    identifiers: Identifiers | None = None
    failures: list[FailureReason] | None = None


T = TypeVar("T", Contact, Failure)


class Summary(ReportPart):
    """Counts of the contacts that were created and updated."""

    new_contacts: int | None = None
    updated_contacts: int | None = None


class Report(ReportPart):
    """Response to `GET /contacts/v3/import/{importId}`. Only the id and the status are required (specification)."""

    status: str
    summary: Summary | None = None
    created: list[Contact] | None = None
    updated: list[Contact] | None = None
    failures: list[Failure] | None = None


_REPORT = msgspec.json.Decoder(Report)


def read_report(response: Response) -> Report:
    """Parse a report. A report that no longer exists counts as failed: the vendor does not document how long it exists.

    Raises:
        ValueError: the JSON does not have this form.
    """
    if response.status == 404:  # noqa: PLR2004 - contacts:importNotFound
        return Report("Failed")
    if response.status != 200:  # noqa: PLR2004
        raise_for(response)
    try:
        return _REPORT.decode(response.body)
    except msgspec.DecodeError:
        response.json()  # raises the appropriate error if the body is not JSON
        raise


def batch_result(report: Report, batch: Batch) -> BatchResult:
    """Return the result of each row: `created` and `updated` contain contact ids, `failures` contains rejections.

    A contact that is both updated and in `failures` counts as delivered, because only something attached to it failed.
    So does one of which only the consent records failed: they fail after the contact has been imported (contacts
    specification 3.4.3, read 2026-11). A contact that is in no list has no result. If the report has no lists of
    accepted contacts, the summary's counts show whether all others were accepted. If they were not, or there is no
    summary, these rows are unattributed, and the run reads the book to identify them.
    """
    index = index_by_email(batch)
    contact_ids: dict[int, str] = {}
    for contacts in (report.created, report.updated):
        for row, contact in _rows_in_batch(contacts, index):
            contact_ids[row] = "" if contact.contact_id is None else str(contact.contact_id)
    rejected: dict[int, RowRejection] = {}
    unproven: dict[int, RowWarning] = {}
    for row, failure in _rows_in_batch(report.failures, index):
        failures = failure.failures or [FailureReason()]
        if (warning := _proof_warning(row, failures)) is not None:
            unproven[row] = warning
        if row not in contact_ids and (cause := _cause(failures)) is not None:
            rejected[row] = _to_rejection(row, cause)
    unattributed = 0
    if report.created is None and report.updated is None:
        summary = report.summary or Summary()
        accepted = (summary.new_contacts or 0) + (summary.updated_contacts or 0)
        unattributed = max(0, len(batch) - len(rejected) - max(accepted, len(unproven)))
    elif len(contact_ids) + len(rejected) < len(batch):
        for row in sorted(set(range(len(batch))) - contact_ids.keys() - rejected.keys() - unproven.keys()):
            rejected[row] = RowRejection(
                row, Reason.NO_RESULT, "", "dotdigital's report does not mention this contact."
            )
    if not all(contact_ids.values()):
        contact_ids = {row: contact_id for row, contact_id in contact_ids.items() if contact_id}
    warnings = tuple(warning for row, warning in unproven.items() if row not in rejected)
    return BatchResult(
        rejected=tuple(rejected.values()),
        contact_ids=contact_ids,
        unattributed=unattributed,
        proof_not_applied=warnings,
    )


def _rows_in_batch(entries: list[T] | None, index: dict[str, int]) -> Iterator[tuple[int, T]]:
    """Yield row index and entry of each entry whose address is in the batch."""
    for entry in entries or ():
        identifiers = entry.identifiers
        if identifiers is not None and identifiers.email is not None:
            row = index.get(canonical(identifiers.email))
            if row is not None:
                yield row, entry


def _is_of_proof(failure: FailureReason) -> bool:
    return str(failure.failure_code).lower() == NOT_APPLIED


def _cause(failures: list[FailureReason]) -> FailureReason | None:
    """Return the first failure that rejects a contact; None if only its consent records failed."""
    return next((failure for failure in failures if not _is_of_proof(failure)), None)


def _proof_warning(row: int, failures: list[FailureReason]) -> RowWarning | None:
    """Return the warning for a contact whose consent records failed; None if they did not fail."""
    failed = next((failure for failure in failures if _is_of_proof(failure)), None)
    return None if failed is None else RowWarning(row, str(failed.failure_code), failed.description or "")


def _to_rejection(row: int, failure: FailureReason) -> RowRejection:
    code = "" if failure.failure_code is None else str(failure.failure_code)
    return RowRejection(row, REASONS.get(code.lower(), Reason.REJECTED_BY_VENDOR), code, failure.description or "")

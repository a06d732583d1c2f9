"""dotdigital: item template and import jobs."""

from __future__ import annotations

import re
from collections.abc import Sequence

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
    Request,
)
from airflow_provider_segexport.vendors.base import MappedFields
from airflow_provider_segexport.vendors.dotdigital.fields import FIELD_RULES
from airflow_provider_segexport.vendors.dotdigital.proof import records
from airflow_provider_segexport.vendors.dotdigital.report import batch_result, read_report
from airflow_provider_segexport.vendors.dotdigital.responses import error_of, raise_for, reject_all
from airflow_provider_segexport.vendors.item_template import Array, Column, Const, JsonTemplate, Node
from airflow_provider_segexport.vendors.responses import GUID, get, not_ended, required_id, send_batch

STATES = {
    "notfinished": JobState.RUNNING,
    "finished": JobState.FINISHED,
    "rejectedbywatchdog": JobState.FAILED,
    "failed": JobState.FAILED,
    "exceedsallowedcontactlimit": JobState.FAILED,
}


def item_template(matched: MappedFields, audience: Audience) -> JsonTemplate:
    """Build the template of a contact. It omits `channelProperties.email.status`, so no contact's status changes."""
    columns = [(rule.key, rule.field) for rule in FIELD_RULES if rule.field in matched.fields and rule.field != "email"]
    columns += [(custom.name, custom.column) for custom in matched.custom]
    data: dict[str, Node] = {}
    for name, column in columns:
        field = audience.fields[name.lower()]
        match field.type:
            case "number":
                data[field.key] = Column(column, "number")
            case "boolean":
                data[field.key] = Column(column, "boolean")
            case _:
                data[field.key] = Column(column)
    members: dict[str, Node] = {
        "matchIdentifier": Const("email"),
        "identifiers": JsonTemplate({"email": Column("email")}),
        "dataFields": JsonTemplate(data),
        "lists": Array((Const(int(audience.audience)),)),
    }
    if matched.proof is not None:
        members["consentRecords"] = records(matched.proof)
    return JsonTemplate(members)


def upsert(audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """Start an import job."""
    url = f"{audience.base_url}/contacts/v3/import"
    response = yield send_batch("PUT", url, '{"mergeOption":"overwrite","contacts":[', batch, "]}")
    if response.status in {200, 201, 202}:
        return JobId(required_id(response.mapping(), "importId", GUID))
    if response.status == 400:  # noqa: PLR2004
        raise BatchRejected(*error_of(response))
    raise_for(response)


STATUS = re.compile(rb'"status"\s*:\s*"(%s)"' % "|".join(STATES).encode(), re.IGNORECASE)
"""An import's state in its report. A text search is safe, because no contact in the report has such a status."""

SUCCESS = range(200, 300)


def report_request(audience: Audience, job_id: str) -> Request:
    """Return the request for an import's report, which contains every contact of the job."""
    return get(f"{audience.base_url}/contacts/v3/import/{job_id}")


def poll(audience: Audience, job_ids: Sequence[str]) -> Operation[dict[str, JobState]]:
    """Read one report for each job, because v3 has no list of imports."""
    states = {}
    for job_id in job_ids:
        response = yield report_request(audience, job_id)
        matches = {match.lower() for match in STATUS.findall(response.body)} if response.status in SUCCESS else set()
        status = matches.pop().decode() if len(matches) == 1 else read_report(response).status
        states[job_id] = job_state(status)
    return states


def job_state(status: str) -> JobState:
    """Return an import's state; raise `UnexpectedResponse` for a status that is not documented."""
    if status.lower() not in STATES:
        raise UnexpectedResponse(
            f"A dotdigital import has the state {public_code(status)!r}, which is not documented. To fix: ask "
            "dotdigital's support what it means, and report it to the maintainers of this package."
        )
    return STATES[status.lower()]


def collect(audience: Audience, batch: Batch, job_id: str) -> Operation[BatchResult]:
    """Read a job's report and return the result of each row.

    Args:
        audience: the audience of the job.
        batch: the rows of the job.
        job_id: the vendor's id of the job.
    """
    report = read_report((yield report_request(audience, job_id)))
    if job_state(report.status) is JobState.RUNNING:
        raise not_ended("dotdigital")
    match report.status.lower():
        case "finished":
            return batch_result(report, batch)
        case "failed":
            return BatchResult(retry=tuple(range(len(batch))))
        case "exceedsallowedcontactlimit":
            message = (
                "The account's contact limit is reached at dotdigital. To fix: delete contacts or raise the contract's "
                "limit, then run again."
            )
            return reject_all(batch, Reason.CONTACT_LIMIT_REACHED, report.status, message)
        case _:
            message = (
                "dotdigital's data watchdog rejected an entire import. To fix: ask dotdigital's support before you run "
                "it again."
            )
            return reject_all(batch, Reason.JOB_FAILED, report.status, message)

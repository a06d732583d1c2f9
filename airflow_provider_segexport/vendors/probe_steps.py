"""Steps that the questions of several vendors share: import a few rows, and take addresses out of an audience."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.errors import VendorUnavailable
from airflow_provider_segexport.model import (
    Audience,
    Batch,
    BatchKind,
    BatchReply,
    BatchResult,
    JobId,
    JobState,
    Member,
    Operation,
    Sleep,
    batch_id,
)
from airflow_provider_segexport.vendors.base import OnPage, Removal
from airflow_provider_segexport.vendors.operations import no_collect, no_poll

POLL_WAITS_S = (0.5, 1.0, 2.0, 5.0, 10.0, *([15.0] * 19))
"""Seconds before each poll of a job with a few rows; about five minutes in total."""

CLEAN_UP_WAITS_S = (0.0, 2.0, 5.0, 15.0, 30.0)
"""Seconds before each check whether the addresses have left the audience."""

EPOCH_S = 1_000_000_000.0
"""A larger number in a header is a time in epoch seconds, not a wait in seconds."""


@dataclass(frozen=True, slots=True)
class ImportCalls:
    """The operations of a vendor that import rows."""

    upsert: Callable[[Audience, Batch], Operation[BatchReply]]
    poll: Callable[[Audience, Sequence[str]], Operation[dict[str, JobState]]] = no_poll
    collect: Callable[[Audience, Batch, str], Operation[BatchResult]] = no_collect


def import_rows(imports: ImportCalls, audience: Audience, rows: Sequence[tuple[str, str]]) -> Operation[BatchResult]:
    """Import a few rows and wait for the result.

    Args:
        imports: the vendor's operations.
        audience: the test audience.
        rows: address and encoded item of each row.

    Raises:
        BatchRejected: the vendor rejects the call.
        VendorUnavailable: the job failed, or has not ended within five minutes.
    """
    emails, items = [email for email, _ in rows], [item for _, item in rows]
    batch = Batch(batch_id(items), range(len(rows)), emails, items)
    reply = yield from imports.upsert(audience, batch)
    if not isinstance(reply, JobId):
        return reply
    result = yield from wait_for_job(imports.poll, imports.collect, audience, batch, reply.id)
    if result.retry:
        raise VendorUnavailable("The vendor did not carry out an import of a few rows. To fix: run the probe again.")
    return result


def wait_for_job(
    poll: Callable[[Audience, Sequence[str]], Operation[dict[str, JobState]]],
    collect: Callable[[Audience, Batch, str], Operation[BatchResult]],
    audience: Audience,
    batch: Batch,
    job_id: str,
) -> Operation[BatchResult]:
    """Poll a job until it has ended, and return its result.

    Args:
        poll: reads the state of jobs.
        collect: reads the result of a job.
        audience: the test audience.
        batch: the rows of the job.
        job_id: the vendor's id of the job.

    Raises:
        VendorUnavailable: the job has not ended within five minutes.
    """
    for wait_s in POLL_WAITS_S:
        yield Sleep(wait_s)
        state = (yield from poll(audience, [job_id])).get(job_id, JobState.RUNNING)
        if state is JobState.ACCEPTED and batch.kind is BatchKind.REMOVE:
            return BatchResult()
        if state is not JobState.RUNNING:
            yield Sleep(0)  # `collect` may repeat the read
            return (yield from collect(audience, batch, job_id))
    raise VendorUnavailable(
        f"The vendor's job {job_id} of a few rows has not ended within five minutes. To fix: run the probe again later."
    )


def take_out(
    removal: Removal,
    find: Callable[[Audience, Sequence[str], OnPage], Operation[None]],
    audience: Audience,
    emails: Sequence[str],
) -> Operation[int]:
    """Take addresses out of an audience, and return how many are still in it.

    Args:
        removal: the vendor's removal.
        find: passes the members among the addresses to a callback.
        audience: the test audience.
        emails: addresses to take out.
    """
    wanted, present = set(map(canonical, emails)), list[Member]()
    for wait_s in CLEAN_UP_WAITS_S:
        yield Sleep(wait_s)
        members: list[Member] = []
        yield from find(audience, emails, members.extend)
        present = [member for member in members if canonical(member.email) in wanted]
        if not present:
            return 0
        items = [member.contact_id if removal.by_id else member.email for member in present]
        batch_emails = [member.email for member in present]
        kind = BatchKind.REMOVE
        batch = Batch(batch_id(items, kind=kind), range(len(items)), batch_emails, items, kind=kind)
        reply = yield from removal.remove(audience, batch)
        if isinstance(reply, JobId):
            yield from wait_for_job(removal.poll, removal.collect, audience, batch, reply.id)
    yield Sleep(0)
    last: list[Member] = []
    yield from find(audience, emails, last.extend)
    return sum(canonical(member.email) in wanted for member in last)


def capitals(email: str) -> str:
    """Return an address with its local part in upper case."""
    local, _, domain = email.rpartition("@")
    return f"{local.upper()}@{domain}"


def limit_headers(headers: Mapping[str, str]) -> str:
    """Return how headers give the reset of the rate limit: `absent`, `epoch` (epoch seconds), `seconds` or `other`."""
    announced = {name: value for name, value in headers.items() if "ratelimit" in name.replace("-", "")}
    if not announced:
        return "absent"
    reset = next((value for name, value in announced.items() if name.endswith("reset")), "")
    try:
        return "epoch" if float(reset) > EPOCH_S else "seconds"
    except ValueError:
        return "other"

"""Brings into the ledger what a run has done that ended before it could: `its run folder, its jobs -> ledger`.

Another run would plan against a ledger that does not know of it: people that it put in would never be taken out, and
values that it changed would pass for unchanged. Its jobs may still run at the vendor. A job that ends later than the
newer run's would undo what that one did, so every job has ended before anything is planned.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from airflow_provider_segexport.contract import Removal, Vendor
from airflow_provider_segexport.errors import DamagedState, JobsTooLong, ReplyNotUnderstood
from airflow_provider_segexport.export import doubts
from airflow_provider_segexport.export.close import name
from airflow_provider_segexport.export.leaving import confirm, removal_of
from airflow_provider_segexport.export.order import Job, Waiting, works_later
from airflow_provider_segexport.export.overdue import BoundedPause, oldest_at, running
from airflow_provider_segexport.export.sending import adopt, calls_of
from airflow_provider_segexport.model import Batch, Target
from airflow_provider_segexport.ports.engine import engine
from airflow_provider_segexport.ports.journal import State
from airflow_provider_segexport.ports.ledger import Ledger
from airflow_provider_segexport.ports.origin import KEPT_IN_PLAN, Origin
from airflow_provider_segexport.ports.places import names
from airflow_provider_segexport.ports.run_folder import RunFolder, target_of
from airflow_provider_segexport.ports.standing import Standing
from airflow_provider_segexport.segment import Planned
from airflow_provider_segexport.stages import commit, readback, send, settle

log = logging.getLogger(__name__)

UNANSWERED_S = 120.0
"""Seconds after a call without an answer in which a newer run plans nothing. The call may have become a job that cannot
be found; with the vendors' documents an import of one call takes less than this."""


def recover(job: Job, ledger: Ledger, standing: Standing) -> Standing | Waiting:
    """Settle a run that did not come to its end.

    Args:
        job: the run that comes after it.
        ledger: of the audience.
        standing: names the run folder of the unfinished run in `open`.

    Returns:
        The standing afterwards, or the jobs that are waited for. Rows whose fate stays unknown count as perhaps in the
        audience, with unknown content, so that they are sent or taken out again where that is due.
    """
    if not standing.open or standing.open == str(job.world.folder.place):
        return doubts.settle(job, ledger, standing, standing.open)
    folder = RunFolder(job.world.resolve(standing.open))
    found = folder.plan()
    if found is None:
        if not names(folder.place):
            raise DamagedState(standing.open, "it is gone, and it says whom an unfinished run has sent")
        log.info("An unfinished run was stopped before its first call (folder=%s).", standing.open)
    else:
        folder.verify()
        planned, facts = found
        waiting = _wait(replace(job, world=replace(job.world, folder=folder)), planned, target_of(facts["target"]))
        if waiting is not None:
            return waiting
        _write(job, ledger, standing, folder)
        if any(doubt.folder == standing.open for doubt in standing.doubts):
            doubts.note(folder, all_of_it=False)
    settled = replace(standing, open="")
    settled.write(ledger.place, ledger.fence)
    # Afterwards, because a call of an older run may have landed after the unfinished run's call of the same rows.
    return doubts.settle(job, ledger, settled, standing.open)


def _wait(job: Job, planned: Planned, target: Target) -> Waiting | None:
    """Find out what became of every job of the unfinished run, whose folder is `job.world.folder`; send nothing."""
    folder = job.world.folder
    for part in (folder, folder.removals):
        part.journal.clock = job.world.clock
    try:
        waiting = _imports(job, planned, target) or _removals(job, planned, target)
    except (JobsTooLong, ReplyNotUnderstood) as error:
        log.warning("What became of a job of an unfinished run cannot be found out: %s", error)
        return None
    if waiting is None:
        _let_pass(job)
    else:
        log.info("Waiting for jobs of an unfinished run (folder=%s jobs=%d).", folder.place, len(waiting.tickets))
    return waiting


def _let_pass(job: Job) -> None:
    """Let what a call without an answer may have begun come to its end."""
    folder = job.world.folder
    entries = [*folder.journal.states().values(), *folder.removals.journal.states().values()]
    last = max((entry.at for entry in entries if entry.state is State.SENDING), default=0.0)
    seconds = last + UNANSWERED_S - job.world.clock()
    if works_later(job) and last and seconds > 0:
        log.info("Waiting for calls of an unfinished run that had no answer (seconds=%.0f).", seconds)
        job.world.sleep(min(seconds, UNANSWERED_S))


def _imports(job: Job, planned: Planned, target: Target) -> Waiting | None:
    books = settle.Bookkeeper(job.world.folder)
    adopt(job, planned, target, books)
    waiting = _ended(job, job.vendor, target, planned.batches, books)
    if waiting is None:
        name(job, planned, target)
    return waiting


def _removals(job: Job, planned: Planned, target: Target) -> Waiting | None:
    if not planned.removals:
        return None
    removal, folder = removal_of(job), job.world.folder.removals
    books = settle.Bookkeeper(folder, read_back=not removal.verdict)
    waiting = _ended(job, removal, target, planned.removals, books)
    if waiting is None and readback.unnamed(folder):
        confirm(job, planned, target)
    return waiting


def _ended(
    job: Job, jobs: Vendor | Removal, target: Target, batches: Sequence[str], books: settle.Bookkeeper
) -> Waiting | None:
    """Settle the jobs that have ended, and wait for the others; what a verdict asks to send again is not sent."""
    folder = books.folder
    if not running(folder):
        return None
    pending = [part for part in settle.remaining(folder, tuple(batches)) if isinstance(part, tuple)]
    calls = calls_of(job, jobs, target, _never, books, answered=partial(_note, books))
    try:
        tickets = send.send(
            send.Flight(iter(pending)),
            calls,
            jobs.limits,
            pause=BoundedPause(job, folder),
            stop=lambda: None,
        )
    except send.Stopped as stopped:
        raise stopped.error from None
    return Waiting(tuple(tickets), len(tickets), kind=folder.kind, since=oldest_at(folder)) if tickets else None


def _note(books: settle.Bookkeeper, batch: Batch, answer: send.Answer) -> list[Batch]:
    """Write a verdict down; nothing goes out in the batch's place."""
    books.answered(batch, answer)
    return []


def _never(batch: Batch) -> Any:
    """No call carries a batch of an unfinished run."""
    raise AssertionError(f"Batch {batch.name} of an unfinished run would be sent.")


def _write(job: Job, ledger: Ledger, standing: Standing, folder: RunFolder) -> None:
    """Bring what the unfinished run did into the ledger."""
    found = folder.plan()
    assert found is not None  # noqa: S101 - its caller has read it
    planned, facts = found
    origin = Origin(
        facts["as_of"],
        standing.run,
        planned.profiles,
        finished=False,
        started_at=facts["started_at"],
        ended_at=job.world.clock(),
        in_flight=True,
        keeps_left=job.vendor.readds_leavers,
        **{name: facts[name] for name in KEPT_IN_PLAN if name in facts},
    )
    with engine() as sql:
        version = commit.commit(sql, ledger, folder, commit.Names(planned.batches, planned.removals), origin)
    log.info("Writing an unfinished run into the ledger (run=%s version=%d).", standing.run, version)

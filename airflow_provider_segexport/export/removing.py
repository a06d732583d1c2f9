"""Removes leavers: finds them while planning, and sends their removals after every upsert has a result."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.export.config import ExportContext, PendingJobs
from airflow_provider_segexport.export.removal_checks import RemovalChecks
from airflow_provider_segexport.export.reverify import Pending
from airflow_provider_segexport.export.sending import callbacks, run_send_loop
from airflow_provider_segexport.model import Audience, Batch, BatchReply, Operation, Request
from airflow_provider_segexport.stages import readback, record, removals, send
from airflow_provider_segexport.storage.duckdb_engine import Engine, engine
from airflow_provider_segexport.storage.plan import Plan, RowSql
from airflow_provider_segexport.vendors.base import Removal
from airflow_provider_segexport.vendors.read_back import READ_BACK_DELAYS_S, members_among

log = logging.getLogger(__name__)

READS = frozenset({"GET", "HEAD"})
"""Methods of requests that change nothing at the vendor."""


def removal_of(context: ExportContext) -> Removal:
    """Return the vendor's removal operations.

    Raises:
        InvalidArgument: the vendor cannot remove people.
    """
    if context.vendor.removal is None:
        raise InvalidArgument(f"{context.vendor.title} cannot remove people. To fix: set `mode='upsert'`.")
    return context.vendor.removal


def find(context: ExportContext, sql: Engine, version: int, bit: int, content: RowSql | None) -> int:
    """Find the people to remove, and the changes of this export's claims on people.

    Args:
        context: the export.
        sql: holds the segment and the ledger.
        version: version of the ledger; 0 for none.
        bit: this export's bit in `sharers_mask`.
        content: SQL of a row's hash if other exports have used the audience, too; None otherwise.

    Returns:
        The number of people to remove, without people that other exports claim.

    Raises:
        InvalidArgument: the mode is `mirror`, and the vendor cannot remove people.
    """
    removals.create_tables(sql)
    is_mirror = context.config.mode == "mirror"
    if is_mirror:
        removal_of(context)
    if not version:
        return 0
    if is_mirror:
        removals.find(sql)
    removals.update_sharers(sql, bit, release=is_mirror)
    if is_mirror and not context.config.adopt_existing:
        removals.keep_existing(sql, bit)
    if is_mirror and context.vendor.import_readds_leavers:
        removals.drop_left(sql)
    if content is not None:
        removals.find_already_delivered(sql, content)
    removals.write_sharers(sql, context.environment.run_folder.path / "sharers.parquet")
    return removals.count(sql)


def freeze(context: ExportContext, sql: Engine, planned: Plan, *, keep: str) -> Plan:
    """Write the batches of leavers.

    Args:
        context: the export.
        sql: holds the leavers.
        planned: the plan without removals.
        keep: name of the tripped guard that skips all removals; empty if there is none.

    Returns:
        The plan with its removals.
    """
    if keep:
        removals.keep(sql, keep)
    folder = context.environment.run_folder
    names: tuple[str, ...] = ()
    to_send = 0
    if removals.count(sql):
        to_send = removals.count(sql)
        names = removals.write_batches(sql, folder.removals.rows, removal_of(context).limits)
    not_sent = removals.write_not_sent(sql, folder.path / "leavers_not_sent.parquet")
    counts = {name: number for name, number in {"send": to_send, **not_sent}.items() if number}
    return replace(planned, removal_batches=names, leaver_counts=counts)


def send_removals(
    context: ExportContext, planned: Plan, audience: Audience, recorder: record.BatchRecorder
) -> PendingJobs | None:
    """Send the removals.

    Args:
        context: the run.
        planned: the run's plan.
        audience: the audience to remove people from.
        recorder: the recorder of the run's removals.

    Returns:
        The jobs to wait for; None if every batch has a result.
    """
    if not planned.removal_batches:
        return None
    removal = removal_of(context)
    folder = context.environment.run_folder.removals

    def open_batches() -> Iterator[Pending]:
        return record.remaining(folder, planned.removal_batches)

    with engine() as sql:
        checks = RemovalChecks(context, removal, audience, sql, open_batches)
        calls = callbacks(
            context,
            removal,
            audience,
            lambda batch: _with_intent(recorder, batch, checks.remove(batch)),
            recorder,
            record_reply=checks.record_reply(recorder),
        )
        calls = replace(calls, record_sending=checks.before_sending)
        pending = checks.checked(open_batches(), recorder)
        # No intent is written ahead, because the people of a removal are checked right before its call.
        with folder.journal.sending((), removal.limits.batch_rows):
            jobs = run_send_loop(context, send.InFlight(pending), calls, removal.limits, recorder)
    if jobs is None and readback.unattributed_count(folder):
        confirm(context, planned, audience)
    return jobs


def _with_intent(
    recorder: record.BatchRecorder, batch: Batch, operation: Operation[BatchReply]
) -> Operation[BatchReply]:
    """Return the operation, with the intent on disk right before the first request that may remove a person.

    A person who is already gone counts as removed by this export if an earlier attempt has recorded the intent. So the
    intent is not written before calls that only read: another client may have deleted the person.
    """
    try:
        step = next(operation)
        while not isinstance(step, Request) or step.method in READS:
            step = operation.send((yield step))
        recorder.record_sending([batch])
        recorder.folder.journal.sync(batch.id)
        while True:
            step = operation.send((yield step))
    except StopIteration as end:
        reply: BatchReply = end.value
        return reply


def confirm(context: ExportContext, planned: Plan, audience: Audience) -> None:
    """Read back whether the people are gone, because the vendor has only accepted the removals so far.

    Args:
        context: the run.
        planned: the run's plan.
        audience: the audience that the people were removed from.
    """
    folder, removal, batches = context.environment.run_folder.removals, removal_of(context), planned.removal_batches
    still_there = 0
    for number, seconds in enumerate(READ_BACK_DELAYS_S):
        context.environment.sleep(seconds)
        with engine() as sql:
            emails = readback.unconfirmed(folder, batches) if removal.find_members is not None else ()
            context.run_operation(members_among(context.vendor, audience, emails, readback.Pages(sql)))
            still_there = readback.count_still_there(sql, folder, batches, last=number == len(READ_BACK_DELAYS_S) - 1)
        if not still_there:
            return
    log.warning("Leaving people in the audience after their removal (people=%d)", still_there)

"""Removes leavers: finds them while planning, and sends their removals after every upsert has a result."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.export.config import ExportContext, PendingJobs
from airflow_provider_segexport.export.reverify import Pending, split_result
from airflow_provider_segexport.export.sending import callbacks, run_send_loop
from airflow_provider_segexport.model import Audience, Batch, BatchKind, Reason, batch_id
from airflow_provider_segexport.stages import readback, record, removals, send
from airflow_provider_segexport.storage.duckdb_engine import Engine, engine
from airflow_provider_segexport.storage.plan import Plan, RowSql
from airflow_provider_segexport.vendors.base import Removal
from airflow_provider_segexport.vendors.read_back import READ_BACK_DELAYS_S, members_among

log = logging.getLogger(__name__)

OPTED_OUT_MESSAGE = "Has opted out of the audience. A removal would delete the opt-out, so it was not sent."


def removal_of(context: ExportContext) -> Removal:
    """Return how this vendor removes people.

    Raises:
        InvalidArgument: it cannot.
    """
    if context.vendor.removal is None:
        raise InvalidArgument(f"{context.vendor.title} cannot remove people. To fix: set `mode='upsert'`.")
    return context.vendor.removal


def find(context: ExportContext, sql: Engine, version: int, bit: int, content: RowSql | None) -> int:
    """Find the people to remove, and the changes of this export's claims on people.

    Args:
        context: the export.
        sql: holds the segment and the ledger.
        version: of the ledger; 0 for none.
        bit: this export's in the ledger's sharers.
        content: SQL of a row's hash if other exports have used the audience too; else None.

    Returns:
        How many people would be removed, without those that other exports claim.

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


def freeze(context: ExportContext, sql: Engine, audience: Audience, planned: Plan, *, keep: str) -> Plan:
    """Write the batches of leavers.

    Args:
        context: the export.
        sql: holds the leavers.
        audience: they leave.
        planned: the plan without removals.
        keep: name of the guard because of which no removal is sent; empty if none tripped.

    Returns:
        The plan with its removals.
    """
    if keep:
        removals.keep(sql, keep)
    folder = context.environment.run_folder
    names: tuple[str, ...] = ()
    to_send = 0
    if removals.count(sql):
        removal = removal_of(context)
        if removal.by_id:
            _resolve_ids(context, removal, sql, audience)
        to_send = removals.count(sql)
        names = removals.write_batches(sql, folder.removals.rows, removal.limits, by_id=removal.by_id)
    not_sent = removals.write_not_sent(sql, folder.path / "leavers_not_sent.parquet")
    counts = {name: number for name, number in {"send": to_send, **not_sent}.items() if number}
    return replace(planned, removal_batches=names, leaver_counts=counts)


def _resolve_ids(context: ExportContext, removal: Removal, sql: Engine, audience: Audience) -> None:
    """Read the contact ids that the ledger lacks from the vendor; drop the leavers that have none."""
    emails = removals.without_contact_id(sql)
    if emails and removal.resolve_ids is not None:
        context.run_operation(removal.resolve_ids(audience, emails, lambda people: removals.identify(sql, people)))
    removals.drop_without_id(sql)


def send_removals(
    context: ExportContext, planned: Plan, audience: Audience, recorder: record.BatchRecorder
) -> PendingJobs | None:
    """Send the removals.

    Args:
        context: the run.
        planned: its plan.
        audience: to remove people from.
        recorder: of the run's removals.

    Returns:
        The jobs to wait for; None if every batch has a result.
    """
    if not planned.removal_batches:
        return None
    removal = removal_of(context)
    folder = context.environment.run_folder.removals
    pending = record.remaining(folder, planned.removal_batches)
    if removal.forgets_optouts:
        pending = _without_optouts(context, audience, pending, recorder)
    remove = partial(removal.remove, audience)
    calls = callbacks(context, removal, audience, remove, recorder, record_reply=recorder.record_reply)
    jobs = run_send_loop(context, send.InFlight(pending), calls, removal.limits, recorder)
    if jobs is None and readback.unattributed_count(folder):
        confirm(context, planned, audience)
    return jobs


def _without_optouts(
    context: ExportContext, audience: Audience, pending: Iterator[Pending], recorder: record.BatchRecorder
) -> Iterator[Pending]:
    """Drop people who have opted out of the audience, because the vendor would delete the opt-out with the membership.

    The opt-outs are read when the first batch is taken that has not been sent.
    """
    with engine() as sql:
        has_optouts = False
        for batch in pending:
            if isinstance(batch, tuple) or batch.attempt:
                yield batch
                continue
            if not has_optouts and context.vendor.list_optouts is not None:
                context.run_operation(context.vendor.list_optouts(audience, 0.0, readback.OptOuts(sql)))
                has_optouts = True
            if indexes := readback.opted_out(sql, batch):
                result = split_result(batch, indexes, Reason.UNSUBSCRIBED, OPTED_OUT_MESSAGE)
                yield from recorder.record_reply(batch, result)
            else:
                yield batch


def confirm(context: ExportContext, planned: Plan, audience: Audience) -> None:
    """Read back whether the people are gone, because the vendor has only accepted the removals so far.

    Args:
        context: the run.
        planned: its plan.
        audience: the people were removed from.
    """
    folder, removal, batches = context.environment.run_folder.removals, removal_of(context), planned.removal_batches
    still_there = 0
    for number, seconds in enumerate(READ_BACK_DELAYS_S):
        context.environment.sleep(seconds)
        with engine() as sql:
            emails = readback.unconfirmed(folder, batches) if removal.find_members is not None else ()
            context.run_operation(members_among(context.vendor, audience, emails, readback.Pages(sql)))
            if removal.by_id and not number:
                _remove_recreated(context, audience, readback.other_ids(sql, folder, batches))
            still_there = readback.count_still_there(sql, folder, batches, last=number == len(READ_BACK_DELAYS_S) - 1)
        if not still_there:
            return
    log.warning("People are still in the audience after their removal (people=%d); see the report", still_there)


def _remove_recreated(context: ExportContext, audience: Audience, people: Sequence[tuple[str, str]]) -> None:
    """Remove contacts that were created again, with another id, since the ledger learnt their ids.

    These calls are not in the journal: the read-backs that follow show their effect, and another try reads back first.
    """
    removal = removal_of(context)
    size = removal.limits.batch_rows
    for part in (people[start : start + size] for start in range(0, len(people), size)):
        ids = [contact_id for _, contact_id in part]
        batch = Batch(
            batch_id(ids, kind=BatchKind.REMOVE),
            range(len(part)),
            [email for email, _ in part],
            ids,
            kind=BatchKind.REMOVE,
        )
        context.run_operation(removal.remove(audience, batch))

"""Takes leavers out: finds them while planning, and sends them after everybody else has a verdict."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.export.config import ExportContext, PendingJobs
from airflow_provider_segexport.export.reverify import Pending, split_result
from airflow_provider_segexport.export.sending import callbacks, run_send_loop
from airflow_provider_segexport.model import Audience, Batch, BatchKind, Reason, batch_id
from airflow_provider_segexport.stages import readback, record, removals, send
from airflow_provider_segexport.storage.duckdb_engine import Engine, engine
from airflow_provider_segexport.storage.plan import Plan
from airflow_provider_segexport.vendors.base import Removal

log = logging.getLogger(__name__)

OPTED_OUT_WORDS = "Has opted out of the audience, which being taken out of it would forget."

LOOKS_S = (0.0, 5.0, 15.0, 40.0, 60.0)
"""A vendor that works on removals in the background, and tells nothing of them, is looked at after so long."""


def removal_of(context: ExportContext) -> Removal:
    """How this vendor takes people out."""
    if context.vendor.removal is None:
        raise InvalidArgument(f"{context.vendor.title} has no way to take people out; use the mode `upsert`.")
    return context.vendor.removal


def find(context: ExportContext, sql: Engine, version: int, bit: int, content: str | None) -> int:
    """How many people this run would take out, without those whom other exports hold.

    Args:
        context: the export.
        sql: holds the segment and the ledger.
        version: of the ledger; 0 for none.
        bit: this export's in `sharers_mask`.
        content: SQL of a clean row's hash, where other exports have used the audience too; else None.
    """
    removals.create_tables(sql)
    mirror = context.config.mode == "mirror"
    if mirror:
        removal_of(context)
    if not version:
        return 0
    if mirror:
        removals.find(sql)
    removals.update_sharers(sql, bit, lets_go=mirror)
    if mirror and not context.config.adopt_existing:
        removals.keep_existing(sql, bit)
    if mirror and context.vendor.import_readds_leavers:
        removals.drop_left(sql)
    if content is not None:
        removals.find_already_delivered(sql, content)
    removals.write_sharers(sql, context.environment.run_folder.path / "sharers.parquet")
    return removals.count(sql)


def freeze(context: ExportContext, sql: Engine, audience: Audience, planned: Plan, *, keep: str) -> Plan:
    """Write the leavers in batches; with `skip_removals`, the name of a guard, none is sent."""
    if keep:
        removals.keep(sql, keep)
    place = context.environment.run_folder.path
    names: tuple[str, ...] = ()
    sending = 0
    if removals.count(sql):
        removal = removal_of(context)
        if removal.by_id:
            _identify(context, removal, sql, audience)
        sending = removals.count(sql)
        names = removals.write_batches(
            sql, context.environment.run_folder.removals.rows, removal.limits, by_id=removal.by_id
        )
    told = removals.write_not_sent(sql, place / "leavers_not_sent.parquet")
    counts = {name: number for name, number in {"send": sending, **told}.items() if number}
    return replace(planned, removal_batches=names, leaver_counts=counts)


def _identify(context: ExportContext, removal: Removal, sql: Engine, audience: Audience) -> None:
    """Contact ids of leavers whom the ledger knows by their address alone."""
    lacking = removals.without_contact_id(sql)
    if lacking and removal.resolve_ids is not None:
        context.run_operation(removal.resolve_ids(audience, lacking, lambda people: removals.identify(sql, people)))
    removals.drop_without_id(sql)


def take_out(
    context: ExportContext, planned: Plan, audience: Audience, recorder: record.BatchRecorder
) -> PendingJobs | None:
    """Send the leavers; what is waited for, where jobs run on."""
    if not planned.removal_batches:
        return None
    removal = removal_of(context)
    folder = context.environment.run_folder.removals
    pending = record.remaining(folder, planned.removal_batches)
    if removal.forgets_optouts:
        pending = _without_optouts(context, audience, pending, recorder)
    flight = send.InFlight(pending)
    remove = partial(removal.remove, audience)
    calls = callbacks(context, removal, audience, remove, recorder, answered=recorder.record_reply)
    waiting = run_send_loop(context, flight, calls, removal.limits, recorder)
    if waiting is None and readback.unattributed_count(folder):
        confirm(context, planned, audience)
    return waiting


def _without_optouts(
    context: ExportContext, audience: Audience, pending: Iterator[Pending], recorder: record.BatchRecorder
) -> Iterator[Pending]:
    """The same batches without whoever has opted out of the audience: the opt-out would go with the membership."""
    with engine() as sql:
        looked = False
        for one in pending:
            if isinstance(one, tuple) or one.attempt:
                yield one
                continue
            if not looked and context.vendor.list_optouts is not None:
                context.run_operation(context.vendor.list_optouts(audience, 0.0, readback.OptOuts(sql)))
                looked = True
            if found := readback.opted_out(sql, one):
                yield from recorder.record_reply(one, split_result(one, found, Reason.UNSUBSCRIBED, OPTED_OUT_WORDS))
            else:
                yield one


def confirm(context: ExportContext, planned: Plan, audience: Audience) -> None:
    """Look whether they are gone; the vendor has only said that it will see to it."""
    folder, look = context.environment.run_folder.removals, removal_of(context).find_members
    left = 0
    again = removal_of(context).by_id
    for number, seconds in enumerate(LOOKS_S):
        context.environment.sleep(seconds)
        with engine() as sql:
            pages = readback.Pages(sql)
            if look is None:
                context.run_operation(context.vendor.list_members(audience, pages))
            else:
                context.run_operation(look(audience, readback.unconfirmed(folder, planned.removal_batches), pages))
            if again:
                again = False
                _by_other_id(context, audience, readback.other_ids(sql, folder, planned.removal_batches))
            left = readback.count_still_there(sql, folder, planned.removal_batches, last=number == len(LOOKS_S) - 1)
        if not left:
            return
    log.warning("Still in the audience after the removal: %s; see the report.", counted(left, "person"))


def _by_other_id(context: ExportContext, audience: Audience, people: Sequence[tuple[str, str]]) -> None:
    """Take out contacts that were made anew since the ledger learnt their ids.

    No journal keeps this: the looks that follow tell what became of it, and another try begins with a look too.
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

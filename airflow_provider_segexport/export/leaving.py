"""Takes leavers out: finds them while planning, and sends them after everybody else has a verdict."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from airflow_provider_segexport.contract import Removal
from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import BadMatching
from airflow_provider_segexport.export.late import Pending, set_apart
from airflow_provider_segexport.export.order import Job, Waiting
from airflow_provider_segexport.export.sending import calls_of, flown
from airflow_provider_segexport.model import Batch, Kind, Reason, Target, batch_name
from airflow_provider_segexport.ports.engine import Engine, engine
from airflow_provider_segexport.segment import Planned
from airflow_provider_segexport.stages import leavers, readback, send, settle

log = logging.getLogger(__name__)

OPTED_OUT_WORDS = "Has opted out of the audience, which being taken out of it would forget."

LOOKS_S = (0.0, 5.0, 15.0, 40.0, 60.0)
"""A vendor that works on removals in the background, and tells nothing of them, is looked at after so long."""


def removal_of(job: Job) -> Removal:
    """How this vendor takes people out."""
    if job.vendor.removal is None:
        raise BadMatching(f"{job.vendor.title} has no way to take people out; use the mode `changes`.")
    return job.vendor.removal


def find(job: Job, sql: Engine, version: int, bit: int, content: str | None) -> int:
    """How many people this run would take out, without those whom other exports hold.

    Args:
        job: the export.
        sql: holds the segment and the ledger.
        version: of the ledger; 0 for none.
        bit: this export's in `holders`.
        content: SQL of a clean row's hash, where other exports have used the audience too; else None.
    """
    leavers.start(sql)
    mirror = job.order.mode == "mirror"
    if mirror:
        removal_of(job)
    if not version:
        return 0
    if mirror:
        leavers.find(sql)
    leavers.hold(sql, bit, lets_go=mirror)
    if mirror and not job.order.adopt_existing:
        leavers.spare_existing(sql, bit)
    if mirror and job.vendor.readds_leavers:
        leavers.drop_gone(sql)
    if content is not None:
        leavers.note_alike(sql, content)
    leavers.freeze_holds(sql, job.world.folder.place / "holds.parquet")
    return leavers.count(sql)


def freeze(job: Job, sql: Engine, target: Target, planned: Planned, *, keep: str) -> Planned:
    """Write the leavers in batches; with `keep`, the name of a guard, none is sent."""
    if keep:
        leavers.keep(sql, keep)
    place = job.world.folder.place
    names: tuple[str, ...] = ()
    sending = 0
    if leavers.count(sql):
        removal = removal_of(job)
        if removal.by_id:
            _identify(job, removal, sql, target)
        sending = leavers.count(sql)
        names = leavers.freeze(sql, job.world.folder.removals.rows, removal.limits, by_id=removal.by_id)
    told = leavers.freeze_aside(sql, place / "leavers_aside.parquet")
    counts = {name: number for name, number in {"send": sending, **told}.items() if number}
    return replace(planned, removals=names, leavers=counts)


def _identify(job: Job, removal: Removal, sql: Engine, target: Target) -> None:
    """Contact ids of leavers whom the ledger knows by their address alone."""
    lacking = leavers.lacking(sql)
    if lacking and removal.identify is not None:
        job.drive(removal.identify(target, lacking, lambda people: leavers.identify(sql, people)))
    leavers.drop_unidentified(sql)


def take_out(job: Job, planned: Planned, target: Target, books: settle.Bookkeeper) -> Waiting | None:
    """Send the leavers; what is waited for, where jobs run on."""
    if not planned.removals:
        return None
    removal = removal_of(job)
    folder = job.world.folder.removals
    pending = settle.remaining(folder, planned.removals)
    if removal.loses_optouts:
        pending = _without_optouts(job, target, pending, books)
    flight = send.Flight(pending)
    remove = partial(removal.remove, target)
    calls = calls_of(job, removal, target, remove, books, answered=books.answered)
    waiting = flown(job, flight, calls, removal.limits, books)
    if waiting is None and readback.unnamed(folder):
        confirm(job, planned, target)
    return waiting


def _without_optouts(
    job: Job, target: Target, pending: Iterator[Pending], books: settle.Bookkeeper
) -> Iterator[Pending]:
    """The same batches without whoever has opted out of the audience: the opt-out would go with the membership."""
    with engine() as sql:
        looked = False
        for one in pending:
            if isinstance(one, tuple) or one.generation:
                yield one
                continue
            if not looked and job.vendor.optouts is not None:
                job.drive(job.vendor.optouts(target, 0.0, readback.OptOuts(sql)))
                looked = True
            if found := readback.opted_out(sql, one):
                yield from books.answered(one, set_apart(one, found, Reason.UNSUBSCRIBED, OPTED_OUT_WORDS))
            else:
                yield one


def confirm(job: Job, planned: Planned, target: Target) -> None:
    """Look whether they are gone; the vendor has only said that it will see to it."""
    folder, look = job.world.folder.removals, removal_of(job).look
    left = 0
    again = removal_of(job).by_id
    for number, seconds in enumerate(LOOKS_S):
        job.world.sleep(seconds)
        with engine() as sql:
            pages = readback.Pages(sql)
            if look is None:
                job.drive(job.vendor.members(target, pages))
            else:
                job.drive(look(target, readback.unconfirmed(folder, planned.removals), pages))
            if again:
                again = False
                _by_other_id(job, target, readback.other_ids(sql, folder, planned.removals))
            left = readback.still_there(sql, folder, planned.removals, last=number == len(LOOKS_S) - 1)
        if not left:
            return
    log.warning("Still in the audience after the removal: %s; see the report.", counted(left, "person"))


def _by_other_id(job: Job, target: Target, people: Sequence[tuple[str, str]]) -> None:
    """Take out contacts that were made anew since the ledger learnt their ids.

    No journal keeps this: the looks that follow tell what became of it, and another try begins with a look too.
    """
    removal = removal_of(job)
    size = removal.limits.batch_rows
    for part in (people[start : start + size] for start in range(0, len(people), size)):
        ids = [contact_id for _, contact_id in part]
        batch = Batch(
            batch_name(ids, kind=Kind.REMOVE), range(len(part)), [email for email, _ in part], ids, kind=Kind.REMOVE
        )
        job.drive(removal.remove(target, batch))

"""The conductor: knows the order of the stages, and where a run that was interrupted goes on.

All that a run knows lies in its run folder, so there is one way in: `Export.run`. It plans what is not planned, sends
what is not sent, waits for the jobs that run, and reports. A first try, a retry, a return from deferral and another
machine all call it alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from airflow_provider_segexport.access import Access
from airflow_provider_segexport.contract import Vendor
from airflow_provider_segexport.errors import DamagedState, OlderThanLedger, SegexportError, Superseded, TryAgain
from airflow_provider_segexport.export import leaving, undo
from airflow_provider_segexport.export.checked import Checked, check, with_fields
from airflow_provider_segexport.export.close import close, give_up, name
from airflow_provider_segexport.export.optouts import collect as collect_optouts
from airflow_provider_segexport.export.order import (
    GUARDS,
    KNOWN_GUARDS,
    MOST_PROFILES,
    Consent,
    Guard,
    Job,
    Mode,
    Older,
    Order,
    Undo,
    Waiting,
    World,
)
from airflow_provider_segexport.export.prepare import Prepared, in_order, prepare
from airflow_provider_segexport.export.recover import recover
from airflow_provider_segexport.export.sending import bookkeeper, send_all
from airflow_provider_segexport.model import Target
from airflow_provider_segexport.ports.lease import Lease
from airflow_provider_segexport.ports.ledger import Ledger
from airflow_provider_segexport.ports.run_folder import target_of
from airflow_provider_segexport.ports.snapshots import discard
from airflow_provider_segexport.ports.standing import Standing
from airflow_provider_segexport.ports.takeover import longest_call_s, take_over
from airflow_provider_segexport.segment import Planned

__all__ = [
    "GUARDS",
    "KNOWN_GUARDS",
    "MOST_PROFILES",
    "Consent",
    "Export",
    "Guard",
    "Mode",
    "Older",
    "Order",
    "Undo",
    "Waiting",
    "World",
]

LONGEST_AWAY_S = 24 * 3600.0
"""So long an audience stays with a run that waits for its jobs in the triggerer, as long as it waits there at most."""


class Export:
    """One export of one segment to one audience."""

    def __init__(self, vendor: Vendor, access: Access, order: Order, world: World) -> None:
        self._job = Job(vendor, access, order, world)
        self._away = False
        for folder in (world.folder, world.folder.removals):
            folder.journal.clock = world.clock

    def run(self) -> dict[str, Any] | Waiting:
        """Do what is left to do; the report, or what is waited for.

        Raises:
            StopExport: a person must act; what was done is in the report.
            TryAgain: the vendor cannot be reached, or another run has the audience; another try goes on where this one
                stopped.
        """
        try:
            return self._run()
        except DamagedState as damaged:
            raise DamagedState(damaged.file, damaged.why, self._job.order.audience) from None

    def _run(self) -> dict[str, Any] | Waiting:
        found = self._job.world.folder.plan()
        if found is not None:
            self._job.world.folder.verify()
            planned, facts = found
            target = target_of(facts["target"])
            with self._alone(target) as ledger:
                self._still_valid(planned, facts, target, ledger)
                return self._carry_out(planned, facts, target)
        try:
            checked = None if self._job.order.undo else check(self._job)
            target = checked.target if checked else self._known_target()
            if self._job.order.dry_run:
                return self._look(target, checked)
            with self._alone(target) as ledger:
                return self._begin(target, checked, ledger)
        finally:
            discard(self._job.world.folder.place)

    def _known_target(self) -> Target:
        """Account and audience, where no segment is exported."""
        return self._job.drive(self._job.vendor.check(self._job.access, self._job.order.audience))

    def _ledger(self, target: Target) -> Ledger:
        return Ledger.of(self._job.world.root, self._job.vendor.name, target)

    @contextmanager
    def _alone(self, target: Target) -> Iterator[Ledger]:
        """One writer an audience: the lease is ours until the run ends, or for as long as it waits elsewhere."""
        job, ledger = self._job, self._ledger(target)
        world = job.world
        lease = Lease(
            ledger.place,
            job.order.run,
            clock=world.clock,
            sleep=world.sleep,
            alive=world.alive,
            gone=world.gone,
            times=world.lease,
        )
        lease.take()
        ledger = replace(ledger, fence=lease)
        self._job, self._away = replace(job, fence=lease), False
        try:
            take_over(lease, ledger, longest_call_s(job.vendor), world.clock, str(world.folder.place))
            yield ledger
        finally:
            self._job = job
            if self._away:
                until = world.clock() + LONGEST_AWAY_S
                lease.leave(until, "it waits for jobs at the vendor", world.airflow())
            else:
                lease.release()

    def _begin(self, target: Target, checked: Checked | None, ledger: Ledger) -> dict[str, Any] | Waiting:
        """Plan, freeze, and go."""
        job = self._job
        standing = recover(job, ledger, Standing.of(ledger.place))
        if isinstance(standing, Waiting):
            return self._leave(standing, target)
        if checked is None:
            prepared = undo.prepare(job, target, ledger, standing)
            restored = prepared.facts["restores"].get("as_of", "")
            standing = standing.began(prepared.facts["export"], restored, standing.segment)
        else:
            standing = standing.joined(job.order.export, shared=job.order.shared)
            undo.not_by_two_of_one_run(job, standing)
            try:
                in_order(job, ledger, standing)
            except OlderThanLedger:
                if job.order.older != "verify":
                    raise
                return self._compare(prepare(job, checked, ledger, standing), target, verify=True)
            prepared = prepare(job, checked, ledger, standing)
        self._may_start(prepared, target)
        if checked is not None:
            if checked.lacking:
                standing = standing.resending(checked.lacking)
                standing.write(ledger.place, ledger.fence)
                checked = with_fields(job, checked)
                target, prepared = checked.target, prepare(job, checked, ledger, standing)
            standing = standing.began(job.order.export, job.order.as_of, str(job.order.segment))
        standing = standing.opened(job.order.run, str(job.world.folder.place), job.fence.mark)
        standing.write(ledger.place, ledger.fence)
        job.world.folder.freeze(prepared.planned, prepared.facts)
        discard(job.world.folder.place)
        return self._carry_out(prepared.planned, prepared.facts, target)

    def _may_start(self, prepared: Prepared, target: Target) -> None:
        """Stop a plan that a guard or the plan's approval stands against, before anything is changed."""
        if prepared.error is not None:
            close(self._job, prepared.planned, prepared.facts, target, prepared.error)
            raise prepared.error
        undo.as_expected(self._job, target, prepared.planned)

    def _look(self, target: Target, checked: Checked | None) -> dict[str, Any]:
        """What would be done."""
        job, ledger = self._job, self._ledger(target)
        if checked is None:
            return self._compare(undo.prepare(job, target, ledger, Standing.of(ledger.place)), target)
        standing = Standing.of(ledger.place).joined(job.order.export, shared=job.order.shared)
        if job.order.older != "verify":
            in_order(job, ledger, standing)
        return self._compare(prepare(job, checked, ledger, standing), target)

    def _compare(self, prepared: Prepared, target: Target, *, verify: bool = False) -> dict[str, Any]:
        """The report of a plan that is not carried out."""
        mark = undo.mark_of(self._job, target, prepared.planned)
        facts = {**prepared.facts, "dry_run": True, "verified": verify, "mark": mark}
        if prepared.error is not None:
            facts["error"] = str(prepared.error)
        return close(self._job, prepared.planned, facts, target)

    def _still_valid(self, planned: Planned, facts: Mapping[str, Any], target: Target, ledger: Ledger) -> None:
        """A plan that has waited while another run wrote the audience is of no use any more.

        Raises:
            OlderThanLedger: the other one was newer.
            TryAgain: the next try plans anew.
        """
        job, undoes = self._job, self._job.order.undo is not None
        try:
            if not undoes:
                in_order(job, ledger, Standing.of(ledger.place))
            if ledger.version() == facts["ledger_version"] or ledger.facts().get("by") == job.order.run:
                standing = Standing.of(ledger.place)
                standing = standing.opened(standing.run, str(job.world.folder.place), job.fence.mark)
                standing.write(ledger.place, ledger.fence)
                return
        except OlderThanLedger as older:
            give_up(job, planned, dict(facts), target, older)
            raise
        again = TryAgain(
            "Another run has written this audience since this plan was made. What was sent is on record; the next try "
            "makes a new plan."
        )
        give_up(job, planned, dict(facts), target, again)
        raise again

    def _carry_out(self, planned: Planned, facts: dict[str, Any], target: Target) -> dict[str, Any] | Waiting:
        """Send, wait, take out, and close."""
        job = self._job
        try:
            waiting = self._send(planned, facts, target)
        except Superseded:  # the run folder may be another try's by now, and the ledger is another run's
            raise
        except SegexportError as error:
            close(job, planned, facts, target, error)
            raise error from None
        if waiting is not None:
            close(job, planned, facts, target, waiting=True)
            return self._leave(waiting, target)
        return close(job, planned, facts, target)

    def _leave(self, waiting: Waiting, target: Target) -> Waiting:
        """Keep the audience while jobs are waited for elsewhere."""
        self._away = True
        return replace(waiting, api=target.api, audience=target.audience)

    def _send(self, planned: Planned, facts: dict[str, Any], target: Target) -> Waiting | None:
        job, folder = self._job, self._job.world.folder
        waiting = send_all(job, planned, facts["started_at"], target, bookkeeper(job, planned, folder))
        if waiting is not None:
            return waiting
        name(job, planned, target)
        if planned.removals:
            unsure = job.vendor.removal is not None and not job.vendor.removal.verdict
            leavers = bookkeeper(job, planned, folder.removals, read_back=unsure)
            waiting = leaving.take_out(job, planned, target, leavers)
        if waiting is None:
            collect_optouts(job, target)
        return waiting

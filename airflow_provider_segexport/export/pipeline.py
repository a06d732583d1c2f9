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

from airflow_provider_segexport.errors import DamagedState, RetryableError, SegexportError, StaleSnapshot, Superseded
from airflow_provider_segexport.export import removing, undo
from airflow_provider_segexport.export.collect_optouts import collect as collect_optouts
from airflow_provider_segexport.export.config import (
    ExportConfig,
    ExportContext,
    ExportEnvironment,
    PendingJobs,
)
from airflow_provider_segexport.export.finish import abandon, finish, name
from airflow_provider_segexport.export.planning import PlanDraft, check_not_stale, prepare
from airflow_provider_segexport.export.preflight import Preflight, check, with_fields
from airflow_provider_segexport.export.recover import recover
from airflow_provider_segexport.export.sending import recorder, send_all
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.segment_files.snapshots import discard
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.plan import Plan
from airflow_provider_segexport.storage.run_folder import audience_from_facts
from airflow_provider_segexport.storage.takeover import longest_call_s, take_over
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.base import Vendor

LONGEST_AWAY_S = 24 * 3600.0
"""So long an audience stays with a run that waits for its jobs in the triggerer, as long as it waits there at most."""


class Export:
    """One export of one segment to one audience."""

    def __init__(
        self, vendor: Vendor, endpoint: ApiEndpoint, config: ExportConfig, environment: ExportEnvironment
    ) -> None:
        self._job = ExportContext(vendor, endpoint, config, environment)
        self._away = False
        for folder in (environment.run_folder, environment.run_folder.removals):
            folder.journal.clock = environment.clock

    def run(self) -> dict[str, Any] | PendingJobs:
        """Do what is left to do; the report, or what is waited for.

        Raises:
            FatalError: a person must act; what was done is in the report.
            RetryableError: the vendor cannot be reached, or another run has the audience; another try goes on where
                this one stopped.
        """
        try:
            return self._run()
        except DamagedState as damaged:
            raise DamagedState(damaged.file, damaged.why, self._job.config.audience) from None

    def _run(self) -> dict[str, Any] | PendingJobs:
        found = self._job.environment.run_folder.plan()
        if found is not None:
            self._job.environment.run_folder.verify()
            planned, facts = found
            target = audience_from_facts(facts["audience_facts"])
            with self._alone(target) as ledger:
                self._still_valid(planned, facts, target, ledger)
                return self._carry_out(planned, facts, target)
        try:
            checked = None if self._job.config.undo else check(self._job)
            target = checked.audience if checked else self._known_target()
            if self._job.config.dry_run:
                return self._look(target, checked)
            with self._alone(target) as ledger:
                return self._begin(target, checked, ledger)
        finally:
            discard(self._job.environment.run_folder.path)

    def _known_target(self) -> Audience:
        """Account and audience, where no segment is exported."""
        return self._job.run_operation(self._job.vendor.resolve_audience(self._job.endpoint, self._job.config.audience))

    def _ledger(self, audience: Audience) -> Ledger:
        return Ledger.of(self._job.environment.state_root, self._job.vendor.name, audience)

    @contextmanager
    def _alone(self, audience: Audience) -> Iterator[Ledger]:
        """One writer an audience: the lease is ours until the run ends, or for as long as it waits elsewhere."""
        job, ledger = self._job, self._ledger(audience)
        environment = job.environment
        lease = Lease(
            ledger.path,
            job.config.run,
            clock=environment.clock,
            sleep=environment.sleep,
            alive=environment.is_task_running,
            gone=environment.is_holder_gone,
            times=environment.lease_times,
        )
        lease.acquire()
        ledger = replace(ledger, fence=lease)
        self._job, self._away = replace(job, fence=lease), False
        try:
            take_over(lease, ledger, longest_call_s(job.vendor), environment.clock, str(environment.run_folder.path))
            yield ledger
        finally:
            self._job = job
            if self._away:
                until = environment.clock() + LONGEST_AWAY_S
                lease.hold_until(until, "it waits for jobs at the vendor", environment.airflow_id())
            else:
                lease.release()

    def _begin(self, audience: Audience, checked: Preflight | None, ledger: Ledger) -> dict[str, Any] | PendingJobs:
        """Plan, freeze, and go."""
        job = self._job
        state = recover(job, ledger, AudienceState.of(ledger.path))
        if isinstance(state, PendingJobs):
            return self._leave(state, audience)
        if checked is None:
            prepared = undo.prepare(job, audience, ledger, state)
            restored = prepared.facts["restores"].get("as_of", "")
            state = state.began(prepared.facts["export_name"], restored, state.segment)
        else:
            state = state.with_sharer(job.config.export_name, shared=job.config.allow_shared_audience)
            undo.check_not_mirrored_twice(job, state)
            try:
                check_not_stale(job, ledger, state)
            except StaleSnapshot:
                if job.config.on_stale != "verify":
                    raise
                return self._compare(prepare(job, checked, ledger, state), audience, verify=True)
            prepared = prepare(job, checked, ledger, state)
        self._may_start(prepared, audience)
        if checked is not None:
            if checked.missing_fields:
                state = state.resending(checked.missing_fields)
                state.write(ledger.path, ledger.fence)
                checked = with_fields(job, checked)
                audience, prepared = checked.audience, prepare(job, checked, ledger, state)
            state = state.began(job.config.export_name, job.config.as_of, str(job.config.segment))
        state = state.opened(job.config.run, str(job.environment.run_folder.path), job.fence.mark)
        state.write(ledger.path, ledger.fence)
        job.environment.run_folder.write_plan(prepared.plan, prepared.facts)
        discard(job.environment.run_folder.path)
        return self._carry_out(prepared.plan, prepared.facts, audience)

    def _may_start(self, prepared: PlanDraft, audience: Audience) -> None:
        """Stop a plan that a guard or the plan's approval stands against, before anything is changed."""
        if prepared.error is not None:
            finish(self._job, prepared.plan, prepared.facts, audience, prepared.error)
            raise prepared.error
        undo.check_expected_plan(self._job, audience, prepared.plan)

    def _look(self, audience: Audience, checked: Preflight | None) -> dict[str, Any]:
        """What would be done."""
        job, ledger = self._job, self._ledger(audience)
        if checked is None:
            return self._compare(undo.prepare(job, audience, ledger, AudienceState.of(ledger.path)), audience)
        state = AudienceState.of(ledger.path).with_sharer(
            job.config.export_name, shared=job.config.allow_shared_audience
        )
        if job.config.on_stale != "verify":
            check_not_stale(job, ledger, state)
        return self._compare(prepare(job, checked, ledger, state), audience)

    def _compare(self, prepared: PlanDraft, audience: Audience, *, verify: bool = False) -> dict[str, Any]:
        """The report of a plan that is not carried out."""
        mark = undo.plan_hash(self._job, audience, prepared.plan)
        facts = {**prepared.facts, "dry_run": True, "comparison_only": verify, "plan_hash": mark}
        if prepared.error is not None:
            facts["error"] = str(prepared.error)
        return finish(self._job, prepared.plan, facts, audience)

    def _still_valid(self, planned: Plan, facts: Mapping[str, Any], audience: Audience, ledger: Ledger) -> None:
        """A plan that has waited while another run wrote the audience is of no use any more.

        Raises:
            StaleSnapshot: the other one was newer.
            RetryableError: the next try plans anew.
        """
        job, undoes = self._job, self._job.config.undo is not None
        try:
            if not undoes:
                check_not_stale(job, ledger, AudienceState.of(ledger.path))
            if ledger.version() == facts["ledger_version"] or ledger.facts().get("by") == job.config.run:
                state = AudienceState.of(ledger.path)
                state = state.opened(state.run, str(job.environment.run_folder.path), job.fence.mark)
                state.write(ledger.path, ledger.fence)
                return
        except StaleSnapshot as older:
            abandon(job, planned, dict(facts), audience, older)
            raise
        again = RetryableError(
            "Another run has written this audience since this plan was made. What was sent is on record; the next try "
            "makes a new plan."
        )
        abandon(job, planned, dict(facts), audience, again)
        raise again

    def _carry_out(self, planned: Plan, facts: dict[str, Any], audience: Audience) -> dict[str, Any] | PendingJobs:
        """Send, wait, take out, and close."""
        job = self._job
        try:
            waiting = self._send(planned, facts, audience)
        except Superseded:  # the run folder may be another try's by now, and the ledger is another run's
            raise
        except SegexportError as error:
            finish(job, planned, facts, audience, error)
            raise error from None
        if waiting is not None:
            finish(job, planned, facts, audience, waiting=True)
            return self._leave(waiting, audience)
        return finish(job, planned, facts, audience)

    def _leave(self, waiting: PendingJobs, audience: Audience) -> PendingJobs:
        """Keep the audience while jobs are waited for elsewhere."""
        self._away = True
        return replace(waiting, base_url=audience.base_url, audience=audience.audience)

    def _send(self, planned: Plan, facts: dict[str, Any], audience: Audience) -> PendingJobs | None:
        job, folder = self._job, self._job.environment.run_folder
        waiting = send_all(job, planned, facts["started_at"], audience, recorder(job, planned, folder))
        if waiting is not None:
            return waiting
        name(job, planned, audience)
        if planned.removal_batches:
            unsure = job.vendor.removal is not None and not job.vendor.removal.confirms
            leavers = recorder(job, planned, folder.removals, read_back=unsure)
            waiting = removing.take_out(job, planned, audience, leavers)
        if waiting is None:
            collect_optouts(job, audience)
        return waiting

"""Runs the stages of an export in order, and resumes an interrupted run.

The run folder holds the whole state of a run, so `Export.run` is the only entry point: it plans if there is no plan,
sends the batches without a result, waits for running jobs, and reports. A first try, a retry and a task that resumes
after a deferral call it in the same way, on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from airflow_provider_segexport.errors import DamagedState, RetryableError, SegexportError, StaleSnapshot, Superseded
from airflow_provider_segexport.export import audience as audiences
from airflow_provider_segexport.export import experiments, removing, undo
from airflow_provider_segexport.export.collect_optouts import collect as collect_optouts
from airflow_provider_segexport.export.config import ExportConfig, ExportContext, ExportEnvironment, PendingJobs, Phase
from airflow_provider_segexport.export.experiments import adapted, check_exported, learn, resolve_audience
from airflow_provider_segexport.export.finish import RunEnd, abandon, attribute_unnamed, finish
from airflow_provider_segexport.export.freeze import freeze
from airflow_provider_segexport.export.planning import PlanDraft, check_not_stale, prepare
from airflow_provider_segexport.export.preflight import Preflight, check, reads_tables, with_fields, with_new_audience
from airflow_provider_segexport.export.preview import preview
from airflow_provider_segexport.export.recover import recover
from airflow_provider_segexport.export.sending import adopt_lost_jobs, recorder, send_all
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.segment_files.snapshots import discard_copies
from airflow_provider_segexport.stages.record import BatchRecorder
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.local_copies import kept_copies
from airflow_provider_segexport.storage.plan import Plan, PlanFacts
from airflow_provider_segexport.storage.takeover import longest_call_s, take_over
from airflow_provider_segexport.vendors.audience_names import is_missing
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.base import Vendor

DEFERRED_LEASE_S = 24 * 3600.0
"""Seconds that a deferred run keeps its audience: the trigger waits no longer than this."""


class Export:
    """One export of one segment to one audience.

    Args:
        vendor: the vendor of the account.
        endpoint: the API endpoint of the account.
        config: what the user asked for.
        environment: the services and folders that the run uses.
    """

    def __init__(
        self, vendor: Vendor, endpoint: ApiEndpoint, config: ExportConfig, environment: ExportEnvironment
    ) -> None:
        self._context = ExportContext(vendor, endpoint, config, environment)
        self._is_deferred = False
        self._is_plan_approved = False
        self._may_have_copies = reads_tables(config) or not environment.run_folder.is_new
        self._audience_id = config.audience
        for folder in (environment.run_folder, environment.run_folder.removals):
            folder.journal.clock = environment.clock

    def run(self) -> dict[str, Any] | PendingJobs:
        """Start or resume the run, and return the report, or the jobs that the run waits for.

        Raises:
            FatalError: a person must act; the report says what was done.
            RetryableError: the vendor cannot be reached, or another run holds the audience; the next try resumes.
        """
        try:
            return self._run()
        except DamagedState as damaged:
            raise DamagedState(damaged.file, damaged.why, self._audience_id) from None

    def _run(self) -> dict[str, Any] | PendingJobs:
        context = self._context
        folder = context.environment.run_folder
        frozen = folder.plan()
        if frozen is not None:
            folder.verify()
            discard_copies(folder.path)  # if an earlier process was killed right after it had frozen the plan
            planned, facts = frozen
            self._note_audience(facts.audience)
            self._context = adapted(context, facts.audience)
            with self._lease(facts.audience) as ledger:
                self._check_plan_current(planned, facts, ledger)
                return self._execute(planned, facts, facts.audience)
        try:
            checked = None if context.config.undo else check(context)
            audience = checked.audience if checked else resolve_audience(context)
            self._note_audience(audience)
            self._context = adapted(context, audience)
            if context.config.dry_run:
                return self._dry_run(audience, checked)
            if checked and (is_missing(audience) or audiences.as_missing(audience)):
                checked = self._create_audience(checked)
                audience = checked.audience
                self._note_audience(audience)
            with self._lease(audience) as ledger:
                return self._plan_and_run(audience, checked, ledger)
        finally:
            if self._may_have_copies:
                discard_copies(folder.path)

    def _note_audience(self, audience: Audience) -> None:
        """Keep the audience's id for errors. If the audience exists, pass it to `on_audience`."""
        self._audience_id = audience.audience
        if not is_missing(audience):
            self._context.environment.on_audience(audience, self._ledger(audience).path)

    def _create_audience(self, checked: Preflight) -> Preflight:
        """Check the plan for an empty audience, and create the audience unless an earlier try has done so."""
        context = self._context
        missing = audiences.as_missing(checked.audience) or checked.audience
        state = AudienceState().with_sharer(context.config.export_name, shared=context.config.allow_shared_audience)
        if self._ledger(checked.audience).version():
            return checked  # not empty any more: the plan is checked as for any other audience
        draft = prepare(context, replace(checked, audience=missing), self._ledger(missing), state)
        self._check_may_start(draft, missing)
        self._is_plan_approved = True
        return with_new_audience(context, checked) if is_missing(checked.audience) else checked

    def _ledger(self, audience: Audience) -> Ledger:
        return Ledger.of(self._context.environment.state_root, self._context.vendor.name, audience)

    @contextmanager
    def _lease(self, audience: Audience) -> Iterator[Ledger]:
        """Hold the audience's lease until the run ends, or, if the run defers, until its jobs have ended."""
        context, ledger = self._context, self._ledger(audience)
        environment = context.environment
        lease, self._is_deferred = context.lease(ledger.path), False
        try:
            lease.acquire()
            ledger = replace(ledger, fence=lease)
            self._context = replace(context, fence=lease)
            folder = str(environment.run_folder.path)
            take_over(lease, ledger, longest_call_s(context.vendor), environment.clock, folder)
            for part in (environment.run_folder, environment.run_folder.removals):
                part.journal.reload()  # an earlier attempt may have written until now
            new = environment.run_folder.path if environment.run_folder.is_new else None
            with kept_copies(environment.run_folder.path, ledger.path, new=new):
                yield ledger
        finally:
            self._context = context
            if self._is_deferred:
                until = environment.clock() + DEFERRED_LEASE_S
                lease.hold_until(until, "it waits for jobs at the vendor", environment.airflow_id())
            else:
                lease.release()

    def _plan_and_run(
        self, audience: Audience, checked: Preflight | None, ledger: Ledger
    ) -> dict[str, Any] | PendingJobs:
        """Recover an unfinished run, plan, freeze the plan, and execute it."""
        context, config = self._context, self._context.config
        pinned = ledger.pinned()
        stored = AudienceState.of_pinned(pinned)
        state = recover(context, ledger, experiments.undo_set_aside(context, audience, ledger, stored))
        if isinstance(state, PendingJobs):
            return self._defer(state, audience)
        if state is not stored or stored.doubts:  # the ledger may have a new version
            pinned = ledger.pinned()
        if checked is None:
            draft = undo.prepare(context, audience, ledger, state)
            state = state.began(draft.facts.export_name, draft.facts.restores.get("as_of", ""))
        else:
            state = checked.in_state(state, context)
            undo.check_not_mirrored_twice(context, state)
            try:
                check_not_stale(context, pinned, state)
            except StaleSnapshot:
                if context.config.on_stale != "verify":
                    raise
                draft = prepare(context, checked, pinned, state)
                return self._report_plan(draft, audience, checked, comparison_only=True)
            draft = prepare(context, checked, pinned, state)
        self._check_may_start(draft, audience)
        if checked is not None:
            if checked.missing_fields:
                state.write(ledger.path, ledger.fence)
                checked = with_fields(context, checked)
                state = checked.in_state(state, context)
                audience, draft = checked.audience, prepare(context, checked, pinned, state)
            state = state.began(config.export_name, config.as_of, config.run, str(config.segment))
        folder = context.environment.run_folder
        state = state.opened(context.config.run, str(folder.path), context.fence.writer_token)
        freeze(draft, folder, state, ledger, pinned)
        if self._may_have_copies:
            discard_copies(folder.path)
        return self._execute(draft.plan, draft.facts, audience)

    def _check_may_start(self, draft: PlanDraft, audience: Audience) -> None:
        """Refuse a plan that a guard stops or that was not approved, before the first call that changes something."""
        if draft.error is not None:
            finish(self._context, draft.plan, draft.facts, audience, RunEnd(draft.error))
            raise draft.error
        if not (self._is_plan_approved and not draft.facts.ledger_version):
            undo.check_expected_plan(self._context, audience, draft.plan)

    def _dry_run(self, audience: Audience, checked: Preflight | None) -> dict[str, Any]:
        """Plan and report; send nothing."""
        context, ledger = self._context, self._ledger(audience)
        state = AudienceState.of(ledger.path)
        if checked is None:
            return self._report_plan(undo.prepare(context, audience, ledger, state), audience)
        state = checked.in_state(state, context)
        is_stale = False
        try:
            check_not_stale(context, ledger, state)
        except StaleSnapshot:
            if context.config.on_stale != "verify":
                raise
            is_stale = True
        return self._report_plan(prepare(context, checked, ledger, state), audience, checked, comparison_only=is_stale)

    def _report_plan(
        self, draft: PlanDraft, audience: Audience, checked: Preflight | None = None, *, comparison_only: bool = False
    ) -> dict[str, Any]:
        """Return the report of a plan that is not carried out; `checked` is None for an undo."""
        plan_hash, items = undo.plan_hash(self._context, audience, draft.plan), []
        if checked is not None:
            template = self._context.vendor.item_template(checked.mapped, checked.audience)
            items = preview(self._context.environment.run_folder, template)
        end = RunEnd(draft.error, plan_hash=plan_hash, comparison_only=comparison_only, preview=items)
        return finish(self._context, draft.plan, draft.facts, audience, end)

    def _check_plan_current(self, planned: Plan, facts: PlanFacts, ledger: Ledger) -> None:
        """Discard a frozen plan if another run has written the audience, or begun to, since the plan was made.

        Raises:
            StaleSnapshot: the other run's snapshot was newer.
            RetryableError: the next try makes a new plan.
        """
        context, is_undo = self._context, self._context.config.undo is not None
        run, folder = context.config.run, str(context.environment.run_folder.path)
        state = AudienceState.of(ledger.path)
        is_alone = state.open_run_folder in {"", folder}  # rows of another open run may not be in the ledger yet
        try:
            if not is_undo:
                check_not_stale(context, ledger, state)
            if is_alone and (ledger.version() == facts.ledger_version or ledger.facts().get("by") == run):
                state.opened(run, folder, context.fence.writer_token, is_planned=True).write(ledger.path, ledger.fence)
                return
        except StaleSnapshot as stale:
            abandon(context, planned, facts, facts.audience, stale)
            raise
        retry = RetryableError(
            "Another run has written this audience since this plan was made. The report holds what was sent. The next "
            "try makes a new plan."
        )
        abandon(context, planned, facts, facts.audience, retry)
        raise retry

    def _execute(self, planned: Plan, facts: PlanFacts, audience: Audience) -> dict[str, Any] | PendingJobs:
        """Send upserts and removals, and finish the run or defer it."""
        context = self._context
        context.environment.on_phase(Phase.SEND)
        try:
            upserts = recorder(context, planned, context.environment.run_folder)
            adopt_lost_jobs(context, planned, audience, upserts)
            facts = learn(context, planned, facts, upserts)
            audience = facts.audience
            check_exported(context, audience)
            jobs = self._send(planned, facts, upserts)
        except Superseded:  # by now another try may use the run folder, and another run the ledger
            raise
        except SegexportError as error:
            finish(context, planned, facts, audience, RunEnd(error))
            raise error from None
        if jobs is not None:
            finish(context, planned, facts, audience, RunEnd(waiting=True))
            return self._defer(jobs, audience)
        return finish(context, planned, facts, audience)

    def _defer(self, jobs: PendingJobs, audience: Audience) -> PendingJobs:
        """Keep the lease while the trigger waits for the jobs."""
        self._is_deferred = True
        return replace(jobs, base_url=audience.base_url, audience=audience.audience)

    def _send(self, planned: Plan, facts: PlanFacts, upserts: BatchRecorder) -> PendingJobs | None:
        context, folder, audience = self._context, self._context.environment.run_folder, facts.audience
        jobs = send_all(context, planned, facts.started_at, audience, upserts)
        if jobs is not None:
            return jobs
        attribute_unnamed(context, planned, audience)
        if planned.removal_batches:
            unconfirmed = context.vendor.removal is not None and not context.vendor.removal.confirms
            removal_recorder = recorder(context, planned, folder.removals, read_back=unconfirmed)
            jobs = removing.send_removals(context, planned, audience, removal_recorder)
        if jobs is None:
            collect_optouts(context, audience)
        return jobs

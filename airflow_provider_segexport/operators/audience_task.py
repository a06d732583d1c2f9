"""What every task of an audience does alike: run as far as it goes, wait, come back, end, and tell of it."""

from __future__ import annotations

import contextlib
import datetime as dt
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowException

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.hooks.left_out import LEFT_OUT, LeftOut
from airflow_provider_segexport.operators import endings, lineage, links, waits, wording
from airflow_provider_segexport.operators.loading import without_collecting
from airflow_provider_segexport.operators.notices import MESSAGE, with_message
from airflow_provider_segexport.operators.retries import retry_policy

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook
    from airflow_provider_segexport.hooks.errand import Errand
    from airflow_provider_segexport.hooks.options import Argument

ATTRIBUTES = {"dry_run": "is_dry_run"}
"""Attribute by argument, where the names differ: BaseOperator has a method `dry_run`."""

PATHS = frozenset({"segment", "suppression", "reports"})
"""Arguments that name files."""


def as_text(value: Any) -> Any:
    """A path or an asset as text, in which templates are rendered; a list item by item; anything else as it is."""
    if value is LEFT_OUT:
        return None
    if isinstance(value, list | tuple):
        return [as_text(item) for item in value]
    return str(value) if hasattr(value, "iterdir") else value.uri if isinstance(value, Asset) else value


class AudienceTask(BaseOperator):
    """A task that brings an audience to a state.

    Args:
        conn_id: the Airflow connection; the vendor follows from its type.
        deferrable: wait in the triggerer; by default `[operators] default_deferrable`.
        poll_interval: seconds between two looks at import jobs.
        job_timeout: how long a job may run at the vendor before the task fails, over deferrals and retries.
        optouts: an asset for the people whom the vendor reports as opted out; true collects them without an asset.
    """

    operator_extra_links = links.LINKS
    get_openlineage_facets_on_complete = lineage.on_complete

    def __init__(
        self,
        *,
        conn_id: str,
        deferrable: bool | str | None = None,
        poll_interval: float | str | dt.timedelta = 30,
        job_timeout: float | str | dt.timedelta = 21_600,
        optouts: Asset | bool | str | LeftOut = LEFT_OUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._left_out: frozenset[str] = frozenset()
        self.conn_id = conn_id
        self.deferrable: Any = deferrable
        self.poll_interval: Any = poll_interval
        self.job_timeout: Any = job_timeout
        self.optouts: Any = optouts
        self.keep({"optouts": optouts})
        if isinstance(optouts, Asset) and optouts not in self.outlets:
            self.outlets = [*self.outlets, optouts]
        if retry_policy is not None and self.retry_policy is None:
            self.retry_policy = retry_policy()
        self._hook: SegmentExportHook | None = None
        self._errand: Errand | None = None

    def __setattr__(self, key: str, value: Any) -> None:
        """Set an attribute; a callback, also one that is set after `__init__`, is given its message."""
        super().__setattr__(key, with_message(key, value))

    @abstractmethod
    def errand(self, context: Any) -> Errand:
        """The task's arguments after templates."""

    def keep(self, given: Mapping[str, Any]) -> None:
        """Set an attribute for each argument. Of one that is left out the attribute is None, and the name is noted.

        A template that renders to None later is so told from an argument that was never given.
        """
        self._left_out |= {name for name, value in given.items() if value is LEFT_OUT}
        for name, value in given.items():
            kept = as_text(value) if name in PATHS else None if value is LEFT_OUT else value
            setattr(self, ATTRIBUTES.get(name, name), kept)

    def given(self, table: tuple[Argument, ...]) -> dict[str, Any]:
        """The arguments of a table as they are after templates."""
        held = {argument.name: getattr(self, ATTRIBUTES.get(argument.name, argument.name)) for argument in table}
        return {name: LEFT_OUT if value is None and name in self._left_out else value for name, value in held.items()}

    def execute(self, context: Any) -> dict[str, Any]:
        """Begin, or go on with what an earlier try began."""
        return self._go(context, just_back=False)

    def resume(self, context: Any, event: dict[str, Any] | None = None, run_folder: str = "") -> dict[str, Any]:
        """Come back from the triggerer. An event that is none of ours fails loudly.

        Args:
            context: Airflow's context of the task.
            event: what the trigger sent.
            run_folder: where the task left its plan; empty if it had none, or was deferred by an earlier version.
        """
        from airflow_provider_segexport.triggers.import_jobs import EVENTS  # noqa: PLC0415

        status = event.get("status") if isinstance(event, Mapping) else None
        if status not in EVENTS:
            raise AirflowException(
                f"The trigger answered {status!r}, which is none of {', '.join(sorted(EVENTS))}. The worker and the "
                "triggerer may run different versions of this provider."
            )
        return self._go(context, just_back=True, left_in=run_folder)

    def plan_place(self) -> str:
        """Return the run folder that holds the frozen plan; empty where there is none yet."""
        from airflow_provider_segexport.hooks.errand import plan_place  # noqa: PLC0415

        return plan_place(self._errand) if self._errand is not None else ""

    def on_kill(self) -> None:
        """End in good order, and leave word of what is in flight; the next try, or a person, goes on from there.

        Airflow lets the task run on for some seconds: calls in flight end and are written down, no further one begins.
        """
        if self._hook is None or self._errand is None:
            return
        from airflow_provider_segexport.hooks.launch import run_folder  # noqa: PLC0415

        self._hook.stop()
        try:
            calls, jobs = run_folder(self._errand).note_kill()
        except Exception as error:  # noqa: BLE001 - a signal handler: what it raises would come up anywhere
            self.log.warning("Killed; what is in flight could not be written down (%s).", type(error).__name__)
            return
        flying = f"{counted(calls, 'call')} and {counted(jobs, 'import job')}"
        self.log.warning("Killed with %s in flight. A retry looks at them first.", flying)

    def settle_waiting(self, told: Mapping[str, Any]) -> None:
        """How the task waits, from its arguments; Airflow's configuration says whether tasks defer by default."""
        usual = conf.getboolean("operators", "default_deferrable", fallback=False)
        self.deferrable = usual if told["deferrable"] is None else told["deferrable"]
        self.poll_interval = told["poll_interval"]

    def _go(self, context: Any, *, just_back: bool, left_in: str = "") -> dict[str, Any]:
        with without_collecting():
            from airflow_provider_segexport.export import Waiting  # noqa: PLC0415
            from airflow_provider_segexport.hooks import hook_for  # noqa: PLC0415
            from airflow_provider_segexport.hooks.errand import must_hold_plan, part_of  # noqa: PLC0415
            from airflow_provider_segexport.hooks.launch import Patient, launch  # noqa: PLC0415
            from airflow_provider_segexport.hooks.newest import is_backfill  # noqa: PLC0415

        self._errand = None
        try:
            hook = hook_for(self.conn_id)
            hook.backfill = is_backfill(context)
            hook.settings.gate(context["dag"].dag_id)
            errand = self.errand(context)
            if context["ti"].map_index is not None and context["ti"].map_index >= 0:
                errand = replace(errand, order=replace(errand.order, part=part_of(errand.order.segment)))
            if left_in:
                must_hold_plan(errand, left_in)
            self._hook, self._errand = hook, errand
            patient = Patient(self.poll_interval, leaves=self.deferrable, just_back=just_back, sleep=hook.wait)
            report = launch(hook, errand, patient)
        except SegexportError as error:
            self._tell_failure(context, str(error))
            endings.end(self, error, context["ti"].start_date)
        except AirflowException:
            raise
        except Exception as error:  # noqa: BLE001 - a foreign exception may quote a row: its text is masked
            self._tell_failure(context, type(error).__name__)
            endings.end_unforeseen(error)
        finally:
            self._hook = None
        if isinstance(report, Waiting):
            waits.wait_for_jobs(self, hook, report, errand.order.job_timeout, context["ti"].start_date)
        summary = self._summary(report)
        context[MESSAGE] = {name: summary[name] for name in ("title", "body", "report")}
        self._publish(context, summary)
        return summary

    def _tell_failure(self, context: Any, error: str) -> None:
        """What was done before the error, where anything was: in the log, and for callbacks and notifiers."""
        report: Mapping[str, Any] | None = None
        with contextlib.suppress(Exception):  # it must not hide the error that is about to be told
            if self._errand is not None:
                from airflow_provider_segexport.hooks.launch import run_folder  # noqa: PLC0415

                report = run_folder(self._errand).summary()
        if report is not None:
            self.log.warning("So far, of %s. Report: %s", wording.outcome(report), report["report"])
        name = f"{context['dag'].dag_id}.{self.task_id}"
        place = report["report"] if report else None
        context[MESSAGE] = {**wording.failure(name, report, error), "error": error, "report": place}

    def _summary(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """What goes into XCom: counts and places."""
        self.log.info("Of %s; %s.", wording.outcome(report), wording.effort(report))
        if changed := wording.warnings(report):
            self.log.warning("Values that did not fit: %s.", changed)
        for words in wording.guards(report):
            self.log.warning("%s", words)
        self.log.info("Report, with every row that was not delivered: %s", report["report"])
        kept = {name: report[name] for name in wording.KEPT if report.get(name) is not None}
        return {**wording.success(report), **kept, "calls": report["traffic"]["calls"]}

    def _publish(self, context: Any, summary: dict[str, Any]) -> None:
        """The counts travel with the event of each asset that the task has as an outlet; a dry run has no event."""
        if summary.get("dry_run"):
            self.outlets = []
            return
        for outlet in self.outlets or []:
            extra = context["outlet_events"][outlet].extra
            if isinstance(self.optouts, Asset) and outlet == self.optouts:
                about = {name: summary[name] for name in ("vendor", "audience", "as_of")}
                extra.update({"path": None, "count": 0, **summary.get("optouts", {}), **about})
            else:
                extra.update(summary)

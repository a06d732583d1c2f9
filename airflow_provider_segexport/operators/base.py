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
from airflow_provider_segexport.hooks.left_out import LEFT_OUT
from airflow_provider_segexport.operators import failures, lineage, links, messages, waits
from airflow_provider_segexport.operators.loading import without_collecting
from airflow_provider_segexport.operators.notices import MESSAGE, with_message
from airflow_provider_segexport.operators.retries import retry_policy

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook
    from airflow_provider_segexport.hooks.options import Argument
    from airflow_provider_segexport.hooks.run_folders import ExportRequest

ATTRIBUTES = {"dry_run": "is_dry_run"}
"""Attribute by argument, where the names differ: BaseOperator has a method `dry_run`."""

PATHS = frozenset({"segment", "suppression_list", "reports_path"})
"""Arguments that name files."""


def as_text(value: Any) -> Any:
    """A path or an asset as text, in which templates are rendered; a list item by item; anything else as it is."""
    if value is LEFT_OUT:
        return None
    if isinstance(value, list | tuple):
        return [as_text(item) for item in value]
    return str(value) if hasattr(value, "iterdir") else value.uri if isinstance(value, Asset) else value


class BaseAudienceOperator(BaseOperator):
    """A task that brings an audience to a state.

    Args:
        conn_id: the Airflow connection; the vendor follows from its type.
        deferrable: wait in the triggerer; by default `[operators] default_deferrable`.
        poll_interval: seconds between two looks at import jobs.
        job_timeout: how long a job may run at the vendor before the task fails, over deferrals and retries.
        fetch_optouts: read the people whom the vendor reports as opted out, at the end of the run.
        optouts_asset: an asset for these people; it becomes an outlet. Giving it implies `fetch_optouts`.
    """

    operator_extra_links = links.LINKS
    get_openlineage_facets_on_complete = lineage.on_complete

    def __init__(  # noqa: PLR0913 - what each operator of an audience takes
        self,
        *,
        conn_id: str,
        deferrable: bool | str | None = None,
        poll_interval: float | str | dt.timedelta = 30,
        job_timeout: float | str | dt.timedelta = 21_600,
        fetch_optouts: bool | str = False,
        optouts_asset: Asset | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._left_out: frozenset[str] = frozenset()
        self.conn_id = conn_id
        self.deferrable: Any = deferrable
        self.poll_interval: Any = poll_interval
        self.job_timeout: Any = job_timeout
        self.fetch_optouts: Any = True if optouts_asset is not None else fetch_optouts
        self.optouts_asset = optouts_asset
        if optouts_asset is not None and optouts_asset not in self.outlets:
            self.outlets = [*self.outlets, optouts_asset]
        if retry_policy is not None and self.retry_policy is None:
            self.retry_policy = retry_policy()
        self._hook: SegmentExportHook | None = None
        self._errand: ExportRequest | None = None

    def __setattr__(self, key: str, value: Any) -> None:
        """Set an attribute; a callback, also one that is set after `__init__`, is given its message."""
        super().__setattr__(key, with_message(key, value))

    @abstractmethod
    def errand(self, context: Any) -> ExportRequest:
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

    def plan_folder(self) -> str:
        """Return the run folder that holds the frozen plan; empty where there is none yet."""
        from airflow_provider_segexport.hooks.run_folders import plan_folder  # noqa: PLC0415

        return plan_folder(self._errand) if self._errand is not None else ""

    def on_kill(self) -> None:
        """End in good order, and leave word of what is in flight; the next try, or a person, goes on from there.

        Airflow lets the task run on for some seconds: calls in flight end and are written down, no further one begins.
        """
        if self._hook is None or self._errand is None:
            return
        from airflow_provider_segexport.hooks.runner import run_folder  # noqa: PLC0415

        self._hook.request_stop()
        try:
            calls, jobs = run_folder(self._errand).record_kill()
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
            from airflow_provider_segexport.export.config import PendingJobs  # noqa: PLC0415
            from airflow_provider_segexport.hooks import get_hook  # noqa: PLC0415
            from airflow_provider_segexport.hooks.latest_only import is_backfill  # noqa: PLC0415
            from airflow_provider_segexport.hooks.run_folders import check_plan_folder, segment_part  # noqa: PLC0415
            from airflow_provider_segexport.hooks.runner import JobPollPolicy, run_export  # noqa: PLC0415

        self._errand = None
        try:
            hook = get_hook(self.conn_id)
            hook.backfill = is_backfill(context)
            hook.settings.check_dag_allowed(context["dag"].dag_id)
            request = self.errand(context)
            if context["ti"].map_index is not None and context["ti"].map_index >= 0:
                request = replace(
                    request, config=replace(request.config, segment_part=segment_part(request.config.segment))
                )
            if left_in:
                check_plan_folder(request, left_in)
            self._hook, self._errand = hook, request
            policy = JobPollPolicy(
                self.poll_interval, may_defer=self.deferrable, resumed=just_back, sleep=hook.interruptible_sleep
            )
            report = run_export(hook, request, policy)
        except SegexportError as error:
            self._tell_failure(context, str(error))
            failures.raise_for_airflow(self, error, context["ti"].start_date)
        except AirflowException:
            raise
        except Exception as error:  # noqa: BLE001 - a foreign exception may quote a row: its text is masked
            self._tell_failure(context, type(error).__name__)
            failures.raise_unexpected(error)
        finally:
            self._hook = None
        if isinstance(report, PendingJobs):
            waits.wait_for_jobs(self, hook, report, request.config.job_timeout, context["ti"].start_date)
        summary = self._summary(report)
        context[MESSAGE] = {name: summary[name] for name in ("title", "body", "run_folder")}
        self._publish(context, summary)
        return summary

    def _tell_failure(self, context: Any, error: str) -> None:
        """What was done before the error, where anything was: in the log, and for callbacks and notifiers."""
        report: Mapping[str, Any] | None = None
        with contextlib.suppress(Exception):  # it must not hide the error that is about to be told
            if self._errand is not None:
                from airflow_provider_segexport.hooks.runner import run_folder  # noqa: PLC0415

                report = run_folder(self._errand).summary()
        if report is not None:
            self.log.warning("So far, of %s. Report: %s", messages.outcome(report), report["run_folder"])
        name = f"{context['dag'].dag_id}.{self.task_id}"
        place = report["run_folder"] if report else None
        context[MESSAGE] = {**messages.failure(name, report, error), "error": error, "run_folder": place}

    def _summary(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """What goes into XCom: counts and places."""
        self.log.info("Of %s; %s.", messages.outcome(report), messages.effort(report))
        if changed := messages.warnings(report):
            self.log.warning("Values that did not fit: %s.", changed)
        for words in messages.guards(report):
            self.log.warning("%s", words)
        self.log.info("Report, with every row that was not delivered: %s", report["run_folder"])
        kept = {name: report[name] for name in messages.KEPT if report.get(name) is not None}
        return {**messages.success(report), **kept, "calls": report["http"]["calls"]}

    def _publish(self, context: Any, summary: dict[str, Any]) -> None:
        """The counts travel with the event of each asset that the task has as an outlet; a dry run has no event."""
        if summary.get("dry_run"):
            self.outlets = []
            return
        for outlet in self.outlets or []:
            extra = context["outlet_events"][outlet].extra
            if self.optouts_asset is not None and outlet == self.optouts_asset:
                about = {name: summary[name] for name in ("vendor", "audience", "as_of")}
                extra.update({"path": None, "count": 0, **summary.get("optouts", {}), **about})
            else:
                extra.update(summary)

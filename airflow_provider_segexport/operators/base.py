"""The base of operators that write or verify an audience: it runs, waits, resumes, ends and reports."""

from __future__ import annotations

import contextlib
import datetime as dt
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import Asset
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowException, AirflowRescheduleException, AirflowSkipException

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.hooks.callers import task_caller
from airflow_provider_segexport.hooks.failures import SKIPPED, UNEXPECTED, unexpected
from airflow_provider_segexport.hooks.left_out import LEFT_OUT
from airflow_provider_segexport.operators import failures, lineage, links, messages, waits
from airflow_provider_segexport.operators.documented import DocumentedOperator
from airflow_provider_segexport.operators.loading import gc_disabled
from airflow_provider_segexport.operators.notices import MESSAGE, with_message
from airflow_provider_segexport.operators.rendering import ATTRIBUTE_NAMES
from airflow_provider_segexport.operators.retries import retry_policy

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.attempts import AttemptRecord
    from airflow_provider_segexport.hooks.base import SegmentExportHook
    from airflow_provider_segexport.hooks.options import Argument
    from airflow_provider_segexport.hooks.run_folders import ExportRequest

PATH_ARGUMENTS = frozenset({"segment", "suppression_list", "reports_path"})
"""Arguments that are paths, or assets in the place of paths."""


def as_text(value: Any) -> Any:
    """Return a path or an asset as text, in which templates are rendered; of a list each item; None for `LEFT_OUT`."""
    if value is LEFT_OUT:
        return None
    if isinstance(value, list | tuple):
        return [as_text(item) for item in value]
    return str(value) if hasattr(value, "iterdir") else value.uri if isinstance(value, Asset) else value


class BaseAudienceOperator(DocumentedOperator):
    """A task that writes or verifies an audience.

    Args:
        conn_id: the Airflow connection; its type determines the vendor.
        deferrable: wait in the triggerer; the default is `[operators] default_deferrable`.
        poll_interval: seconds between two polls of the import jobs.
        job_timeout: how long a job may run at the vendor before the task fails, over deferrals and retries.
        fetch_optouts: read the people who opted out at the vendor, at the end of the run.
        optouts_asset: an asset for these people, which becomes an outlet. Implies `fetch_optouts`.

    Attributes:
        export_request: the request of the last run in this process, for the operator's links and OpenLineage; None
            before the first run.
        uses_run_of_task_instance: the operator's run uses the run folder of the task instance, so a call of
            `hook.export` in the same task, as in `pre_execute`, gets another one.
    """

    uses_run_of_task_instance = True
    operator_extra_links = links.LINKS
    get_openlineage_facets_on_complete = lineage.on_complete

    def __init__(  # noqa: PLR0913 - the arguments that these operators share
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
        self._is_killed = False
        self._deferred_in: str | None = None
        self.export_request: ExportRequest | None = None

    def __setattr__(self, key: str, value: Any) -> None:
        """Set an attribute. A callback is wrapped, so that its context holds a message.

        If a cluster policy or a subclass sets an argument, the argument no longer counts as left out.
        """
        super().__setattr__(key, with_message(key, value))
        if value is not None and key in vars(self).get("_left_out", ()):
            self._left_out -= {key}

    @abstractmethod
    def build_request(self, context: Any) -> ExportRequest:
        """Return the request of the run, from the arguments after templates were rendered."""

    def set_arguments(self, given: Mapping[str, Any]) -> None:
        """Set an attribute for each argument, and document the task. `given` has value or `LEFT_OUT` by argument.

        The attribute of an argument that was left out is None. The names of these arguments are recorded, so that an
        argument that was given and renders to None can be refused.
        """
        self._left_out |= {name for name, value in given.items() if value is LEFT_OUT}
        for name, value in given.items():
            attribute = as_text(value) if name in PATH_ARGUMENTS else None if value is LEFT_OUT else value
            setattr(self, name, attribute)
        self.document({"conn_id": self.conn_id, **given})

    def rendered_arguments(self, table: tuple[Argument, ...]) -> dict[str, Any]:
        """Return value by name for a table's arguments, after templates were rendered; `LEFT_OUT` if left out."""
        self.check_results()
        values = {argument.name: getattr(self, ATTRIBUTE_NAMES.get(argument.name, argument.name)) for argument in table}
        return {name: LEFT_OUT if value is None and name in self._left_out else value for name, value in values.items()}

    def execute(self, context: Any) -> dict[str, Any]:
        """Start a run, or resume a run that an earlier try has started, or this try before a deferral."""
        run_folder, self._deferred_in = self._deferred_in, None
        return self._run(context, resuming=run_folder is not None, run_folder=run_folder or "")

    def resume(self, context: Any, event: dict[str, Any] | None = None, run_folder: str = "") -> dict[str, Any]:
        """Resume after a deferral. This calls `execute`, because a subclass may set arguments or use the result in it.

        Args:
            context: Airflow's context of the task.
            event: the trigger's event, a mapping with `status`.
            run_folder: path of the run folder that holds the task's plan; empty if there was no plan yet.

        Raises:
            AirflowException: no trigger of this provider sends this event.
        """
        from airflow_provider_segexport.triggers.import_jobs import EVENTS  # noqa: PLC0415

        status = event.get("status") if isinstance(event, Mapping) else None
        if status not in EVENTS:
            raise AirflowException(
                f"The trigger sent the status {status!r}, which is none of {', '.join(sorted(EVENTS))}. To fix: "
                "install the same version of this provider on workers and triggerers."
            )
        self._deferred_in = run_folder
        return self.execute(context)

    def on_kill(self) -> None:
        """Stop the run: calls in flight end and are recorded. A signal handler calls this, so no lock is used here."""
        self._is_killed = True  # the task may be killed before it has a hook
        if self._hook is not None:
            self._hook.request_stop()

    def set_waiting(self, values: Mapping[str, Any]) -> None:
        """Set `deferrable` and `poll_interval` from their values; the default of `deferrable` is Airflow's option."""
        default = conf.getboolean("operators", "default_deferrable", fallback=False)
        self.deferrable = default if values["deferrable"] is None else values["deferrable"]
        self.poll_interval = values["poll_interval"]

    def _run(self, context: Any, *, resuming: bool, run_folder: str = "") -> dict[str, Any]:
        with gc_disabled():
            from airflow_provider_segexport.export.config import PendingJobs  # noqa: PLC0415
            from airflow_provider_segexport.hooks import get_hook  # noqa: PLC0415
            from airflow_provider_segexport.hooks.attempts import recorded  # noqa: PLC0415
            from airflow_provider_segexport.hooks.latest_only import is_backfill  # noqa: PLC0415
            from airflow_provider_segexport.hooks.run_folders import check_plan_folder, with_segment_part  # noqa: PLC0415
            from airflow_provider_segexport.hooks.runner import run_export  # noqa: PLC0415

        self.export_request = None
        try:
            with recorded(self._attempt(context), waits.is_wait) as attempt:
                hook = get_hook(self.conn_id, low_priority=is_backfill(context))
                attempt.configured(hook, self._audience_argument)
                hook.settings.check_dag_allowed(context["dag"].dag_id)
                request = with_segment_part(self.build_request(context), task_caller(context).segment_index)
                if run_folder:
                    check_plan_folder(request, run_folder)
                self._hook, self.export_request = hook, request
                if self._is_killed:
                    hook.request_stop()
                options = {"poll_interval_s": self.poll_interval, "may_defer": self.deferrable, "resumed": resuming}
                report = run_export(hook, request, attempt=attempt, **options)
                attempt.ended(report)
        except SegexportError as error:
            self._report_failure(context, str(error), error.error_code)
            timeout = self._max_deferral(context) if self.execution_timeout else None
            self._end_try(failures.ending(error, deferrable=self.deferrable, timeout=timeout))
        except AirflowException as error:
            if isinstance(error, AirflowSkipException):
                self._report_failure(context, str(error), SKIPPED)
            raise
        except Exception as error:  # noqa: BLE001 - a foreign exception may quote a row: its text is masked
            self._report_failure(context, type(error).__name__, UNEXPECTED)
            raise unexpected(error) from None
        finally:
            self._hook = None
        if isinstance(report, PendingJobs):
            wait = waits.wait_for_jobs(
                hook,
                report,
                job_timeout_s=request.config.job_timeout,
                poll_interval_s=self.poll_interval,
                timeout=self._max_deferral(context),
            )
            self._end_try(wait)
        summary = self._summary(report)
        context[MESSAGE] = {name: summary[name] for name in ("title", "body", "run_folder")}
        self._emit_asset_events(context, summary)
        return summary

    @property
    def _audience_argument(self) -> str:
        """The rendered argument `audience` as text; empty if it was left out."""
        from airflow_provider_segexport.hooks.attempts import audience_text  # noqa: PLC0415

        return audience_text(getattr(self, "audience", None))

    def _attempt(self, context: Any) -> AttemptRecord:
        """Record that a try begins."""
        from airflow_provider_segexport.hooks.attempts import begin  # noqa: PLC0415

        dry_run = getattr(self, "is_dry_run", False)
        return begin(str(self.conn_id), self._audience_argument, task_caller(context).identity, dry_run=dry_run)

    def _max_deferral(self, context: Any) -> dt.timedelta:
        return waits.max_deferral(self.execution_timeout, context["ti"].start_date)

    def _end_try(self, ending: AirflowException | waits.Wait) -> NoReturn:
        """End the try: raise the exception, or defer or reschedule the task for a wait.

        Causes are not chained, because a library's text may quote a row or an address.
        """
        if not isinstance(ending, waits.Wait):
            raise ending from None
        self.log.info("%s", ending.message)
        if ending.trigger is None:
            raise AirflowRescheduleException(ending.until) from None
        from airflow_provider_segexport.hooks.run_folders import plan_folder  # noqa: PLC0415

        run_folder = plan_folder(self.export_request) if self.export_request is not None else ""
        self.defer(
            trigger=ending.trigger, method_name="resume", kwargs={"run_folder": run_folder}, timeout=ending.timeout
        )
        raise AssertionError  # `defer` has raised

    def _report_failure(self, context: Any, error: str, code: str) -> None:
        """Log the report so far, and put a message with report and error into the context, for callbacks."""
        report: Mapping[str, Any] | None = None
        with contextlib.suppress(Exception):  # an error in the report must not hide the error of the run
            if self.export_request is not None:
                from airflow_provider_segexport.hooks.runner import run_folder  # noqa: PLC0415

                report = run_folder(self.export_request).summary()
        if report is not None:
            self.log.warning("Done so far, of %s. Run folder: %s", messages.outcome(report), report["run_folder"])
        name = f"{context['dag'].dag_id}.{self.task_id}"
        about = {"error": error, "error_code": code, "run_folder": report["run_folder"] if report else None}
        context[MESSAGE] = {**messages.failure(name, report, error), **about}

    def _summary(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Log the report, and return the summary that Airflow stores as XCom: counts and paths."""
        self.log.info("Of %s; %s.", messages.outcome(report), messages.effort(report))
        if text := messages.new_audience(report):
            self.log.info("%s", text)
        if changes := messages.warnings(report):
            self.log.warning("Values that are sent changed, or are left out: %s.", changes)
        if text := messages.proofs(report):
            self.log.info("%s", text)
        for text in messages.guards(report):
            self.log.warning("%s", text)
        self.log.info("Run folder, with every row that was not delivered: %s", report["run_folder"])
        values = {name: report[name] for name in messages.SUMMARY_KEYS if report.get(name) is not None}
        return {**messages.success(report), **values, "calls": report["http"]["calls"]}

    def _emit_asset_events(self, context: Any, summary: dict[str, Any]) -> None:
        """Put the counts into the event of each outlet; a dry run has no events."""
        if summary.get("dry_run"):
            self.outlets = []
            return
        for outlet in self.outlets or []:
            try:
                extra = context["outlet_events"][outlet].extra
            except Exception as error:  # noqa: BLE001 - the export has succeeded, and a retry would not correct an outlet
                self.log.warning(
                    "Emitting no event for the outlet %r (%s). To fix: pass an Asset, an AssetAlias, or a reference "
                    "to an asset that a DAG defines, in `outlets`.",
                    outlet,
                    type(error).__name__,
                )
                continue
            if self.optouts_asset is not None and outlet == self.optouts_asset:
                audience = {name: summary[name] for name in ("vendor", "audience", "as_of")}
                extra.update({"path": None, "count": 0, **summary.get("optouts", {}), **audience})
            else:
                extra.update(summary)

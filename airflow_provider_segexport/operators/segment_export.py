"""The operator that exports a segment to an audience."""

from __future__ import annotations

import contextlib
import datetime as dt
import traceback
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from airflow_provider_segexport.errors import (
    OlderThanLedger,
    QuotaSpent,
    SegexportError,
    StopExport,
    SwitchedOff,
    TryAgain,
    without_addresses,
)
from airflow_provider_segexport.operators import arguments, quota, wording
from airflow_provider_segexport.operators.as_of import as_of

if TYPE_CHECKING:
    from airflow_provider_segexport.export import Mode, Older, Waiting
    from airflow_provider_segexport.hooks.base import SegmentExportHook
    from airflow_provider_segexport.hooks.launch import Errand

LONGEST_WAIT = dt.timedelta(hours=24)


class SegmentExportOperator(BaseOperator):
    """Exports a segment of profiles to an audience at an email-marketing vendor.

    The vendor follows from the connection's type. Nothing is sent before everything that can be checked is checked:
    files, columns, credentials, audience, custom fields, consent on the connection. A retry goes on where the last try
    stopped. Returns a summary with counts and the place of the report, never rows.

    Args:
        conn_id: Airflow connection of type `campaign_monitor` or `dotdigital`.
        segment: Parquet with one row a profile: a path, a folder, a glob, or a list of them (several segments are
            united, and the first row of a duplicate wins); local, or anything that ObjectStoragePath opens.
        matching: data matching: column by field. `email` is required; then `first_name`, `last_name`, `full_name`,
            `gender`, `postcode`, `address`, `city`, `state`, `country`, `phone`, `birthdate`.
        audience: the vendor's id of the address book or list; the connection's default audience where none is given.
        custom_fields: column by the vendor's name of the custom field.
        create_fields: make custom fields that the audience lacks, instead of stopping.
        mode: `changes` sends profiles that are new or changed since the last export; `full` sends all.
        as_of: the time that the segment describes; by default partition date, data interval end, logical date or run
            time, the first that there is.
        older: when the audience has been brought to a newer state than `as_of` already, as in a backfill: `skip` the
            task, or `fail` it. Nothing is sent in either case.
        max_profiles: a larger segment is refused before anything is sent.
        reports: folder for run folders and reports; by default below `[segexport] root`.
        deferrable: wait for import jobs in the triggerer; by default `[operators] default_deferrable`. Give the task
            `retries`: Airflow 3.3 may fail a deferred task once when its trigger fires early.
        poll_interval: seconds between two looks at import jobs.
    """

    template_fields: Sequence[str] = (
        "conn_id",
        "segment",
        "audience",
        "matching",
        "custom_fields",
        "mode",
        "as_of",
        "max_profiles",
        "reports",
    )
    template_fields_renderers = {"matching": "json", "custom_fields": "json"}  # noqa: RUF012 - as BaseOperator has it
    ui_color = "#d7ecf2"

    def __init__(  # noqa: PLR0913 - what an export is configured with
        self,
        *,
        conn_id: str,
        segment: str | Sequence[str],
        matching: Mapping[str, str],
        audience: str | None = None,
        custom_fields: Mapping[str, str] | None = None,
        create_fields: bool = False,
        mode: Mode = "changes",
        as_of: dt.datetime | str | None = None,
        older: Older = "skip",
        max_profiles: int | str = 1_000_000,
        reports: str | None = None,
        deferrable: bool | None = None,
        poll_interval: float = 30,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.segment = segment
        self.matching = matching
        self.audience = audience
        self.custom_fields = custom_fields
        self.create_fields = create_fields
        self.mode = mode
        self.as_of = as_of
        self.older = older
        self.max_profiles = max_profiles
        self.reports = reports
        self.deferrable = (
            conf.getboolean("operators", "default_deferrable", fallback=False) if deferrable is None else deferrable
        )
        self.poll_interval = poll_interval
        self._hook: SegmentExportHook | None = None
        self._errand: Errand | None = None

    def execute(self, context: Any) -> dict[str, Any]:
        """Export, or go on with an export that an earlier try began."""
        return self._go(context, just_back=False)

    def resume(self, context: Any, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Come back from the triggerer. An event that is none of ours fails loudly."""
        from airflow_provider_segexport.triggers.import_jobs import EVENTS  # noqa: PLC0415

        status = event.get("status") if isinstance(event, Mapping) else None
        if status not in EVENTS:
            raise AirflowException(
                f"The trigger answered {status!r}, which is none of {', '.join(sorted(EVENTS))}. The worker and the "
                "triggerer may run different versions of this provider."
            )
        return self._go(context, just_back=True)

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
        self.log.warning("Killed with %d calls and %d import jobs in flight. A retry looks at them first.", calls, jobs)

    def _go(self, context: Any, *, just_back: bool) -> dict[str, Any]:
        from airflow_provider_segexport.export import Waiting  # noqa: PLC0415
        from airflow_provider_segexport.hooks import hook_for  # noqa: PLC0415
        from airflow_provider_segexport.hooks.launch import Patient, launch  # noqa: PLC0415

        self._errand = None
        try:
            hook = hook_for(self.conn_id)
            hook.settings.gate(context["dag"].dag_id)
            errand = self._told(context)
            self._hook, self._errand = hook, errand
            patient = Patient(self.poll_interval, leaves=self.deferrable, just_back=just_back, sleep=hook.wait)
            report = launch(hook, errand, patient)
        except SegexportError as error:
            self._say_how_far()
            self._fail(error)
        except AirflowException:
            raise
        except Exception as error:  # noqa: BLE001 - a foreign exception may quote a row: its text is masked
            self._fail_unforeseen(error)
        finally:
            self._hook = None
        if isinstance(report, Waiting):
            self._wait(hook, errand, report)
        summary = self._summary(report)
        self._publish(context, summary)
        return summary

    def _told(self, context: Any) -> Errand:
        """The task's arguments after templates."""
        from airflow_provider_segexport.hooks.launch import Errand  # noqa: PLC0415
        from airflow_provider_segexport.hooks.state import state_root  # noqa: PLC0415

        instance = context["ti"]
        given = arguments.optional(self.as_of) if isinstance(self.as_of, str) else self.as_of
        return Errand(
            segment=arguments.segment(self.segment),
            audience=arguments.optional(self.audience),
            matching=arguments.mapping(self.matching, "matching"),
            custom_fields=arguments.mapping(self.custom_fields or {}, "custom_fields"),
            create_fields=self.create_fields,
            mode=arguments.choice(self.mode, "mode", ("changes", "full")),
            older=arguments.choice(self.older, "older", ("skip", "fail")),
            as_of=as_of(context, given),
            max_profiles=arguments.number(self.max_profiles, "max_profiles"),
            identity=(instance.dag_id, instance.task_id, instance.run_id, str(max(instance.map_index or 0, 0))),
            root=state_root(),
            reports=arguments.optional(self.reports),
        )

    def _fail(self, error: SegexportError) -> NoReturn:
        """Translate by what comes next: skip, fail for good, come back later, or let Airflow try again.

        Causes are not chained: a library's own words may quote a row or an address, and the message says it all.
        """
        match error:
            case SwitchedOff() | OlderThanLedger(fails=False):
                raise AirflowSkipException(str(error)) from None
            case StopExport():
                raise AirflowFailException(str(error)) from None
            case QuotaSpent() if quota.is_long(error):
                quota.come_back(self, error)
            case QuotaSpent() if error.after:
                raise AirflowException(f"{error} The vendor lets calls through again in {error.after:.0f} s.") from None
            case TryAgain():
                raise AirflowException(f"{error} Another try goes on where this one stopped.") from None
            case _:
                raise AirflowException(str(error)) from None

    def _say_how_far(self) -> None:
        """What was done before the error, where anything was."""
        if self._errand is None:
            return
        from airflow_provider_segexport.hooks.launch import run_folder  # noqa: PLC0415

        with contextlib.suppress(Exception):  # it must not hide the error that is about to be told
            report = run_folder(self._errand).summary()
            if report is not None:
                self.log.warning("So far, of %s. Report: %s", wording.outcome(report), report["report"])

    def _fail_unforeseen(self, error: Exception) -> NoReturn:
        """Tell where it came from, line by line, and what it says without anything that could be an address."""
        where = "".join(traceback.format_tb(error.__traceback__))
        self.log.error("%s came up unforeseen, here:\n%s", type(error).__name__, where)
        raise AirflowException(
            f"{type(error).__name__}: {without_addresses(str(error))} (unforeseen; another try goes on where this one "
            "stopped)"
        ) from None

    def _wait(self, hook: SegmentExportHook, errand: Errand, waiting: Waiting) -> NoReturn:
        """Give the worker's slot back until enough jobs have ended."""
        from airflow_provider_segexport.hooks.launch import run_folder  # noqa: PLC0415
        from airflow_provider_segexport.triggers.import_jobs import ImportJobsTrigger  # noqa: PLC0415

        found = run_folder(errand).plan()
        target = found[1]["target"] if found else {}
        self.log.info("%d import jobs run at %s; waiting in the triggerer.", len(waiting.tickets), hook.vendor.title)
        self.defer(
            trigger=ImportJobsTrigger(
                vendor=hook.vendor.name,
                conn_id=self.conn_id,
                api=target["api"],
                audience=target["audience"],
                tickets=waiting.tickets,
                enough=waiting.enough,
                poll_interval=self.poll_interval,
            ),
            method_name="resume",
            timeout=LONGEST_WAIT,
        )
        raise AssertionError  # defer has raised

    def _summary(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """What goes into XCom: counts and places."""
        self.log.info("Of %s; %s.", wording.outcome(report), wording.effort(report))
        if changed := wording.warnings(report):
            self.log.warning("Values that did not fit: %s.", changed)
        self.log.info("Report, with every row that was not delivered: %s", report["report"])
        kept = ("vendor", "audience", "audience_name", "mode", "as_of", "counts", "reasons", "warnings", "seconds")
        return {name: report[name] for name in kept} | {"calls": report["traffic"]["calls"], "report": report["report"]}

    def _publish(self, context: Any, summary: dict[str, Any]) -> None:
        """The counts travel with the event of each asset that the task has as an outlet."""
        for outlet in self.outlets or []:
            context["outlet_events"][outlet].extra.update(summary)

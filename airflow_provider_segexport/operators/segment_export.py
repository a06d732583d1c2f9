"""The operator that exports a segment to an audience."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.hooks.failures import UNEXPECTED, unexpected
from airflow_provider_segexport.hooks.left_out import LEFT_OUT, LeftOut
from airflow_provider_segexport.operators import failures, task_docs
from airflow_provider_segexport.operators.base import BaseAudienceOperator

if TYPE_CHECKING:
    from airflow.sdk import Asset

    from airflow_provider_segexport.export.config import Mode, OnStale
    from airflow_provider_segexport.hooks.argument_types import OptionalPaths, OptionalText
    from airflow_provider_segexport.hooks.run_folders import ExportRequest
    from airflow_provider_segexport.modes import Subscribe

NOT_ARGUMENTS = frozenset({"self", "kwargs", "conn_id", "fetch_optouts", "optouts_asset", "test_row_to", "__class__"})
"""Locals of `__init__` that are not arguments of an export."""


class SegmentExportOperator(BaseAudienceOperator):
    """Exports a segment of profiles to an audience at an email-marketing vendor.

    The connection's type determines the vendor. Everything that can be checked is checked before the first call that
    changes something: files, columns, credentials, audience, custom fields, consent on the connection, guards. A retry
    resumes where the last try stopped. Returns a summary with counts and the run folder's path, never rows.

    Every argument but `test_row_to` is a template field. An argument that was given and renders to an empty value
    (None, blank, an empty list) stops the run; leave an argument out to get its default. A path may be a `Path`, an
    `ObjectStoragePath` or an Asset.

    Args:
        conn_id: Airflow connection of one of the provider's types, such as `dotdigital` or `omnisend`.
        segment: Parquet with one row per profile: a path, a folder, a glob pattern, or a list of them. Several segments
            are united; if an email appears twice, the first row is used. Local, or any path that ObjectStoragePath
            opens. For a table: `delta:<folder>`, `iceberg:<folder>` or `iceberg:<catalog>.<namespace>.<table>`.
        field_mapping: column by vendor-neutral field. `email` is required; optional are `first_name`, `last_name`,
            `full_name`, `gender`, `postcode`, `address`, `city`, `state`, `country`, `phone`, `birthdate`.
        audience: the vendor's id of the address book, list or tag, or its exact name as `name:Newsletter`; the default
            is the connection's default audience.
        custom_fields: column by the vendor's name of the custom field.
        create_custom_fields: create custom fields that the audience lacks. If False, a missing field stops the run.
        create_audience: create the list or address book if none has the name in `audience` (`name:Newsletter`), after
            everything else was checked. A dry run creates none.
        default_region: the country of phone numbers in national form (`0170 1234567`), as an ISO 3166-1 alpha-2 code
            such as `DE`. It applies to rows without a mapped `country`. They are sent as E.164 (`+491701234567`).
        date_formats: column to format, for text columns with dates: `{"born": "%d.%m.%Y"}`. Text that does not have the
            format is treated as a value that does not fit its field. A time of day is read as UTC.
        mode: `upsert` sends profiles that are new or changed since the last export. `mirror` also removes people that
            this export added and who have left the segment. `full` sends every profile.
        as_of: the point in time that the segment describes. The default is the first that exists of partition date,
            data interval end, logical date and run time. A table is read as of `as_of` if it is given, else as it is
            now.
        on_stale: what to do if the audience already has a newer state than `as_of`, as in a backfill: `skip` the task,
            `fail` it, or `verify`, which reports how the audience differs. Nothing is sent in any of the cases.
        latest_only: skip this run if the DAG has a newer run that is due, queued or running.
        export_name: name of the export, which owns its audience; the default is `<dag id>.<task id>`,
            or `<dag id>/<task id>` if the DAG's id has a dot.
        allow_shared_audience: share the audience with other exports that set this argument too.
        adopt_existing: in mode `mirror`, also remove people who were in the audience before an export added them.
        consent_column: column that holds consent. Rows without an explicit yes are withheld.
        suppression_list: Parquet with one email per row, plain or hashed: a path or several. These people are withheld.
        subscribe: `never`, or `with_proof`: at Omnisend, people whose row has proof of consent are subscribed, unless
            they opted out later; at dotdigital, their proof is stored. The other vendors take no proof, so the task
            fails there.
        consented_at_column: column with the moment of consent: a timestamp, a date, or ISO 8601 text. Without a time
            zone it is in UTC. Required with `with_proof`, as is `consent_column`.
        consent_source_column: column with the source of consent; at dotdigital the URL of the form.
        consent_text: the text that people agreed to, or `column:` and the name of its column (dotdigital).
        consent_ip_column: column with the IP address from which people agreed.
        consent_user_agent_column: column with the user agent of the browser.
        partition_columns: read a mapped column that a file lacks from the `key=value` folders above it, as text.
        guards: limits by name: a number, `{"limit": 0.3, "action": "warn"}`, or None to disable one. Guards that are
            not named keep their default: `min_rows`, `max_shrink`, `max_growth`, `max_removals_share`,
            `max_invalid_emails_share`, `max_duplicates_share`, `max_unreadable_suppression_share`,
            `min_contact_headroom`, `max_rejected_share`. `max_removals` (a number) has no default.
        dry_run: plan and report; send nothing.
        expected_plan: the `plan_hash` of the plan that this task may execute, as a dry run's summary reports it. Any
            other plan is refused and nothing is sent.
        max_profiles: a segment with more rows is refused before anything is sent.
        reports_path: folder for run folders and reports; the default is below `[segexport] state_path`.
        fetch_optouts: read the people who opted out at the vendor and write them to `optouts.parquet`.
        optouts_asset: an asset that becomes an outlet; its event has the path of `optouts.parquet` and the number of
            people in it. Implies `fetch_optouts`.
        deferrable: wait for import jobs in the triggerer; the default is `[operators] default_deferrable`. Set
            `retries`, because Airflow 3.3 may fail a deferred task once when its trigger fires early.
        poll_interval: seconds between two polls of the import jobs.
        job_timeout: how long a job may run at the vendor before the task fails, in seconds, as a timedelta, or as text
            such as `6h`; from one minute to 24 hours. The time begins when the vendor accepts the job, and goes on over
            all tries.
        test_row_to: an address of your own. The task sends the segment's first row to it, in place of the person's
            address and without the phone number, and exports nothing. With `dry_run` it only plans the row. It is no
            template, because Airflow stores what templates render to.
    """

    template_fields: Sequence[str] = (
        "conn_id",
        "segment",
        "audience",
        "field_mapping",
        "custom_fields",
        "mode",
        "as_of",
        "on_stale",
        "latest_only",
        "export_name",
        "consent_column",
        "suppression_list",
        "subscribe",
        "consented_at_column",
        "consent_source_column",
        "consent_text",
        "consent_ip_column",
        "consent_user_agent_column",
        "guards",
        "is_dry_run",
        "expected_plan",
        "max_profiles",
        "reports_path",
        "fetch_optouts",
        "create_custom_fields",
        "create_audience",
        "default_region",
        "date_formats",
        "allow_shared_audience",
        "adopt_existing",
        "deferrable",
        "poll_interval",
        "job_timeout",
        "partition_columns",
    )
    template_fields_renderers = {  # noqa: RUF012 - as BaseOperator has it
        "field_mapping": "json",
        "custom_fields": "json",
        "date_formats": "json",
        "guards": "json",
    }
    ui_color = "#d7ecf2"
    describe = staticmethod(task_docs.export_doc)

    def __init__(  # noqa: PLR0913 - the options of an export
        self,
        *,
        conn_id: str,
        segment: str | os.PathLike[str] | Asset | Sequence[str | os.PathLike[str] | Asset],
        field_mapping: Mapping[str, str] | str,
        audience: str | int | LeftOut = LEFT_OUT,
        custom_fields: Mapping[str, str] | str | None = None,
        create_custom_fields: bool | str = False,
        create_audience: bool | str = False,
        default_region: OptionalText = LEFT_OUT,
        date_formats: Mapping[str, str] | str | None = None,
        mode: Mode = "upsert",
        as_of: dt.datetime | dt.date | str | float | LeftOut = LEFT_OUT,
        on_stale: OnStale = "skip",
        latest_only: bool | str = False,
        export_name: OptionalText = LEFT_OUT,
        allow_shared_audience: bool | str = False,
        adopt_existing: bool | str = False,
        consent_column: OptionalText = LEFT_OUT,
        suppression_list: OptionalPaths = LEFT_OUT,
        subscribe: Subscribe = "never",
        consented_at_column: OptionalText = LEFT_OUT,
        consent_source_column: OptionalText = LEFT_OUT,
        consent_text: OptionalText = LEFT_OUT,
        consent_ip_column: OptionalText = LEFT_OUT,
        consent_user_agent_column: OptionalText = LEFT_OUT,
        partition_columns: bool | str = False,
        guards: Mapping[str, Any] | str | LeftOut = LEFT_OUT,
        dry_run: bool | str = False,
        expected_plan: OptionalText = LEFT_OUT,
        max_profiles: int | str = 1_000_000,
        reports_path: str | os.PathLike[str] | None = None,
        fetch_optouts: bool | str = False,
        optouts_asset: Asset | None = None,
        deferrable: bool | str | None = None,
        poll_interval: float | str | dt.timedelta = 30,
        job_timeout: float | str | dt.timedelta = 21_600,
        test_row_to: OptionalText = LEFT_OUT,
        **kwargs: Any,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in NOT_ARGUMENTS}
        super().__init__(conn_id=conn_id, fetch_optouts=fetch_optouts, optouts_asset=optouts_asset, **kwargs)
        self.test_row_to = test_row_to
        self.set_arguments(given)

    def __setattr__(self, key: str, value: Any) -> None:
        """Set an attribute. In `guards`, each limit is wrapped as `{"limit": limit}`."""
        if key == "guards" and isinstance(value, Mapping):
            value = {name: _with_limit(limit) for name, limit in value.items()}
        super().__setattr__(key, value)

    def document(self, values: Mapping[str, Any]) -> None:
        """Set `doc_md` as for other tasks; that of a test row does not contain its address."""
        super().document({**values, "test_row_to": self.test_row_to})

    def execute(self, context: Any) -> dict[str, Any]:
        """Start or resume a run; if `test_row_to` was given, send one row to that address instead."""
        if self.test_row_to is LEFT_OUT:
            return super().execute(context)
        from airflow_provider_segexport.hooks import get_hook  # noqa: PLC0415 - imports the core
        from airflow_provider_segexport.operators.single_row import send  # noqa: PLC0415

        self.outlets = []  # the audience has not changed
        try:
            self._hook = get_hook(self.conn_id)
            if self._is_killed:
                self._hook.request_stop()
            return send(self, self._hook, self.test_row_to, context)
        except SegexportError as error:
            self._report_failure(context, str(error), error.error_code)
            self._end_try(failures.ending(error, deferrable=False, timeout=None))
        except AirflowException:
            raise
        except Exception as error:  # noqa: BLE001 - a foreign exception may quote a row: its text is masked
            self._report_failure(context, type(error).__name__, UNEXPECTED)
            raise unexpected(error) from None
        finally:
            self._hook = None

    def build_request(self, context: Any) -> ExportRequest:
        """Return the request of the run, from the arguments after templates were rendered."""
        from airflow_provider_segexport.hooks import options  # noqa: PLC0415
        from airflow_provider_segexport.hooks.callers import task_caller  # noqa: PLC0415

        values = options.values(options.EXPORT, self.rendered_arguments(options.EXPORT))
        self.set_waiting(values)
        return options.build_request(values, task_caller(context))


def _with_limit(guard: Any) -> Any:
    """Wrap the limit of a guard, so that a template or an upstream task's output that is None does not disable it."""
    return guard if guard is None or isinstance(guard, Mapping) else {"limit": guard}

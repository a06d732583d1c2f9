"""The operator that exports a segment to an audience."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_segexport.hooks.left_out import LEFT_OUT, LeftOut
from airflow_provider_segexport.operators.audience_task import AudienceTask

if TYPE_CHECKING:
    from airflow.sdk import Asset

    from airflow_provider_segexport.export import Mode, Older
    from airflow_provider_segexport.hooks.errand import Errand

CatchUp = Literal["all", "newest"]

OTHERS = frozenset({"self", "kwargs", "conn_id", "__class__"})
"""What stands among the locals of `__init__` and is none of an export's arguments."""


class SegmentExportOperator(AudienceTask):
    """Exports a segment of profiles to an audience at an email-marketing vendor.

    The vendor follows from the connection's type. Nothing is sent before everything that can be checked is checked:
    files, columns, credentials, audience, custom fields, consent on the connection, guards. A retry goes on where the
    last try stopped. Returns a summary with counts and the place of the report, never rows.

    Every argument is a template field. One that was given and renders to nothing (None, blank, an empty list) stops the
    run; leave an argument out to get its default. Paths may be a `Path`, an `ObjectStoragePath` or an Asset, too.

    Args:
        conn_id: Airflow connection of type `campaign_monitor`, `constant_contact`, `dotdigital` or `omnisend`.
        segment: Parquet with one row a profile: a path, a folder, a glob, or a list of them (several segments are
            united, and the first row of a duplicate wins); local, or anything that ObjectStoragePath opens. A table is
            named as `delta:<folder>`, `iceberg:<folder>` or `iceberg:<catalog>.<namespace>.<table>`.
        matching: data matching: column by field. `email` is required; then `first_name`, `last_name`, `full_name`,
            `gender`, `postcode`, `address`, `city`, `state`, `country`, `phone`, `birthdate`.
        audience: the vendor's id of the address book, list or tag; the connection's default audience where none is
            given.
        custom_fields: column by the vendor's name of the custom field.
        create_fields: make custom fields that the audience lacks, instead of stopping.
        mode: `changes` sends profiles that are new or changed since the last export; `full` sends all; `mirror` does
            as `changes`, and takes out of the audience whom this export put there and who has left the segment.
        as_of: the time that the segment describes; by default partition date, data interval end, logical date or run
            time, the first that there is. A table is read as of a time that is given, else as it is now.
        older: when the audience has been brought to a newer state than `as_of` already, as in a backfill: `skip` the
            task, `fail` it, or `verify`: report how the audience differs. Nothing is sent in any case.
        catch_up: `newest` skips a run when a newer one of its DAG is due or has been: of many missed days only the
            last goes out. `all` exports each, oldest first.
        export_name: the name of the export, which owns its audience; by default `<dag id>.<task id>`.
        shared: the audience is shared with other exports that say so too.
        adopt_existing: `mirror` also takes out people who were in the audience before an export put them in.
        consent_column: a column that says yes; whoever it does not say yes for is withheld.
        suppression: Parquet with one email a row, plain or hashed: a path or several. They are withheld.
        partition_columns: a mapped column that a file lacks is taken from the `key=value` folders above it, as text.
        guards: limits by name: a number, `{"limit": 0.3, "then": "warn"}`, or None to switch one off. What is not
            named holds as by default: `empty`, `shrinks`, `grows`, `removals_share`, `bad_emails_share`,
            `duplicates_share`, `headroom`, `rejects_share`; `removals` (a number) only where it is named.
        dry_run: plan and report, send nothing.
        expect: the `mark` of the plan that this task is to carry out, as a dry run's summary tells it; any other plan
            is refused, and nothing is sent.
        max_profiles: a larger segment is refused before anything is sent.
        reports: folder for run folders and reports; by default below `[segexport] root`.
        optouts: an asset that becomes an outlet; its event says where `optouts.parquet` is and how many are in it. True
            collects opt-outs without an asset.
        deferrable: wait for import jobs in the triggerer; by default `[operators] default_deferrable`. Give the task
            `retries`: Airflow 3.3 may fail a deferred task once when its trigger fires early.
        poll_interval: seconds between two looks at import jobs.
        job_timeout: how long a job may run at the vendor before the task fails: seconds, a timedelta, or a text such as
            `6h`; from one minute to 24 hours. It counts from when the vendor accepted the job, over all tries.
    """

    template_fields: Sequence[str] = (
        "conn_id",
        "segment",
        "audience",
        "matching",
        "custom_fields",
        "mode",
        "as_of",
        "older",
        "catch_up",
        "export_name",
        "consent_column",
        "suppression",
        "guards",
        "is_dry_run",
        "expect",
        "max_profiles",
        "reports",
        "optouts",
        "create_fields",
        "shared",
        "adopt_existing",
        "deferrable",
        "poll_interval",
        "job_timeout",
        "partition_columns",
    )
    template_fields_renderers = {"matching": "json", "custom_fields": "json", "guards": "json"}  # noqa: RUF012 - as BaseOperator has it
    ui_color = "#d7ecf2"

    def __init__(  # noqa: PLR0913 - what an export is configured with
        self,
        *,
        conn_id: str,
        segment: str | os.PathLike[str] | Asset | Sequence[str | os.PathLike[str] | Asset],
        matching: Mapping[str, str] | str,
        audience: str | int | LeftOut = LEFT_OUT,
        custom_fields: Mapping[str, str] | str | None = None,
        create_fields: bool | str = False,
        mode: Mode = "changes",
        as_of: dt.datetime | dt.date | str | float | LeftOut = LEFT_OUT,
        older: Older = "skip",
        catch_up: CatchUp = "all",
        export_name: str | LeftOut = LEFT_OUT,
        shared: bool | str = False,
        adopt_existing: bool | str = False,
        consent_column: str | LeftOut = LEFT_OUT,
        suppression: str | os.PathLike[str] | Asset | Sequence[str | os.PathLike[str] | Asset] | LeftOut = LEFT_OUT,
        partition_columns: bool | str = False,
        guards: Mapping[str, Any] | str | LeftOut = LEFT_OUT,
        dry_run: bool | str = False,
        expect: str | LeftOut = LEFT_OUT,
        max_profiles: int | str = 1_000_000,
        reports: str | os.PathLike[str] | None = None,
        optouts: Asset | bool | str | LeftOut = LEFT_OUT,
        deferrable: bool | str | None = None,
        poll_interval: float | str | dt.timedelta = 30,
        job_timeout: float | str | dt.timedelta = 21_600,
        **kwargs: Any,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in OTHERS}
        super().__init__(conn_id=conn_id, optouts=optouts, **kwargs)
        if isinstance(guards, Mapping):  # a guard whose own template renders to None is then refused, and not off
            given["guards"] = {
                name: {"limit": value} if isinstance(value, str) else value for name, value in guards.items()
            }
        self.keep(given)

    def errand(self, context: Any) -> Errand:
        """The task's arguments after templates. A catch-up's older day ends here, when only the newest is wanted."""
        from airflow_provider_segexport.hooks import options  # noqa: PLC0415
        from airflow_provider_segexport.hooks.callers import of_task  # noqa: PLC0415

        told = options.values(options.EXPORT, self.given(options.EXPORT))
        self.settle_waiting(told)
        return options.errand(told, of_task(context))

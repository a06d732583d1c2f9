"""The operator that exports a segment to an audience."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_segexport.operators.as_of import as_of
from airflow_provider_segexport.operators.audience_task import AudienceTask

if TYPE_CHECKING:
    from airflow.sdk import Asset

    from airflow_provider_segexport.export import Mode, Older
    from airflow_provider_segexport.hooks.errand import Errand

CatchUp = Literal["all", "newest"]


class SegmentExportOperator(AudienceTask):
    """Exports a segment of profiles to an audience at an email-marketing vendor.

    The vendor follows from the connection's type. Nothing is sent before everything that can be checked is checked:
    files, columns, credentials, audience, custom fields, consent on the connection, guards. A retry goes on where the
    last try stopped. Returns a summary with counts and the place of the report, never rows.

    Args:
        conn_id: Airflow connection of type `campaign_monitor`, `constant_contact`, `dotdigital` or `omnisend`.
        segment: Parquet with one row a profile: a path, a folder, a glob, or a list of them (several segments are
            united, and the first row of a duplicate wins); local, or anything that ObjectStoragePath opens.
        matching: data matching: column by field. `email` is required; then `first_name`, `last_name`, `full_name`,
            `gender`, `postcode`, `address`, `city`, `state`, `country`, `phone`, `birthdate`.
        audience: the vendor's id of the address book, list or tag; the connection's default audience where none is
            given.
        custom_fields: column by the vendor's name of the custom field.
        create_fields: make custom fields that the audience lacks, instead of stopping.
        mode: `changes` sends profiles that are new or changed since the last export; `full` sends all; `mirror` does
            as `changes`, and takes out of the audience whom this export put there and who has left the segment.
        as_of: the time that the segment describes; by default partition date, data interval end, logical date or run
            time, the first that there is.
        older: when the audience has been brought to a newer state than `as_of` already, as in a backfill: `skip` the
            task, `fail` it, or `verify`: report how the audience differs. Nothing is sent in any case.
        catch_up: `newest` skips a run when a newer one of its DAG is due or has been: of many missed days only the
            last goes out. `all` exports each, oldest first.
        export_name: the name of the export, which owns its audience; by default `<dag id>.<task id>`.
        shared: the audience is shared with other exports that say so too.
        consent_column: a column that says yes; whoever it does not say yes for is withheld.
        suppression: Parquet with one email a row, plain or SHA-256: a path or several. They are withheld.
        guards: limits by name: a number, `{"limit": 0.3, "then": "warn"}`, or None to switch one off. What is not
            named holds as by default: `empty`, `shrinks`, `grows`, `removals_share`, `bad_emails_share`,
            `duplicates_share`, `headroom`, `rejects_share`; `removals` (a number) only where it is named.
        dry_run: plan and report, send nothing.
        expect: the `mark` of the plan that this task is to carry out, as a dry run's summary tells it; any other plan
            is refused, and nothing is sent.
        max_profiles: a larger segment is refused before anything is sent.
        reports: folder for run folders and reports; by default below `[segexport] root`.
        optouts: an asset that becomes an outlet; its event says where `optouts.parquet` is and how many are in it.
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
    )
    template_fields_renderers = {"matching": "json", "custom_fields": "json", "guards": "json"}  # noqa: RUF012 - as BaseOperator has it
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
        catch_up: CatchUp = "all",
        export_name: str | None = None,
        shared: bool = False,
        consent_column: str | None = None,
        suppression: str | Sequence[str] | None = None,
        guards: Mapping[str, Any] | str | None = None,
        dry_run: bool | str = False,
        expect: str | None = None,
        max_profiles: int | str = 1_000_000,
        reports: str | None = None,
        optouts: Asset | None = None,
        deferrable: bool | None = None,
        poll_interval: float = 30,
        **kwargs: Any,
    ) -> None:
        super().__init__(conn_id=conn_id, deferrable=deferrable, poll_interval=poll_interval, optouts=optouts, **kwargs)
        self.segment = segment
        self.matching = matching
        self.audience = audience
        self.custom_fields = custom_fields
        self.create_fields = create_fields
        self.mode = mode
        self.as_of = as_of
        self.older = older
        self.catch_up = catch_up
        self.export_name = export_name
        self.shared = shared
        self.consent_column = consent_column
        self.suppression = suppression
        self.guards = guards
        self.is_dry_run = dry_run  # BaseOperator has a method of the argument's name
        self.expect = expect
        self.max_profiles = max_profiles
        self.reports = reports

    def errand(self, context: Any) -> Errand:
        """The task's arguments after templates. A catch-up's older day ends here, when only the newest is wanted."""
        from airflow_provider_segexport.hooks import arguments  # noqa: PLC0415
        from airflow_provider_segexport.hooks.errand import Errand  # noqa: PLC0415
        from airflow_provider_segexport.hooks.state import state_root  # noqa: PLC0415

        if arguments.choice(self.catch_up, "catch_up", ("all", "newest")) == "newest":
            from airflow_provider_segexport.operators.newest import skip_unless_newest  # noqa: PLC0415

            skip_unless_newest(context)
        given = arguments.optional(self.as_of) if isinstance(self.as_of, str) else self.as_of
        return Errand(
            segment=arguments.segment(self.segment),
            audience=arguments.optional(self.audience),
            matching=arguments.mapping(self.matching, "matching"),
            custom_fields=arguments.mapping(self.custom_fields or {}, "custom_fields"),
            create_fields=self.create_fields,
            mode=arguments.choice(self.mode, "mode", ("changes", "full", "mirror")),
            older=arguments.choice(self.older, "older", ("skip", "fail", "verify")),
            as_of=as_of(context, given),
            max_profiles=arguments.number(self.max_profiles, "max_profiles"),
            export=arguments.optional(self.export_name) or self.name_of_export(context),
            shared=self.shared,
            consent=arguments.consent(self.consent_column, self.suppression),
            guards=arguments.guards(self.guards),
            dry_run=arguments.flag(self.is_dry_run, "dry_run"),
            expect=arguments.optional(self.expect) or "",
            optouts=self.optouts is not None,
            identity=self.identity(context),
            root=state_root(),
            reports=arguments.optional(self.reports),
        )

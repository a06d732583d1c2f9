"""`hook.export`: the same export as `SegmentExportOperator`, called from a `@task` or a program."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_segexport.hooks.left_out import LEFT_OUT, LeftOut

if TYPE_CHECKING:
    import pandas as pd
    from airflow.sdk import Asset

    from airflow_provider_segexport.export.config import Mode, OnStale
    from airflow_provider_segexport.hooks.argument_types import OptionalPaths, OptionalText
    from airflow_provider_segexport.hooks.session import VendorSession
    from airflow_provider_segexport.modes import Subscribe

NOT_ARGUMENTS = frozenset({"self", "dag_id"})
"""Locals of `export` that are not arguments of an export."""


class ArrowStream(Protocol):
    """Columns in memory with the Arrow C stream protocol: Polars, PyArrow, DuckDB, pandas and others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a capsule that holds the stream."""


class Exporting:
    """The part of a hook that exports segments."""

    def export(  # noqa: D417, PLR0913 - the operator describes them
        self: VendorSession,
        segment: str | os.PathLike[str] | Asset | Sequence[str | os.PathLike[str] | Asset] | pd.DataFrame | ArrowStream,
        field_mapping: Mapping[str, str] | str,
        *,
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
        poll_interval: float | str | dt.timedelta = 30,
        job_timeout: float | str | dt.timedelta = 21_600,
        dag_id: str | None = None,
    ) -> dict[str, Any]:
        """Export a segment with the arguments of `SegmentExportOperator`, wait for its jobs, and return the report.

        Args:
            segment: paths, or a frame: pandas, or anything with the Arrow C stream protocol (Polars, PyArrow, DuckDB).
            dag_id: the DAG of the running task. Any other value is refused. It gives no access to the connection.

        Raises:
            AirflowSkipException: there is nothing to do, because exports are disabled or the ledger is newer.
            AirflowFailException: a person must act.
            AirflowException: a retry may succeed, and resumes. Each is also one of the package's own exceptions.
        """
        given = {name: value for name, value in locals().items() if name not in NOT_ARGUMENTS}
        return _run(self, given, dag_id)


def _run(session: VendorSession, given: dict[str, Any], dag_id: str | None) -> dict[str, Any]:
    """Check and run an export; `given` has the arguments of `hook.export` by name."""
    from airflow_provider_segexport.hooks import options  # noqa: PLC0415 - imports the core
    from airflow_provider_segexport.hooks.attempts import audience_text, begin, recorded  # noqa: PLC0415
    from airflow_provider_segexport.hooks.callers import hook_caller  # noqa: PLC0415
    from airflow_provider_segexport.hooks.claims import claimed  # noqa: PLC0415
    from airflow_provider_segexport.hooks.failures import translated_errors  # noqa: PLC0415
    from airflow_provider_segexport.hooks.frames import as_file  # noqa: PLC0415
    from airflow_provider_segexport.hooks.permission import check_same_dag  # noqa: PLC0415
    from airflow_provider_segexport.hooks.run_folders import with_segment_part  # noqa: PLC0415
    from airflow_provider_segexport.hooks.runner import run_to_end  # noqa: PLC0415

    with translated_errors(), claimed(own := hook_caller(session.conn_id)) as caller:
        audience = "" if given["audience"] is LEFT_OUT else audience_text(given["audience"])
        attempt = begin(session.conn_id, audience, caller.identity, dry_run=given["dry_run"])
        with recorded(attempt), as_file(given) as (given_file, content):
            attempt.configured(session, audience)
            session.settings.check_dag_allowed(check_same_dag(dag_id))
            values = options.values(options.EXPORT, given_file)
            request = with_segment_part(options.build_request(values, caller, content), own.segment_index)
            report = run_to_end(session, request, poll_interval_s=values["poll_interval"], attempt=attempt)
            attempt.ended(report)
    return report

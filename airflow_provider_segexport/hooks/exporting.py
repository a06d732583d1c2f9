"""`hook.export`: what `SegmentExportOperator` does, from a task or a program of one's own."""

from __future__ import annotations

import datetime as dt
import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from airflow.sdk.exceptions import AirflowException

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.hooks.left_out import LEFT_OUT, LeftOut

if TYPE_CHECKING:
    import pandas as pd
    from airflow.sdk import Asset

    from airflow_provider_segexport.export.config import Mode, OnStale
    from airflow_provider_segexport.hooks.base import SegmentExportHook

log = logging.getLogger(__name__)

OTHERS = frozenset({"self", "dag_id"})
"""What stands among the locals of `export` and is none of an export's arguments."""


class ArrowStream(Protocol):
    """Columns in memory that speak the Arrow C stream protocol: Polars, PyArrow, DuckDB, pandas and others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """A capsule that holds the stream."""


class Exporting:
    """The part of a hook that exports."""

    def export(  # noqa: D417, PLR0913 - the operator describes them
        self,
        segment: str | os.PathLike[str] | Asset | Sequence[str | os.PathLike[str] | Asset] | pd.DataFrame | ArrowStream,
        field_mapping: Mapping[str, str] | str,
        *,
        audience: str | int | LeftOut = LEFT_OUT,
        custom_fields: Mapping[str, str] | str | None = None,
        create_custom_fields: bool | str = False,
        mode: Mode = "upsert",
        as_of: dt.datetime | dt.date | str | float | LeftOut = LEFT_OUT,
        on_stale: OnStale = "skip",
        latest_only: bool | str = False,
        export_name: str | LeftOut = LEFT_OUT,
        allow_shared_audience: bool | str = False,
        adopt_existing: bool | str = False,
        consent_column: str | LeftOut = LEFT_OUT,
        suppression_list: str
        | os.PathLike[str]
        | Asset
        | Sequence[str | os.PathLike[str] | Asset]
        | LeftOut = LEFT_OUT,
        partition_columns: bool | str = False,
        guards: Mapping[str, Any] | str | LeftOut = LEFT_OUT,
        dry_run: bool | str = False,
        expected_plan: str | LeftOut = LEFT_OUT,
        max_profiles: int | str = 1_000_000,
        reports_path: str | os.PathLike[str] | None = None,
        fetch_optouts: bool | str = False,
        poll_interval: float | str | dt.timedelta = 30,
        job_timeout: float | str | dt.timedelta = 21_600,
        dag_id: str | None = None,
    ) -> dict[str, Any]:
        """Export a segment from here, waiting for the vendor's jobs; returns the report.

        Arguments, defaults, checks and endings are those of `SegmentExportOperator`, but for these:

        Args:
            segment: a frame, too: pandas, or anything with the Arrow C stream protocol (Polars, PyArrow, DuckDB).
            dag_id: the DAG of the running task, if it is given; another one is refused. It opens no connection: what
                counts is the DAG of the running task, and outside a task 'Allowed DAGs' must be `*`.

        Raises:
            AirflowSkipException: nothing to do: switched off, or older than the ledger.
            AirflowFailException: a person must act. Both are of the package's own classes, too, as `FatalError`.
            AirflowException: another try may succeed, and goes on where this one stopped.
        """
        given = {name: value for name, value in locals().items() if name not in OTHERS}
        return _run(cast("SegmentExportHook", self), given, dag_id)


def _run(hook: SegmentExportHook, given: dict[str, Any], dag_id: str | None) -> dict[str, Any]:
    from airflow_provider_segexport.hooks import options  # noqa: PLC0415 - the core, when something is exported
    from airflow_provider_segexport.hooks.callers import of_call  # noqa: PLC0415
    from airflow_provider_segexport.hooks.failures import airflow_exception, unexpected  # noqa: PLC0415
    from airflow_provider_segexport.hooks.frames import as_file  # noqa: PLC0415
    from airflow_provider_segexport.hooks.permission import same_dag  # noqa: PLC0415
    from airflow_provider_segexport.hooks.runner import JobPollPolicy, run_export  # noqa: PLC0415

    try:
        caller = of_call(hook.conn_id)
        hook.settings.check_dag_allowed(same_dag(dag_id))
        with as_file(given) as (given_file, content):
            told = options.values(options.EXPORT, given_file)
            request = options.export_request(told, caller, content)
            report = run_export(hook, request, JobPollPolicy(told["poll_interval"], sleep=hook.interruptible_sleep))
    except SegexportError as error:
        raise airflow_exception(error) from None
    except AirflowException:
        raise
    except Exception as error:  # noqa: BLE001 - a foreign exception may quote a row: its text is masked
        raise unexpected(error) from None
    if not isinstance(report, dict):
        raise AirflowException("The export waits for jobs, and a hook has no place to wait but here.")
    return report

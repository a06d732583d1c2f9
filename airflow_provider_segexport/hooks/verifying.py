"""`hook.verify`: the same verification as `SegmentExportVerifyOperator`, called from a `@task` or a program."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.hooks.left_out import LEFT_OUT, LeftOut

if TYPE_CHECKING:
    from airflow.sdk import Asset

    from airflow_provider_segexport.hooks.session import VendorSession

NOT_ARGUMENTS = frozenset({"self", "dag_id"})
"""Locals of `verify` that are not arguments of a verification."""


class Verifying:
    """The part of a hook that verifies audiences."""

    def verify(  # noqa: PLR0913 - the options of a verification
        self: VendorSession,
        *,
        audience: str | int | LeftOut = LEFT_OUT,
        segment: str | os.PathLike[str] | Asset | Sequence[str | os.PathLike[str] | Asset] | None = None,
        field_mapping: Mapping[str, str] | str | None = None,
        custom_fields: Mapping[str, str] | str | None = None,
        default_region: str | None = None,
        date_formats: Mapping[str, str] | str | None = None,
        partition_columns: bool | str = False,
        repair: bool | str = False,
        sample: int | str | None = None,
        sample_values: int | str = 1000,
        reports_path: str | os.PathLike[str] | None = None,
        dag_id: str | None = None,
    ) -> dict[str, Any]:
        """Compare an audience with its ledger and a segment, and return the report.

        Arguments, defaults, checks and exceptions are those of `SegmentExportVerifyOperator`.

        Args:
            audience: the vendor's id, or `name:` and the exact name; by default that of the connection.
            segment: the segment that the audience should hold; None compares with the ledger alone.
            field_mapping: column by vendor-neutral field, as the export has it.
            custom_fields: column by the vendor's name of the custom field, as the export has it.
            default_region: the country of phone numbers in national form, as the export has it.
            date_formats: format by text column with dates, as the export has it.
            partition_columns: read a column that a file lacks from the `key=value` folders above it.
            repair: let the next run of the export send people again who are missing and have not opted out.
            sample: number of people to read instead of the whole audience, if that takes fewer calls; None for all.
            sample_values: greatest number of people whose values are compared; 0 compares no values.
            reports_path: folder for run folders; None for the default.
            dag_id: the DAG of the running task, as for `export`.

        Raises:
            AirflowSkipException: exports are disabled.
            AirflowFailException: a person must act.
            AirflowException: a retry may succeed, and continues. Each is also one of the package's own exceptions.
        """
        given = {name: value for name, value in locals().items() if name not in NOT_ARGUMENTS}
        return _run(self, given, dag_id)


def _run(session: VendorSession, given: dict[str, Any], dag_id: str | None) -> dict[str, Any]:
    """Check and run a verification; `given` has the arguments of `hook.verify` by name."""
    from airflow_provider_segexport.hooks import options  # noqa: PLC0415 - imports the core
    from airflow_provider_segexport.hooks.callers import hook_caller  # noqa: PLC0415
    from airflow_provider_segexport.hooks.claims import claimed  # noqa: PLC0415
    from airflow_provider_segexport.hooks.failures import translated_errors  # noqa: PLC0415
    from airflow_provider_segexport.hooks.paths import state_path  # noqa: PLC0415
    from airflow_provider_segexport.hooks.permission import check_same_dag  # noqa: PLC0415
    from airflow_provider_segexport.hooks.run_folders import ExportRequest  # noqa: PLC0415
    from airflow_provider_segexport.hooks.runner import run_to_end  # noqa: PLC0415

    with translated_errors(), claimed(hook_caller(session.conn_id)) as caller:
        session.settings.check_dag_allowed(check_same_dag(dag_id))
        values = options.values(options.VERIFY, given)
        as_of = caller.run_time() if caller.context else datetime.fromtimestamp(session.clock(), UTC)
        config = options.verify_config(values, as_of=as_of, run=caller.run)
        request = ExportRequest(config, caller.identity, state_path(), values["reports_path"], caller.attempt)
        return run_to_end(session, request)

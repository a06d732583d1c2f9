"""The operator that takes an export's last run back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.hooks.left_out import LEFT_OUT, LeftOut
from airflow_provider_segexport.operators.base import BaseAudienceOperator

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.run_folders import ExportRequest


class SegmentExportUndoOperator(BaseAudienceOperator):
    """Takes a version of an audience's ledger back, as far as the vendor allows.

    Whom that version put into the audience is taken out again, and whom it took out is put back. A profile that it only
    changed stays as it is: no vendor tells what it held before. Nobody is brought back who has opted out meanwhile.

    Args:
        conn_id: the Airflow connection.
        audience: the vendor's id of the audience; the connection's default audience where none is given.
        ledger_version: the version to take back, as an export's summary gives it (`ledger_version`); no later
            version may have changed the same people. By default the newest that put people in or took people out.
        export_name: take back only what this export did; a version that another export wrote is refused. By default
            the version of any export.
        dry_run: tell what would be taken back, send nothing.
        reports_path: folder for run folders and reports; by default below `[segexport] state_path`.
        deferrable: wait in the triggerer; by default `[operators] default_deferrable`.
        poll_interval: seconds between two looks at import jobs.
        job_timeout: how long a job may run at the vendor before the task fails, as for `SegmentExportOperator`.
    """

    template_fields: Sequence[str] = (
        "conn_id",
        "audience",
        "ledger_version",
        "export_name",
        "is_dry_run",
        "reports_path",
        "fetch_optouts",
        "deferrable",
        "poll_interval",
        "job_timeout",
    )
    ui_color = "#f2e3d7"

    def __init__(  # noqa: PLR0913 - what a person may say of it
        self,
        *,
        conn_id: str,
        audience: str | int | LeftOut = LEFT_OUT,
        ledger_version: int | str | LeftOut = LEFT_OUT,
        export_name: str | LeftOut = LEFT_OUT,
        dry_run: bool | str = False,
        reports_path: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(conn_id=conn_id, **kwargs)
        self.keep(
            {
                "audience": audience,
                "ledger_version": ledger_version,
                "export_name": export_name,
                "dry_run": dry_run,
                "reports_path": reports_path,
            }
        )

    def errand(self, context: Any) -> ExportRequest:
        """The task's arguments after templates."""
        from airflow_provider_segexport.hooks import options  # noqa: PLC0415
        from airflow_provider_segexport.hooks.callers import of_task  # noqa: PLC0415
        from airflow_provider_segexport.hooks.paths import state_path  # noqa: PLC0415
        from airflow_provider_segexport.hooks.run_folders import ExportRequest  # noqa: PLC0415

        told = options.values(options.UNDO, self.given(options.UNDO))
        self.settle_waiting(told)
        caller = of_task(context)
        order = options.undo_config(told, as_of=caller.run_time(), run=caller.run)
        return ExportRequest(order, caller.identity, state_path(), told["reports_path"], caller.attempt)

"""The operator that reverts a run of an audience."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.hooks.left_out import LEFT_OUT, LeftOut
from airflow_provider_segexport.operators import task_docs
from airflow_provider_segexport.operators.base import BaseAudienceOperator

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.run_folders import ExportRequest


class SegmentExportUndoOperator(BaseAudienceOperator):
    """Reverts a version of an audience's ledger, as far as the vendor allows.

    People that this version added to the audience are removed, and people that it removed are added again. Profiles
    that it only changed keep their values, because vendors do not report earlier values. A person who has opted out
    since then is not added again.

    Args:
        conn_id: the Airflow connection.
        audience: the vendor's id of the audience, or its exact name as `name:Newsletter`; the default is the
            connection's default audience.
        ledger_version: the version to revert, from an export's summary (`ledger_version`). No later version may have
            changed the same people. The default is the newest version that added or removed people.
        export_name: revert only a version that this export wrote; a version of another export is refused. The default
            allows any export.
        dry_run: report what would be reverted; send nothing.
        reports_path: folder for run folders and reports; the default is below `[segexport] state_path`.
        deferrable: wait in the triggerer; the default is `[operators] default_deferrable`.
        poll_interval: seconds between two polls of the import jobs.
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
    describe = staticmethod(task_docs.undo_doc)

    def __init__(  # noqa: PLR0913 - the options of an undo
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
        self.set_arguments(
            {
                "audience": audience,
                "ledger_version": ledger_version,
                "export_name": export_name,
                "dry_run": dry_run,
                "reports_path": reports_path,
            }
        )

    def build_request(self, context: Any) -> ExportRequest:
        """Return the request of the run, from the arguments after templates were rendered."""
        from airflow_provider_segexport.hooks import options  # noqa: PLC0415
        from airflow_provider_segexport.hooks.callers import task_caller  # noqa: PLC0415
        from airflow_provider_segexport.hooks.paths import state_path  # noqa: PLC0415
        from airflow_provider_segexport.hooks.run_folders import ExportRequest  # noqa: PLC0415

        values = options.values(options.UNDO, self.rendered_arguments(options.UNDO))
        self.set_waiting(values)
        caller = task_caller(context)
        config = options.undo_config(values, as_of=caller.run_time(), run=caller.run)
        return ExportRequest(config, caller.identity, state_path(), values["reports_path"], caller.attempt)

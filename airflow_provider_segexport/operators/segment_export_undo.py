"""The operator that takes an export's last run back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.operators.as_of import run_time
from airflow_provider_segexport.operators.audience_task import AudienceTask

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.errand import Errand


class SegmentExportUndoOperator(AudienceTask):
    """Takes the last version of an audience's ledger back, as far as the vendor allows.

    Whom that version put into the audience is taken out again, and whom it took out is put back. A profile that it only
    changed stays as it is: no vendor tells what it held before. Nobody is brought back who has opted out meanwhile.

    Args:
        conn_id: the Airflow connection.
        audience: the vendor's id of the audience; the connection's default audience where none is given.
        version: the version of the ledger to take back, as an export's summary tells it (`ledger_version`); it must be
            the newest still. By default the newest, whichever it is.
        export_name: the name of the export that owns the audience; by default whichever does.
        dry_run: tell what would be taken back, send nothing.
        reports: folder for run folders and reports; by default below `[segexport] root`.
        deferrable: wait in the triggerer; by default `[operators] default_deferrable`.
        poll_interval: seconds between two looks at import jobs.
    """

    template_fields: Sequence[str] = ("conn_id", "audience", "version", "export_name", "is_dry_run", "reports")
    ui_color = "#f2e3d7"

    def __init__(  # noqa: PLR0913 - what a person may say of it
        self,
        *,
        conn_id: str,
        audience: str | None = None,
        version: int | str | None = None,
        export_name: str | None = None,
        dry_run: bool | str = False,
        reports: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(conn_id=conn_id, **kwargs)
        self.audience = audience
        self.version = version
        self.export_name = export_name
        self.is_dry_run = dry_run  # BaseOperator has a method of the argument's name
        self.reports = reports

    def errand(self, context: Any) -> Errand:
        """The task's arguments after templates."""
        from airflow_provider_segexport.export.order import Undo  # noqa: PLC0415
        from airflow_provider_segexport.hooks import arguments  # noqa: PLC0415
        from airflow_provider_segexport.hooks.errand import Errand  # noqa: PLC0415
        from airflow_provider_segexport.hooks.state import state_root  # noqa: PLC0415

        version = arguments.optional(self.version)
        return Errand(
            segment="",
            matching={},
            as_of=run_time(context),  # the same in every try, so that a try goes on where the last one stopped
            audience=arguments.optional(self.audience),
            export=arguments.optional(self.export_name) or "",
            dry_run=arguments.flag(self.is_dry_run, "dry_run"),
            undo=Undo(None if version is None else arguments.number(version, "version")),
            identity=self.identity(context),
            root=state_root(),
            reports=arguments.optional(self.reports),
        )

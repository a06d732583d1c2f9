"""The operator that compares an audience with its ledger."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.hooks import verify_messages
from airflow_provider_segexport.hooks.left_out import LEFT_OUT, LeftOut
from airflow_provider_segexport.operators import task_docs
from airflow_provider_segexport.operators.base import BaseAudienceOperator

if TYPE_CHECKING:
    from airflow.sdk import Asset

    from airflow_provider_segexport.hooks.attempts import AttemptRecord
    from airflow_provider_segexport.hooks.run_folders import ExportRequest

NOT_ARGUMENTS = frozenset({"self", "kwargs", "conn_id", "deferrable", "__class__"})
"""Locals of `__init__` that are not arguments of a verification."""


class SegmentExportVerifyOperator(BaseAudienceOperator):
    """Compares an audience with its ledger and a segment, and reports the drift. Changes nothing at the vendor.

    The task reads the audience back in pages, within the account's quota. While it waits for the quota or for a run
    that writes the audience, it releases its worker slot. A retry continues where the last try stopped. Returns counts,
    match rate and paths, never rows.

    Args:
        conn_id: Airflow connection of one of the provider's types, such as `dotdigital` or `omnisend`.
        audience: the vendor's id of the audience, or its exact name as `name:Newsletter`; the default is the
            connection's default audience.
        segment: the segment that the audience should hold, as for `SegmentExportOperator`. None compares with the
            ledger alone.
        field_mapping: column by vendor-neutral field, as the export has it; the default maps `email` to `email`.
        custom_fields: column by the vendor's name of the custom field, as the export has it.
        default_region: the country of phone numbers in national form, as the export has it.
        date_formats: format by text column with dates, as the export has it.
        partition_columns: read a mapped column that a file lacks from the `key=value` folders above it, as text.
        repair: mark people who are missing and have not opted out, so that the next run of the export sends them again.
        sample: number of people of the ledger, chosen at random, to read instead of the whole audience, if that takes
            fewer calls. The report then has a confidence interval of the match rate.
        sample_values: greatest number of people whose values are compared, if `segment` is given. Each takes a call.
        reports_path: folder for run folders and reports; the default is below `[segexport] state_path`.
        deferrable: wait in the triggerer; the default is `[operators] default_deferrable`.
    """

    template_fields: Sequence[str] = (
        "conn_id",
        "audience",
        "segment",
        "field_mapping",
        "custom_fields",
        "default_region",
        "date_formats",
        "partition_columns",
        "repair",
        "sample",
        "sample_values",
        "reports_path",
        "deferrable",
    )
    template_fields_renderers = {"field_mapping": "json", "custom_fields": "json"}  # noqa: RUF012 - as BaseOperator has it
    ui_color = "#dcefdc"
    describe = staticmethod(task_docs.verify_doc)

    def __init__(  # noqa: PLR0913 - the options of a verification
        self,
        *,
        conn_id: str,
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
        deferrable: bool | str | None = None,
        **kwargs: Any,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in NOT_ARGUMENTS}
        super().__init__(conn_id=conn_id, deferrable=deferrable, **kwargs)
        self.set_arguments(given)

    def build_request(self, context: Any) -> ExportRequest:
        """Return the request of the run, from the arguments after templates were rendered."""
        from airflow_provider_segexport.hooks import options  # noqa: PLC0415
        from airflow_provider_segexport.hooks.callers import task_caller  # noqa: PLC0415
        from airflow_provider_segexport.hooks.paths import state_path  # noqa: PLC0415
        from airflow_provider_segexport.hooks.run_folders import ExportRequest  # noqa: PLC0415

        values = options.values(options.VERIFY, self.rendered_arguments(options.VERIFY))
        self.set_waiting({**values, "poll_interval": options.POLL_INTERVAL.default})
        caller = task_caller(context)
        config = options.verify_config(values, as_of=caller.run_time(), run=caller.run)
        return ExportRequest(config, caller.identity, state_path(), values["reports_path"], caller.attempt)

    def _attempt(self, context: Any) -> AttemptRecord:
        """Return a record that is not written, because a verification that fails says nothing about the exports."""
        from airflow_provider_segexport.hooks.attempts import AttemptRecord  # noqa: PLC0415
        from airflow_provider_segexport.hooks.callers import task_caller  # noqa: PLC0415
        from airflow_provider_segexport.storage.attempts import Attempt  # noqa: PLC0415

        return AttemptRecord(Attempt(task_caller(context).run, conn_id=str(self.conn_id)))

    def _summary(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Log the report, and return the summary that Airflow stores as XCom: counts, match rate and paths."""
        self.log.info("%s", verify_messages.body(report))
        if report["open_run"]:
            self.log.warning(
                "Leaving the ledger unchanged, because a run of the audience has not ended (run=%s)", report["open_run"]
            )
        return verify_messages.summary(report)

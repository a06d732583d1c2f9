"""Exports to one dotdigital address book: one waits in the triggerer, and two compete for the audience."""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_segexport.operators.segment_export import SegmentExportOperator

EXPORTS = {"export_deferred": (0, True), "export_first": (1, False), "export_second": (1, False)}

for name, (number, deferrable) in EXPORTS.items():
    with DAG(name, schedule=None, is_paused_upon_creation=False):
        SegmentExportOperator(
            task_id="export",
            conn_id="dotdigital_default",
            audience=f"{{{{ var.value.dotdigital_{number} }}}}",
            segment=f"{os.environ['LIVE_DATA']}/{name}.parquet",
            field_mapping={"email": "email", "first_name": "first_name"},
            as_of="2026-03-01",  # neither is older than the other
            export_name="deferred" if deferrable else "racing",
            deferrable=deferrable,
            poll_interval=5,
            retries=2,
            retry_delay=timedelta(seconds=1),
        )

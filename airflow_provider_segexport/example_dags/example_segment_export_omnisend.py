"""Exports one segment for each loyalty tier to an Omnisend tag of its own, with a mapped task."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, task

from airflow_provider_segexport.operators.segment_export import SegmentExportOperator


@task
def write_segment(tier: str) -> str:
    """Write the segment of a tier; replace this with the task that queries your warehouse."""
    import tempfile  # noqa: PLC0415 - Airflow parses this file over and over
    from pathlib import Path  # noqa: PLC0415

    import pandas as pd  # noqa: PLC0415

    rows = {
        "email": [f"ada.{tier}@example.com", f"bo.{tier}@example.com"],
        "first_name": ["Ada", "Bo"],
        "country": ["DE", "FR"],
    }
    path = Path(tempfile.mkdtemp(prefix="segexport-example-")) / f"{tier}.parquet"
    pd.DataFrame(rows).to_parquet(path, index=False)
    return str(path)


with DAG(
    "example_segment_export_omnisend",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    tags=["example", "segexport"],
):
    SegmentExportOperator.partial(
        task_id="export",
        conn_id="omnisend_default",
        field_mapping={"email": "email", "first_name": "first_name", "country": "country"},
        retries=3,
    ).expand_kwargs(
        write_segment.expand(tier=["gold", "silver"]).map(
            lambda path: {"segment": path, "audience": f"tier-{path.rpartition('/')[2].removesuffix('.parquet')}"}
        )
    )

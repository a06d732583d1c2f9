"""Exports people with consent to a dotdigital address book, and waits for the import without a worker."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, task

from airflow_provider_segexport.operators.segment_export import SegmentExportOperator


@task
def write_segment() -> str:
    """Write a segment; replace this with the task that queries your warehouse."""
    import tempfile  # noqa: PLC0415 - Airflow parses this file over and over
    from pathlib import Path  # noqa: PLC0415

    import pandas as pd  # noqa: PLC0415

    rows = {
        "email": ["ada@example.com", "bo@example.com", "cy@example.com"],
        "first_name": ["Ada", "Bo", "Cy"],
        "last_name": ["Arden", "Birch", "Cole"],
        "newsletter_consent": ["yes", "no", "yes"],
    }
    path = Path(tempfile.mkdtemp(prefix="segexport-example-")) / "consenting.parquet"
    pd.DataFrame(rows).to_parquet(path, index=False)
    return str(path)


with DAG(
    "example_segment_export_dotdigital",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    tags=["example", "segexport"],
):
    SegmentExportOperator(
        task_id="export",
        conn_id="dotdigital_default",
        segment=write_segment(),
        field_mapping={"email": "email", "first_name": "first_name", "last_name": "last_name"},
        consent_column="newsletter_consent",  # rows without a yes are withheld
        deferrable=True,
        retries=3,
    )

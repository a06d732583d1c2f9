"""Exports of the cluster tests: one mapped task a pair of segment and vendor, from the run's configuration."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag, get_current_context, task

from airflow_provider_segexport.operators.segment_export import SegmentExportOperator


@task
def orders() -> list[dict[str, str]]:
    """The pairs, as the run's configuration lists them: connection, audience, segment."""
    return get_current_context()["dag_run"].conf["orders"]


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), is_paused_upon_creation=False)
def cluster_exports() -> None:
    SegmentExportOperator.partial(
        task_id="export",
        field_mapping={"email": "email", "first_name": "first_name"},
        retries=5,
        retry_delay=timedelta(seconds=1),
        poll_interval=5,
    ).expand_kwargs(orders())


cluster_exports()

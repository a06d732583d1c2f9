"""Mapping options of `airflow segexport plan`, and the operator call that it prints."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG

CANARY = "canaryplanted"


def code_of(text: str) -> str:
    """The operator call at the end of the output."""
    return text[text.index("from airflow_provider_segexport") :]


def operator_of(code: str):
    """Return the DAG and the task that the printed code creates."""
    with DAG("pasted", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        exec(compile(code, "pasted.py", "exec"), {})
    return dag, dag.get_task("export")

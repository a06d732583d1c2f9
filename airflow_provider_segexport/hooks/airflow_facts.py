"""Reads the state of DAGs, tasks and connections through the API that Airflow offers to a running task."""

from __future__ import annotations

from airflow.sdk import BaseHook

from airflow_provider_segexport.hooks.connection import enabled
from airflow_provider_segexport.hooks.task_state import LOOKUP_ERRORS, is_task_running


def is_dag_paused(dag_id: str) -> bool:
    """Return whether a DAG is paused; False if Airflow does not say."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance  # noqa: PLC0415 - in tasks only

    try:
        return bool(RuntimeTaskInstance.get_dag(dag_id).is_paused)
    except LOOKUP_ERRORS:
        return False


def exports_disabled(conn_id: str) -> bool:
    """Return whether exports through a connection are disabled; False if the connection cannot be read."""
    if not conn_id:
        return False
    try:
        return not enabled(BaseHook.get_connection(conn_id).extra)
    except Exception:  # noqa: BLE001 - a secrets backend may raise anything
        return False


def task_state(owner: str) -> str:
    """Return `running` or `failed` for a task instance whose attempt has no recorded end; empty if unknown.

    Args:
        owner: `dag/task/run/map index`.
    """
    running = is_task_running(owner)
    if running is None:
        return ""
    return "running" if running else "failed"

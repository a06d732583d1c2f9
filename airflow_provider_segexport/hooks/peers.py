"""Whether another task is still at it: `dag/task/run/map index -> yes, no, nobody here knows`."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError
from airflow.sdk.execution_time import task_runner

ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""A task instance in one of these does nothing more by itself; in any other it runs, or Airflow will run it."""

PARTS = 4


def alive(owner: str) -> bool | None:
    """Ask Airflow for the state of the task instance that is named so.

    None where it cannot be known: the name is no task's, no task asks here, or this Airflow has no such task instance,
    as where two of them share a state root.
    """
    parts = owner.split("/")
    if len(parts) < PARTS:
        return None
    dag_id, task_id, index = parts[0], parts[1], parts[-1].partition(".")[0]  # `0.2`: a task's second `hook.export`
    run_id = "/".join(parts[2:-1])
    try:
        states = task_runner.RuntimeTaskInstance.get_task_states(dag_id=dag_id, task_ids=[task_id], run_ids=[run_id])
    except (AirflowException, AirflowRuntimeError, ImportError, AttributeError, NameError):
        return None
    of_run = (states or {}).get(run_id, {})
    for name in (f"{task_id}_{index}", task_id):
        if name in of_run:
            return str(of_run[name]) not in ENDED
    return None

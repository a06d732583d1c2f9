"""Whether another task is still at it: `dag/task/run/map index -> yes, no, nobody here knows`."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError
from airflow.sdk.execution_time import task_runner

from airflow_provider_segexport.hooks.oauth_store import Variables, asks_airflow

ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""A task instance in one of these does nothing more by itself; in any other it runs, or Airflow will run it."""

ENDED_RUN = frozenset({"success", "failed"})
DEFERRED = "deferred"

UNANSWERED = (AirflowException, AirflowRuntimeError, ImportError, AttributeError, NameError)
"""What asking Airflow raises where it does not answer, or no task asks."""

PARTS = 4

DEPLOYMENT = "segexport_deployment"
"""The Variable that names this Airflow: two of them may share a state root, and run DAGs of the same name."""


def is_task_running(owner: str) -> bool | None:
    """Ask Airflow for the state of the task instance that is named so.

    None where it cannot be known: the name is no task's, no task asks here, or this Airflow has no such task instance,
    as where two of them share a state root.
    """
    task = _task(owner)
    states = _states(task) if task else None
    if task is None or not states:
        return None
    state = next((str(states[name]) for name in task.names if name in states), None)
    if state is None:
        return None
    if state in ENDED:
        return False
    return state != DEFERRED or not _run_has_ended(task)


def is_holder_gone(owner: str, airflow: str) -> bool:
    """Return whether a task instance was deleted, with its DAG run or alone.

    Args:
        owner: `dag/task/run/map index`.
        airflow: the mark of the Airflow that ran it. Another Airflow that shares the state root answers for its own.
    """
    task = _task(owner)
    if task is None or not airflow or airflow != airflow_id(make=False):
        return False
    states = _states(task)
    return states is not None and not any(name in states for name in task.names)


def airflow_id(*, make: bool = True) -> str:
    """Return the mark of this Airflow, kept in a Variable; empty outside a task, or where there is none.

    Args:
        make: store a new mark where there is none.
    """
    if not asks_airflow():
        return ""
    variables = Variables()
    try:
        mark = variables.get(DEPLOYMENT)
        if not mark and make:
            variables.set(DEPLOYMENT, uuid.uuid4().hex, "Made by segexport: names this Airflow to others.")
            mark = variables.get(DEPLOYMENT)
    except UNANSWERED:
        return ""
    return mark or ""


@dataclass(frozen=True, slots=True)
class _Task:
    """A task instance as an owner names it."""

    dag_id: str
    task_id: str
    run_id: str
    index: str

    @property
    def names(self) -> tuple[str, str]:
        """How Airflow calls it in the states of its run: with its index if it is mapped."""
        return f"{self.task_id}_{self.index}", self.task_id


def _task(owner: str) -> _Task | None:
    """Return the task instance of an owner; None where the name is no task's."""
    parts = owner.split("/")
    if len(parts) < PARTS:
        return None
    return _Task(
        parts[0], parts[1], "/".join(parts[2:-1]), parts[-1].partition(".")[0]
    )  # `0.2`: a task's second `hook.export`


def _states(task: _Task) -> dict[str, Any] | None:
    """Return the states of the task's instances in its run; none where Airflow has no such run, None if not told."""
    try:
        states = task_runner.RuntimeTaskInstance.get_task_states(
            dag_id=task.dag_id, task_ids=[task.task_id], run_ids=[task.run_id]
        )
    except UNANSWERED:
        return None
    of_run: dict[str, Any] = (states or {}).get(task.run_id, {})
    return of_run


def _run_has_ended(task: _Task) -> bool:
    """Return whether the DAG run has ended: Airflow does not resume a deferred task of it."""
    with contextlib.suppress(*UNANSWERED):
        state = task_runner.RuntimeTaskInstance.get_dagrun_state(dag_id=task.dag_id, run_id=task.run_id)
        return str(getattr(state, "value", state)) in ENDED_RUN
    return False

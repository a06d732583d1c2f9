"""Asks Airflow whether another task is running: `dag/task/run/map index -> True, False, or None if unknown`."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError
from airflow.sdk.execution_time import task_runner

from airflow_provider_segexport.errors import RetryableError
from airflow_provider_segexport.hooks.oauth_store import Variables, in_task_or_trigger

ENDED_STATES = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""States in which a task instance has ended; in any other it is running, or Airflow will run it."""

ENDED_RUN_STATES = frozenset({"success", "failed"})
DEFERRED = "deferred"

LOOKUP_ERRORS = (AirflowException, AirflowRuntimeError, RetryableError, ImportError, AttributeError, NameError)
"""Exceptions of a request to Airflow that fails or is made outside a task."""

OWNER_PARTS = 4
"""Parts of an owner's name, at least: DAG, task, run and map index; a run id may contain slashes."""

DEPLOYMENT_VARIABLE = "segexport_deployment"
"""Variable that identifies this Airflow deployment. Two deployments may share a state path and have DAGs of the same
name."""


def is_task_running(owner: str) -> bool | None:
    """Return whether a task instance is running or will be run by Airflow; None if that is unknown.

    It is unknown if the owner is no task, if this process runs no task, or if this Airflow has no such task instance,
    for example because two Airflow deployments share a state path.

    Args:
        owner: `dag/task/run/map index`.
    """
    task = _task(owner)
    states = _instance_states(task) if task else None
    if task is None or not states:
        return None
    state = next((str(states[name]) for name in task.names if name in states), None)
    if state is None:
        return None
    if state in ENDED_STATES:
        return False
    return state != DEFERRED or not _run_has_ended(task)


def is_holder_gone(owner: str, airflow: str) -> bool:
    """Return whether a task instance was deleted, with its DAG run or alone.

    Args:
        owner: `dag/task/run/map index`.
        airflow: id of the Airflow deployment that ran it. False is returned for a task of another deployment.
    """
    task = _task(owner)
    if task is None or not airflow or airflow != airflow_id(make=False):
        return False
    states = _instance_states(task)
    return states is not None and not any(name in states for name in task.names)


def airflow_id(*, make: bool = True) -> str:
    """Return the id of this Airflow deployment, which a Variable holds; empty outside a task, or if there is none.

    Args:
        make: create an id if there is none.
    """
    if not in_task_or_trigger():
        return ""
    variables = Variables()
    try:
        stored_id = variables.get(DEPLOYMENT_VARIABLE)
        if not stored_id and make:
            variables.set(DEPLOYMENT_VARIABLE, uuid.uuid4().hex, "Created by segexport: identifies this Airflow.")
            stored_id = variables.get(DEPLOYMENT_VARIABLE)
    except LOOKUP_ERRORS:
        return ""
    return stored_id or ""


@dataclass(frozen=True, slots=True)
class _Task:
    """A task instance, read from an owner's name."""

    dag_id: str
    task_id: str
    run_id: str
    index: str

    @property
    def names(self) -> tuple[str, str]:
        """The keys under which Airflow lists the task in the states of its run: with its index if it is mapped."""
        return f"{self.task_id}_{self.index}", self.task_id


def _task(owner: str) -> _Task | None:
    """Return the task instance of an owner; None if the owner is no task."""
    parts = owner.split("/")
    if len(parts) < OWNER_PARTS:
        return None
    index = parts[-1].partition(".")[0]  # the second `hook.export` of a task has the index `0.2`
    return _Task(parts[0], parts[1], "/".join(parts[2:-1]), index)


def _instance_states(task: _Task) -> dict[str, Any] | None:
    """Return the states of a task's instances in its run; empty if there is no such run, None if Airflow fails."""
    try:
        states = task_runner.RuntimeTaskInstance.get_task_states(
            dag_id=task.dag_id, task_ids=[task.task_id], run_ids=[task.run_id]
        )
    except LOOKUP_ERRORS:
        return None
    instances: dict[str, Any] = (states or {}).get(task.run_id, {})
    return instances


def _run_has_ended(task: _Task) -> bool:
    """Return whether the DAG run has ended; if so, Airflow does not resume its deferred tasks."""
    with contextlib.suppress(*LOOKUP_ERRORS):
        state = task_runner.RuntimeTaskInstance.get_dagrun_state(dag_id=task.dag_id, run_id=task.run_id)
        return str(getattr(state, "value", state)) in ENDED_RUN_STATES
    return False

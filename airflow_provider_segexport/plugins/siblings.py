"""Finds the failure that a success in the same DAG run does not end: `attempts, run that succeeded -> failed attempt`.

The instances of a mapped task, and several tasks of a DAG, may export to one audience.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow_provider_segexport.plugins.audiences import Attempt, RunIdentity
from airflow_provider_segexport.storage.attempts import Status

OVER = frozenset({"success", "skipped", "removed"})
"""States of a task instance whose failed attempt is over."""


def failed_sibling(
    attempts: Sequence[Attempt], succeeded: RunIdentity | None, states: Mapping[RunIdentity, str]
) -> Attempt | None:
    """Return the newest failed attempt of another task instance of the same DAG run; None if there is none.

    Args:
        attempts: the audience's attempts, oldest first.
        succeeded: the run that succeeded last; None if there is none.
        states: the state of each attempt's task instance, if Airflow still has it.
    """
    if succeeded is None or not succeeded.dag_id:
        return None
    for attempt in reversed(attempts):
        run = attempt.identity
        is_same_run = (run.dag_id, run.run_id) == (succeeded.dag_id, succeeded.run_id)
        is_same_instance = (run.task_id, run.map_index) == (succeeded.task_id, succeeded.map_index)
        is_failed = attempt.status is Status.FAILED and not attempt.dry_run and states.get(run) not in OVER
        if is_same_run and not is_same_instance and is_failed:
            return attempt
    return None

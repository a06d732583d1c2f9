"""Skips a run if its DAG has a newer one: `context -> AirflowSkipException with the reason, or nothing`.

There is a newer run if the next run of the DAG's timetable is due, or if another run of the DAG, for a later time, is
queued or running. If this is unknown, the run goes on, because the ledger never lets an older snapshot overwrite a
newer one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError, AirflowSkipException
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import DagRunResult, GetDagRun

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.hooks.partition_keys import key_time
from airflow_provider_segexport.hooks.task_state import ENDED_STATES

log = logging.getLogger(__name__)

UNFINISHED = frozenset({"queued", "running"})

AUTOMATIC_RUN_TYPES = frozenset({"scheduled", "backfill", "asset_triggered"})
"""Run types that are not started by hand. A person who starts a run wants that run."""


def skip_unless_latest(context: Mapping[str, Any]) -> None:
    """Skip the task if a newer run of its DAG is due, queued or running.

    Args:
        context: Airflow's context of the task; empty outside a task.

    Raises:
        AirflowSkipException: there is a newer run; the message names it.
        InvalidArgument: outside a task there is no run to compare.
    """
    if not context:
        raise InvalidArgument(
            "`latest_only` is set, but this process has no context of Airflow, so the DAG's newer runs are unknown. "
            "Nothing was sent. To fix: leave `latest_only` out, or export in an operator or a `@task`."
        )
    newer = newer_run(context)
    if newer:
        raise AirflowSkipException(
            f"{newer}. This run is skipped, because `latest_only` is set; the newer run exports everything."
        )


def newer_run(context: Mapping[str, Any]) -> str | None:
    """Return a sentence about a newer run; None if there is none, or if it is unknown."""
    run = context["dag_run"]
    run_type = _text(run.run_type)
    if run_type not in AUTOMATIC_RUN_TYPES:
        return None
    if run_type == "scheduled" and (due := _due_if_known(context)):
        return f"The DAG's next run, of {_in_utc(due)}, is due"
    try:
        for other in _unfinished_runs(context):
            if is_newer(other, run):
                return f"Run {other.run_id}, of {_describe_time(other)}, is queued or running"
    except AirflowRuntimeError as error:  # the API server failed
        log.warning("Running without asking Airflow for newer runs (error=%s)", type(error).__name__)
    return None


def is_backfill(context: Mapping[str, Any]) -> bool:
    """Return whether a backfill has created the run; its calls go after those of scheduled runs."""
    return _text(context["dag_run"].run_type) == "backfill"


def is_newer(other: Any, run: Any) -> bool:
    """Return whether another run has a newer state of the same segment.

    Partitioned runs are compared only if their keys have the same other dimensions: `2026-03-02|us` does not replace
    `2026-03-01|eu`. Of two runs of one partition the one that was requested later is newer.
    """
    if (other.partition_key is None) != (run.partition_key is None):
        return False
    if other.partition_key == run.partition_key and run.partition_key is not None:
        return bool(other.run_after > run.run_after)
    other_time, own_time = _data_time(other), _data_time(run)
    if other_time is None or own_time is None or _other_dimensions(other) != _other_dimensions(run):
        return False
    return other_time > own_time


def _other_dimensions(run: Any) -> tuple[str, ...]:
    """Return the dimensions of a run's partition key without the one that is a time."""
    parts = key_time(run.partition_key)
    return parts.others if parts else ()


def _data_time(run: Any) -> datetime | None:
    """Return the time of a run's data, by which runs are compared; None if the partition key contains no time."""
    if run.partition_key is None:
        ended: datetime = run.data_interval_end or run.logical_date or run.run_after
        return ended
    parts = key_time(run.partition_key)
    return parts.moment if parts else None


def _describe_time(run: Any) -> str:
    moment = _data_time(run)
    return f"partition {run.partition_key}" if run.partition_key or moment is None else _in_utc(moment)


def _in_utc(moment: datetime) -> str:
    """Return a time to the second. A timetable's time has the timetable's zone, as of a DAG in Europe/Berlin."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _unfinished_runs(context: Mapping[str, Any]) -> Iterator[DagRunResult]:
    """Yield the other runs of the DAG in which this task has not ended, the last created first.

    The task's states in all runs name the runs, because Airflow 3.3.2 has no better list for a worker. Its count of
    runs is by logical date, which partitioned runs do not have. Its list of an asset's events fails while a run that
    the events created is queued, because `DagRunAssetReference.start_date` may not be null.
    """
    ti = context["ti"]
    states = task_runner.RuntimeTaskInstance.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id])
    for run_id in sorted(states, reverse=True):
        if run_id == ti.run_id or all(_text(state) in ENDED_STATES for state in states[run_id].values()):
            continue
        try:
            other = task_runner.SUPERVISOR_COMMS.send(GetDagRun(dag_id=ti.dag_id, run_id=run_id))
        except AirflowRuntimeError:  # the run was deleted after its states were read
            continue
        if isinstance(other, DagRunResult) and _text(other.state) in UNFINISHED:
            yield other


def _due_if_known(context: Mapping[str, Any]) -> datetime | None:
    """Return when the timetable's next run was due; None if it is not due yet, or if the timetable fails."""
    try:
        return _next_run_due(context)
    except Exception as error:  # noqa: BLE001 - a timetable of the user's own may raise anything
        log.warning("Running without asking the timetable for the next run (error=%s)", type(error).__name__)
        return None


def _next_run_due(context: Mapping[str, Any]) -> datetime | None:
    """Return when the timetable's next run was due; None if it is not due yet. The scheduler will create a due run."""
    from airflow.sdk.timezone import coerce_datetime  # noqa: PLC0415 - rarely needed
    from airflow.serialization.encoders import coerce_to_core_timetable  # noqa: PLC0415
    from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction  # noqa: PLC0415

    run, dag = context["dag_run"], context["dag"]
    timetable: Any = coerce_to_core_timetable(dag.timetable)
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    interval = DataInterval(start, end) if start and end else None
    last: Any = DagRunInfo(coerce_datetime(run.run_after), interval, partition_date=None, partition_key=None)
    limits = TimeRestriction(earliest=None, latest=dag.end_date, catchup=True)
    following = timetable.next_dagrun_info_v2(last_dagrun_info=last, restriction=limits)
    if following is None or following.run_after > datetime.now(UTC):
        return None
    due: datetime = following.run_after
    return due


def _text(value: Any) -> str:
    """Return the value of an enumeration's member."""
    return str(getattr(value, "value", value))

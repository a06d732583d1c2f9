"""Whether a run is the newest that its DAG has to do: `context -> go on, or skip with the reason`.

A newer one is there when the DAG's timetable has its next run due, or when another run of the DAG, of a later day,
waits or works. Where that cannot be known the run goes on: the ledger keeps older from overwriting newer in any case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError, AirflowSkipException
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import DagRunResult, GetDagRun

from airflow_provider_segexport.hooks.partition_keys import key_time
from airflow_provider_segexport.hooks.task_state import ENDED_STATES

UNFINISHED = frozenset({"queued", "running"})

AUTOMATIC_RUN_TYPES = frozenset({"scheduled", "backfill", "asset_triggered"})
"""Runs that nobody has started by hand. Whoever starts one wants that one."""


def skip_unless_latest(context: Mapping[str, Any]) -> None:
    """Skip the task when a newer run of its DAG is due, waits or works.

    Raises:
        AirflowSkipException: it says which run makes this one needless.
    """
    newer = newer_run(context)
    if newer:
        raise AirflowSkipException(
            f"{newer}: this older state is not exported, as `latest_only=True` asks. The newer run exports everything."
        )


def newer_run(context: Mapping[str, Any]) -> str | None:
    """What newer run there is, in words; None where this one is the newest, or nothing is known of others."""
    run = context["dag_run"]
    kind = _text(run.run_type)
    if kind not in AUTOMATIC_RUN_TYPES:
        return None
    if kind == "scheduled" and (due := _next_run_due(context)):
        return f"The DAG's next run, of {due:%Y-%m-%d %H:%M:%S}, is due already"
    for other in _unfinished_runs(context):
        if is_newer(other, run):
            return f"Run {other.run_id}, of {_describe_time(other)}, waits or works already"
    return None


def is_backfill(context: Mapping[str, Any]) -> bool:
    """Whether a backfill has made the run: its calls go after those of scheduled runs."""
    return _text(context["dag_run"].run_type) == "backfill"


def is_newer(other: Any, run: Any) -> bool:
    """Whether another run brings a newer state of the same segment.

    Of partitioned runs only those are compared whose keys have the same other dimensions: `2026-03-02|us` does not
    replace `2026-03-01|eu`. Of two runs of one partition the one that was asked for later is newer.
    """
    if (other.partition_key is None) != (run.partition_key is None):
        return False
    if other.partition_key == run.partition_key and run.partition_key is not None:
        return bool(other.run_after > run.run_after)
    theirs, ours = _data_time(other), _data_time(run)
    if theirs is None or ours is None or _other_dimensions(other) != _other_dimensions(run):
        return False
    return theirs > ours


def _other_dimensions(run: Any) -> tuple[str, ...]:
    """The dimensions of a run's partition key that are no time."""
    parts = key_time(run.partition_key)
    return parts.others if parts else ()


def _data_time(run: Any) -> datetime | None:
    """What orders the runs of one DAG; partitions whose keys hold no time have no order."""
    if run.partition_key is None:
        ended: datetime = run.data_interval_end or run.logical_date or run.run_after
        return ended
    parts = key_time(run.partition_key)
    return parts.moment if parts else None


def _describe_time(run: Any) -> str:
    return f"partition {run.partition_key}" if run.partition_key else f"{_data_time(run):%Y-%m-%d %H:%M:%S}"


def _unfinished_runs(context: Mapping[str, Any]) -> Iterator[DagRunResult]:
    """Other runs of the DAG whose task of this name has not ended, the last created first.

    Asked for the task's state in all runs, for Airflow 3.3.2 has no other list of them for a worker: it counts runs by
    logical date only, which partitions have not, and its list of an asset's events breaks while a run that they made
    is queued (`DagRunAssetReference.start_date` may not be null there).
    """
    ti = context["ti"]
    states = task_runner.RuntimeTaskInstance.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id])
    for run_id in sorted(states, reverse=True):
        if run_id == ti.run_id or all(_text(state) in ENDED_STATES for state in states[run_id].values()):
            continue
        try:
            found = task_runner.SUPERVISOR_COMMS.send(GetDagRun(dag_id=ti.dag_id, run_id=run_id))
        except AirflowRuntimeError:  # deleted meanwhile
            continue
        if isinstance(found, DagRunResult) and _text(found.state) in UNFINISHED:
            yield found


def _next_run_due(context: Mapping[str, Any]) -> datetime | None:
    """When the timetable's next run was due, if it was: the scheduler makes it for certain."""
    from airflow.sdk.timezone import coerce_datetime  # noqa: PLC0415 - who does not ask needs none of it
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
    """An enumeration's member as its word."""
    return str(getattr(value, "value", value))

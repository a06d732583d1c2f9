"""Reads the DAGs of the exports from Airflow's metadata database: schedules, newest runs, pending approvals.

The number of queries grows by one for each `CHUNK` of DAGs or runs, and not with each audience.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType
from sqlalchemy import func, select, tuple_

from airflow_provider_segexport.plugins.audiences import AudienceOverview, RunIdentity
from airflow_provider_segexport.plugins.health import AirflowFacts, LatestRun, Schedule

CHUNK = 500
"""Values bound in one query; every supported database accepts a thousand."""

MANUAL_TIMETABLES = frozenset({"NullTimetable", "OnceTimetable"})
"""Timetables that do not start runs regularly."""


class Dags:
    """Airflow's data on some runs and their DAGs. The constructor reads all of it.

    Args:
        runs: the runs.
        targets: the audiences that each task exports to, by DAG and task.
    """

    def __init__(
        self, runs: Iterable[RunIdentity], targets: Mapping[tuple[str, str], frozenset[str]] | None = None
    ) -> None:
        self._targets = targets or {}
        task_runs = [run for run in runs if run.dag_id]
        self._dag_ids = sorted({run.dag_id for run in task_runs})
        self._labels: dict[tuple[str, str, str, int], str] = {}
        self._latest_runs: dict[tuple[str, str], dict[int, tuple[LatestRun, str]]] = {}
        self._unmapped: set[tuple[str, str, str]] = set()
        self._states: dict[tuple[str, str, str, int], str] = {}
        with create_session() as session:
            self.schedules = self._read_schedules(session)
            self._read_latest_runs(session, {run.task_id for run in task_runs})
            self._read_labels(session, {(run.dag_id, run.run_id) for run in task_runs})

    def facts(self, audience: AudienceOverview) -> AirflowFacts:
        """Return what Airflow holds on an audience's last run and its attempts."""
        run = audience.last_run.identity
        states = {attempt.identity: self.state(attempt.identity) for attempt in audience.attempts}
        return AirflowFacts(self.schedules.get(run.dag_id), self.latest_run(run), states)

    def state(self, run: RunIdentity) -> str:
        """Return the state of a run's task instance; empty if Airflow does not know it."""
        task = (run.dag_id, run.run_id, run.task_id)
        return self._states.get((*task, run.map_index)) or (
            self._states.get((*task, -1), "") if not run.map_index else ""
        )

    def latest_run(self, run: RunIdentity) -> LatestRun | None:
        """Return the newest task instance that certainly exports to the same audience; None if none certainly does.

        Another map index, or another value of a templated argument, may mean another audience. So an instance counts
        only in one of these cases:

        - It did not begin, because a task upstream has failed.
        - It is the only instance with the same label (`map_index_template`).
        - The task is not mapped and has only one audience.
        """
        newest = self._latest_runs.get((run.dag_id, run.task_id), {})
        label = self._labels.get((run.dag_id, run.run_id, run.task_id, run.map_index))
        unmapped = newest.get(-1)
        if unmapped and unmapped[0].state == "upstream_failed":
            return unmapped[0]
        if label:
            same_label = [latest for latest, other_label in newest.values() if other_label == label]
            return same_label[0] if len(same_label) == 1 else None
        is_mapped = (run.dag_id, run.run_id, run.task_id, run.map_index) in self._labels
        if unmapped is None or is_mapped or len(self._targets.get((run.dag_id, run.task_id), ())) != 1:
            return None
        return unmapped[0]

    def mapped_path(self, run: RunIdentity) -> str:
        """Return the part of a task instance's address that holds its map index: `/mapped/3`; empty if not mapped."""
        return "" if (run.dag_id, run.run_id, run.task_id) in self._unmapped else f"/mapped/{run.map_index}"

    def knows(self, run: RunIdentity) -> bool:
        """Return whether the run is still in Airflow's database."""
        return (run.dag_id, run.run_id, run.task_id) in self._unmapped or (
            (run.dag_id, run.run_id, run.task_id, run.map_index) in self._labels
        )

    def _read_schedules(self, session: Any) -> dict[str, Schedule]:
        questions = self._approval_questions(session)
        schedules: dict[str, Schedule] = {}
        for dag_ids in chunks(self._dag_ids):
            for dag in session.scalars(select(DagModel).where(DagModel.dag_id.in_(dag_ids))):
                due = dag.next_dagrun_create_after
                schedules[dag.dag_id] = Schedule(
                    paused=bool(dag.is_paused),
                    gone=bool(dag.is_stale),
                    due=due.timestamp() if due else None,
                    scheduled=dag.timetable_type.rpartition(".")[2] not in MANUAL_TIMETABLES,
                    text=dag.timetable_summary or "",
                    approval_question=questions.get(dag.dag_id, ""),
                )
        return schedules

    def _approval_questions(self, session: Any) -> dict[str, str]:
        """Return the question of a pending approval by DAG."""
        questions: dict[str, str] = {}
        for dag_ids in chunks(self._dag_ids):
            query = (
                select(TaskInstance.dag_id, HITLDetail.subject)
                .join(TaskInstance, TaskInstance.id == HITLDetail.ti_id)
                .join(DagRun, (DagRun.dag_id == TaskInstance.dag_id) & (DagRun.run_id == TaskInstance.run_id))
                .where(TaskInstance.dag_id.in_(dag_ids), HITLDetail.responded_at.is_(None))
                .where(DagRun.state == DagRunState.RUNNING)
                .order_by(HITLDetail.created_at)
            )
            questions.update(tuple(row) for row in session.execute(query))
        return questions

    def _read_latest_runs(self, session: Any, tasks: set[str]) -> None:
        for dag_ids in chunks(self._dag_ids):
            last = (
                select(DagRun.dag_id, func.max(DagRun.run_after).label("at"))
                .where(DagRun.dag_id.in_(dag_ids), DagRun.run_type != DagRunType.BACKFILL_JOB)
                .group_by(DagRun.dag_id)
                .subquery()
            )
            newest = (
                select(
                    TaskInstance.dag_id,
                    TaskInstance.task_id,
                    TaskInstance.run_id,
                    TaskInstance.map_index,
                    TaskInstance.state,
                    TaskInstance.end_date,
                    TaskInstance.start_date,
                    TaskInstance._rendered_map_index,  # noqa: SLF001 - the public one is a property, not a column
                    last.c.at,
                )
                .join(DagRun, (DagRun.dag_id == TaskInstance.dag_id) & (DagRun.run_id == TaskInstance.run_id))
                .join(last, (last.c.dag_id == DagRun.dag_id) & (last.c.at == DagRun.run_after))
            )
            for row in session.execute(newest):
                if row.task_id in tasks:
                    moment = row.end_date or row.start_date or row.at
                    identity = RunIdentity(row.dag_id, row.task_id, row.run_id, max(row.map_index, 0))
                    latest = LatestRun(identity, str(row.state or "none"), moment.timestamp())
                    by_index = self._latest_runs.setdefault((row.dag_id, row.task_id), {})
                    by_index[row.map_index] = (latest, row[7] or "")

    def _read_labels(self, session: Any, runs: set[tuple[str, str]]) -> None:
        for dag_runs in chunks(sorted(runs)):
            labelled = select(
                TaskInstance.dag_id,
                TaskInstance.run_id,
                TaskInstance.task_id,
                TaskInstance.map_index,
                TaskInstance._rendered_map_index,  # noqa: SLF001 - the public one is a property, not a column
                TaskInstance.state,
            ).where(tuple_(TaskInstance.dag_id, TaskInstance.run_id).in_(dag_runs))
            for dag_id, run_id, task_id, map_index, label, state in session.execute(labelled):
                self._states[dag_id, run_id, task_id, map_index] = str(state or "none")
                if map_index < 0:
                    self._unmapped.add((dag_id, run_id, task_id))
                else:
                    self._labels[dag_id, run_id, task_id, map_index] = label or ""


def chunks(values: list[Any]) -> Iterable[list[Any]]:
    """Return the values in chunks of `CHUNK`."""
    return (values[i : i + CHUNK] for i in range(0, len(values), CHUNK))


def disabled_connections(conn_ids: Iterable[str]) -> Mapping[str, bool]:
    """Return by connection whether exports through it are disabled; False if the connection cannot be read."""
    from airflow_provider_segexport.hooks import connection as connections  # noqa: PLC0415 - with the first page only

    return {conn_id: not connections.enabled(_extra(conn_id)) for conn_id in set(conn_ids) if conn_id}


def _extra(conn_id: str) -> str | None:
    """Return the extra of a connection; None if the connection cannot be read."""
    from airflow.models.connection import Connection  # noqa: PLC0415 - with the first page only

    try:
        extra: str | None = Connection.get_connection_from_secrets(conn_id).extra
    except Exception:  # noqa: BLE001 - a secrets backend may raise anything, and the page must open
        return None
    return extra

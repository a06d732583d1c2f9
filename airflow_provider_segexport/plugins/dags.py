"""What Airflow's metadata database says of the DAGs behind the audiences: schedules, newest runs, open questions.

A handful of queries for any number of audiences.
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

from airflow_provider_segexport.plugins.audiences import RunIdentity
from airflow_provider_segexport.plugins.health import LatestRun, Schedule

CHUNK = 500
"""Values bound in one query: the least that a supported database takes is a thousand."""

BY_HAND = frozenset({"NullTimetable", "OnceTimetable"})


class Dags:
    """The facts behind some runs, read at once."""

    def __init__(self, runs: Iterable[RunIdentity]) -> None:
        known = [who for who in runs if who.dag_id]
        self._dag_ids = sorted({who.dag_id for who in known})
        self._labels: dict[tuple[str, str, str, int], str] = {}
        self._attempts: dict[tuple[str, str], dict[int, tuple[LatestRun, str]]] = {}
        self._unmapped: set[tuple[str, str, str]] = set()
        with create_session() as session:
            self.schedules = self._read_schedules(session)
            self._read_attempts(session, {who.task_id for who in known})
            self._read_labels(session, {(who.dag_id, who.run_id) for who in known})

    def attempt(self, who: RunIdentity) -> LatestRun | None:
        """The newest task instance of the same export.

        In another run, a mapped task's index may stand for another audience; its label says which.
        """
        newest = self._attempts.get((who.dag_id, who.task_id), {})
        label = self._labels.get((who.dag_id, who.run_id, who.task_id, who.map_index))
        if label:
            return next((attempt for attempt, name in newest.values() if name == label), None)
        found = newest.get(-1) or newest.get(who.map_index)
        return found[0] if found else None

    def address(self, who: RunIdentity) -> str:
        """Where the task instance stands in Airflow's UI, as the map index shows it: `` or `/mapped/3`."""
        return "" if (who.dag_id, who.run_id, who.task_id) in self._unmapped else f"/mapped/{who.map_index}"

    def knows(self, who: RunIdentity) -> bool:
        """Whether the run is still in Airflow's database."""
        return (who.dag_id, who.run_id, who.task_id) in self._unmapped or (
            (who.dag_id, who.run_id, who.task_id, who.map_index) in self._labels
        )

    def _read_schedules(self, session: Any) -> dict[str, Schedule]:
        asks = self._questions(session)
        found: dict[str, Schedule] = {}
        for some in chunks(self._dag_ids):
            for dag in session.scalars(select(DagModel).where(DagModel.dag_id.in_(some))):
                due = dag.next_dagrun_create_after
                found[dag.dag_id] = Schedule(
                    paused=bool(dag.is_paused),
                    gone=bool(dag.is_stale),
                    due=due.timestamp() if due else None,
                    scheduled=dag.timetable_type.rpartition(".")[2] not in BY_HAND,
                    text=dag.timetable_summary or "",
                    approval_question=asks.get(dag.dag_id, ""),
                )
        return found

    def _questions(self, session: Any) -> dict[str, str]:
        """What a person is asked for, by DAG."""
        found: dict[str, str] = {}
        for some in chunks(self._dag_ids):
            asked = (
                select(TaskInstance.dag_id, HITLDetail.subject)
                .join(TaskInstance, TaskInstance.id == HITLDetail.ti_id)
                .join(DagRun, (DagRun.dag_id == TaskInstance.dag_id) & (DagRun.run_id == TaskInstance.run_id))
                .where(TaskInstance.dag_id.in_(some), HITLDetail.responded_at.is_(None))
                .where(DagRun.state == DagRunState.RUNNING)
                .order_by(HITLDetail.created_at)
            )
            found.update(tuple(row) for row in session.execute(asked))
        return found

    def _read_attempts(self, session: Any, tasks: set[str]) -> None:
        for some in chunks(self._dag_ids):
            last = (
                select(DagRun.dag_id, func.max(DagRun.run_after).label("at"))
                .where(DagRun.dag_id.in_(some), DagRun.run_type != DagRunType.BACKFILL_JOB)
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
                    attempt = LatestRun(row.run_id, str(row.state or "none"), moment.timestamp())
                    into = self._attempts.setdefault((row.dag_id, row.task_id), {})
                    into[row.map_index] = (attempt, row[7] or "")

    def _read_labels(self, session: Any, runs: set[tuple[str, str]]) -> None:
        for some in chunks(sorted(runs)):
            labelled = select(
                TaskInstance.dag_id,
                TaskInstance.run_id,
                TaskInstance.task_id,
                TaskInstance.map_index,
                TaskInstance._rendered_map_index,  # noqa: SLF001 - the public one is a property, not a column
            ).where(tuple_(TaskInstance.dag_id, TaskInstance.run_id).in_(some))
            for dag_id, run_id, task_id, map_index, label in session.execute(labelled):
                if map_index < 0:
                    self._unmapped.add((dag_id, run_id, task_id))
                else:
                    self._labels[dag_id, run_id, task_id, map_index] = label or ""


def chunks(values: list[Any]) -> Iterable[list[Any]]:
    """The values in portions."""
    return (values[i : i + CHUNK] for i in range(0, len(values), CHUNK))


def switched_off(conn_ids: Iterable[str]) -> Mapping[str, bool]:
    """Which connections have their exports switched off; one that cannot be read is not known to."""
    from airflow_provider_segexport.hooks import connection as connections  # noqa: PLC0415 - with the first page only

    found = {}
    for conn_id in {one for one in conn_ids if one}:
        found[conn_id] = not connections.enabled(_extra(conn_id))
    return found


def _extra(conn_id: str) -> str | None:
    from airflow.models.connection import Connection  # noqa: PLC0415 - with the first page only

    try:
        extra: str | None = Connection.get_connection_from_secrets(conn_id).extra
    except Exception:  # noqa: BLE001 - a secrets backend raises what it likes, and a page of states is no place for it
        return None
    return extra

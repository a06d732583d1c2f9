"""Reads one task instance from Airflow's metadata database."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskreschedule import TaskReschedule
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_segexport.plugins.audiences import RunIdentity
from airflow_provider_segexport.plugins.health import RUNNING

OPERATOR = "SegmentExportOperator"
AT_WORK = RUNNING | {"up_for_retry"}


@dataclass(frozen=True, slots=True)
class TaskInstanceInfo:
    """A task instance.

    Attributes:
        until: when Airflow resumes a rescheduled task, epoch seconds; None for any other state.
        reports_path: folder of its run folders, from the rendered argument; empty for the default below the state root.
    """

    state: str
    operator: str
    try_number: int
    until: float | None = None
    reports_path: str = ""

    @property
    def exports(self) -> bool:
        """Whether its operator has the name of ours."""
        return self.operator == OPERATOR

    @property
    def at_work(self) -> bool:
        """Whether it has not ended."""
        return self.state in AT_WORK


def instance(run: RunIdentity, map_index: int) -> TaskInstanceInfo | None:
    """Return the task instance; None if Airflow does not know it."""
    with create_session() as session:
        row = session.scalar(
            select(TaskInstance).where(
                TaskInstance.dag_id == run.dag_id,
                TaskInstance.run_id == run.run_id,
                TaskInstance.task_id == run.task_id,
                TaskInstance.map_index == map_index,
            )
        )
        if row is None:
            return None
        return TaskInstanceInfo(
            state=str(row.state or "none"),
            operator=str(row.operator or ""),
            try_number=int(row.try_number or 0),
            until=_until(session, row),
            reports_path=_reports(session, run, map_index),
        )


def _until(session: Any, row: TaskInstance) -> float | None:
    """Return when Airflow resumes a rescheduled instance; None for any other state."""
    if str(row.state) != "up_for_reschedule":
        return None
    moment = session.scalar(
        select(TaskReschedule.reschedule_date)
        .where(TaskReschedule.ti_id == row.id)
        .order_by(TaskReschedule.id.desc())
        .limit(1)
    )
    return moment.timestamp() if moment else None


def _reports(session: Any, run: RunIdentity, map_index: int) -> str:
    """Return the task's rendered `reports_path` argument; empty if it is not set."""
    rendered = session.scalar(
        select(RenderedTaskInstanceFields.rendered_fields).where(
            RenderedTaskInstanceFields.dag_id == run.dag_id,
            RenderedTaskInstanceFields.run_id == run.run_id,
            RenderedTaskInstanceFields.task_id == run.task_id,
            RenderedTaskInstanceFields.map_index == map_index,
        )
    )
    with contextlib.suppress(AttributeError):
        value = rendered.get("reports_path")
        return value if isinstance(value, str) and value not in {"None", "null"} else ""
    return ""

"""One task instance as Airflow's metadata database holds it."""

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
        exports: its operator is ours, as far as its name tells.
        until: when it goes on by itself (epoch seconds), where it has given its place back.
        reports_path: where its run folders go instead of below the root, as its rendered argument says.
    """

    state: str
    operator: str
    try_number: int
    until: float | None = None
    reports_path: str = ""

    @property
    def exports(self) -> bool:
        """Whether it is a task of ours."""
        return self.operator == OPERATOR

    @property
    def at_work(self) -> bool:
        """Whether it has not come to its end."""
        return self.state in AT_WORK


def instance(who: RunIdentity, map_index: int) -> TaskInstanceInfo | None:
    """The task instance; None where there is none."""
    with create_session() as session:
        found = session.scalar(
            select(TaskInstance).where(
                TaskInstance.dag_id == who.dag_id,
                TaskInstance.run_id == who.run_id,
                TaskInstance.task_id == who.task_id,
                TaskInstance.map_index == map_index,
            )
        )
        if found is None:
            return None
        return TaskInstanceInfo(
            state=str(found.state or "none"),
            operator=str(found.operator or ""),
            try_number=int(found.try_number or 0),
            until=_until(session, found),
            reports_path=_reports(session, who, map_index),
        )


def _until(session: Any, found: TaskInstance) -> float | None:
    """When a rescheduled instance goes on."""
    if str(found.state) != "up_for_reschedule":
        return None
    moment = session.scalar(
        select(TaskReschedule.reschedule_date)
        .where(TaskReschedule.ti_id == found.id)
        .order_by(TaskReschedule.id.desc())
        .limit(1)
    )
    return moment.timestamp() if moment else None


def _reports(session: Any, who: RunIdentity, map_index: int) -> str:
    """The task's `reports_path` argument after templates."""
    rendered = session.scalar(
        select(RenderedTaskInstanceFields.rendered_fields).where(
            RenderedTaskInstanceFields.dag_id == who.dag_id,
            RenderedTaskInstanceFields.run_id == who.run_id,
            RenderedTaskInstanceFields.task_id == who.task_id,
            RenderedTaskInstanceFields.map_index == map_index,
        )
    )
    with contextlib.suppress(AttributeError):
        value = rendered.get("reports_path")
        return value if isinstance(value, str) and value not in {"None", "null"} else ""
    return ""

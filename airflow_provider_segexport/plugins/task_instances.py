"""Reads one task instance from Airflow's metadata database."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import Any

from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskreschedule import TaskReschedule
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_segexport.plugins.audiences import RunIdentity
from airflow_provider_segexport.plugins.health import RUNNING

OPERATORS = frozenset({"SegmentExportOperator", "SegmentExportUndoOperator", "SegmentExportVerifyOperator"})
"""Names of the operators whose tasks have the tab."""

LINK_KEY = "segexport_report_link"
"""Key of a link of these operators and of their subclasses. Airflow stores it with the DAG."""

AT_WORK = RUNNING | {"up_for_retry"}
"""States of a task instance that has not ended."""


@dataclass(frozen=True, slots=True)
class TaskInstanceInfo:
    """A task instance.

    Attributes:
        until: when Airflow resumes a rescheduled task, epoch seconds; None for any other state.
        reports_path: the rendered argument `reports_path`; empty for the default below the state root.
        conn_id: the rendered argument `conn_id`; empty if the task has none.
        exports: the operator is one of `OPERATORS` or a subclass.
    """

    state: str
    operator: str
    try_number: int
    until: float | None = None
    reports_path: str = ""
    conn_id: str = ""
    exports: bool = False

    @property
    def at_work(self) -> bool:
        """Whether the task instance has not ended."""
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
        rendered = _rendered(session, run, map_index)
        operator = str(row.operator or "")
        return TaskInstanceInfo(
            state=str(row.state or "none"),
            operator=operator,
            try_number=int(row.try_number or 0),
            until=_until(session, row),
            reports_path=_argument(rendered, "reports_path"),
            conn_id=_argument(rendered, "conn_id"),
            exports=operator in OPERATORS or _is_subclass(session, row),
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


def _rendered(session: Any, run: RunIdentity, map_index: int) -> Any:
    """Return the task's rendered arguments; None before the task has begun."""
    return session.scalar(
        select(RenderedTaskInstanceFields.rendered_fields).where(
            RenderedTaskInstanceFields.dag_id == run.dag_id,
            RenderedTaskInstanceFields.run_id == run.run_id,
            RenderedTaskInstanceFields.task_id == run.task_id,
            RenderedTaskInstanceFields.map_index == map_index,
        )
    )


def _argument(rendered: Any, name: str) -> str:
    """Return a rendered argument that is a text; empty for any other value, and if it is not set."""
    with contextlib.suppress(AttributeError):
        value = rendered.get(name)
        return value if isinstance(value, str) and value not in {"None", "null"} else ""
    return ""


def _is_subclass(session: Any, row: TaskInstance) -> bool:
    """Return whether the task's operator is a subclass of `OPERATORS`, which the stored DAG shows by its links."""
    with contextlib.suppress(
        Exception
    ):  # the stored form of a DAG may change with Airflow, and the page must still open
        stored = session.scalar(
            select(SerializedDagModel)
            .where(SerializedDagModel.dag_id == row.dag_id)
            .order_by(SerializedDagModel.created_at.desc())
            .limit(1)
        )
        for task in stored.data["dag"]["tasks"]:
            fields = task.get("__var", task)
            if fields.get("task_id") == row.task_id:
                return LINK_KEY in json.dumps(fields)
    return False

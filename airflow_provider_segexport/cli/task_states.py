"""Reads the state of a run's task from Airflow's database: `dag/task/run/map index -> state`."""

from __future__ import annotations

from airflow_provider_segexport.export.find_run import TASK_PARTS


def task_state(run: str) -> str:
    """Return the state of a run's task instance as Airflow names it; empty if Airflow does not know it.

    Args:
        run: the run's name in its report.
    """
    from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415 - the command line may use the database
    from airflow.utils.session import create_session  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    parts = run.split("/")
    if len(parts) < TASK_PARTS:
        return ""
    index = parts[-1].partition(".")[0]  # the second `hook.export` of a task has the index `0.2`
    number = int(index) if index.isdecimal() else 0
    query = select(TaskInstance.state).where(
        TaskInstance.dag_id == parts[0],
        TaskInstance.task_id == parts[1],
        TaskInstance.run_id == "/".join(parts[2:-1]),
        TaskInstance.map_index.in_([number] if number else [-1, 0]),
    )
    try:
        with create_session() as session:
            state = session.scalars(query).first()
    except SQLAlchemyError:  # no database, or one of another version: the list is shown without states
        return ""
    return str(getattr(state, "value", state) or "")

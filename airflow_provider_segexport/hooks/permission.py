"""May this process change something through a connection? `running task, connection -> yes or ConnectionNotAllowed`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow.sdk import get_current_context

from airflow_provider_segexport.errors import ConnectionNotAllowed

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook


def running_dag() -> str | None:
    """Return the DAG id of the task that runs in this process, as Airflow has started it; None outside a task."""
    try:
        return str(get_current_context()["ti"].dag_id)
    except (RuntimeError, KeyError):
        return None


def permit(hook: SegmentExportHook) -> Callable[[], None]:
    """Return the check that a sender makes before the first call that changes something.

    The check raises `ConnectionNotAllowed` or `ExportsDisabled`. The DAG is that of the running task, read now: a
    sender's calls run in threads of its own. An administrator's command needs a connection that is switched on and
    agreed to, and no DAG.
    """
    if hook.is_command:
        return hook.settings.check_enabled
    dag_id = running_dag()
    return lambda: hook.settings.check_dag_allowed(dag_id)


def same_dag(named: str | None) -> str | None:
    """Return the running task's DAG, after a check of the DAG that a caller names.

    Args:
        named: `dag_id` of `hook.export`, or None.

    Raises:
        ConnectionNotAllowed: the caller names another DAG than that of the running task.
    """
    running = running_dag()
    if running is not None and named not in {None, running}:
        raise ConnectionNotAllowed(
            f"`dag_id` is {named!r}, and this task is of DAG {running!r}: a task uses connections in the name of "
            "its own DAG. To fix: leave `dag_id` out."
        )
    return running

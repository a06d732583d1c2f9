"""Checks whether this process may change something through a connection: `session -> check that raises`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow.sdk import get_current_context

from airflow_provider_segexport.errors import ConnectionNotAllowed

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.session import VendorSession


def running_dag_id() -> str | None:
    """Return the DAG id of the task that Airflow runs in this process; None outside a task."""
    try:
        return str(get_current_context()["ti"].dag_id)
    except (RuntimeError, KeyError):
        return None


def permission_check(session: VendorSession) -> Callable[[], None]:
    """Return the check that an HTTP client makes before the first call that changes something.

    The check raises `ConnectionNotAllowed` or `ExportsDisabled`. The DAG id is read now, because the client's calls run
    in threads, where Airflow's context is missing. For an administrator's command the connection must be enabled and
    have consent, but 'Allowed DAGs' does not apply.
    """
    if session.is_command:
        return session.settings.check_enabled
    dag_id = running_dag_id()
    return lambda: session.settings.check_dag_allowed(dag_id)


def check_same_dag(dag_id: str | None) -> str | None:
    """Return the DAG id of the running task, and check it against the one that a caller names.

    Args:
        dag_id: `dag_id` of `hook.export`, or None.

    Raises:
        ConnectionNotAllowed: `dag_id` is not the DAG of the running task.
    """
    running = running_dag_id()
    if running is not None and dag_id not in {None, running}:
        raise ConnectionNotAllowed(
            f"`dag_id` is {dag_id!r}, but the running task belongs to DAG {running!r}. A task may use connections only "
            "as its own DAG. To fix: remove the argument `dag_id`."
        )
    return running

"""The hook of a stored connection, for commands: they run in no task, and may read Airflow's database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.errors import InvalidConnection
from airflow_provider_segexport.hooks import HOOKS, get_hook_class

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook


def command_hook(conn_id: str) -> SegmentExportHook:
    """The hook of a connection, wherever Airflow keeps it."""
    from airflow.models import Connection  # noqa: PLC0415 - the command line may use the database
    from airflow.sdk.exceptions import AirflowNotFoundException  # noqa: PLC0415 - Airflow, when the command runs

    try:
        found = Connection.get_connection_from_secrets(conn_id)  # noqa: AIR311 - a command runs in no task
    except AirflowNotFoundException:
        raise InvalidConnection(
            f"There is no connection {conn_id!r}. `airflow connections list` tells which there are."
        ) from None
    if found.conn_type not in HOOKS:
        raise InvalidConnection(
            f"Connection {conn_id!r} is of type {found.conn_type!r}, which this command does not know."
        )
    hook = get_hook_class(found.conn_type)(conn_id)
    hook.connection = found
    hook.is_command = True
    return hook

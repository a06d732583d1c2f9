"""Creates hooks for commands, which run outside tasks and may read Airflow's database: `connection id -> hook`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.errors import InvalidConnection
from airflow_provider_segexport.hooks import HOOKS, get_hook_class

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook


def command_hook(conn_id: str, *, is_command: bool = True) -> SegmentExportHook:
    """Return the hook of a connection, from Airflow's database or a secrets backend.

    Args:
        conn_id: the Airflow connection.
        is_command: 'Allowed DAGs' of the connection does not apply, because an administrator runs the command.

    Raises:
        InvalidConnection: the connection does not exist, or is not of a vendor's type.
    """
    from airflow.models import Connection  # noqa: PLC0415 - the command line may use the database
    from airflow.sdk.exceptions import AirflowNotFoundException  # noqa: PLC0415 - Airflow, when the command runs

    try:
        connection = Connection.get_connection_from_secrets(conn_id)  # noqa: AIR311 - a command runs in no task
    except AirflowNotFoundException:
        raise InvalidConnection(
            f"There is no connection {conn_id!r}, or its content cannot be read. To fix: take an id that `airflow "
            "connections list` shows, or correct the environment variable or the secret that holds the connection."
        ) from None
    if connection.conn_type not in HOOKS:
        raise InvalidConnection(
            f"Connection {conn_id!r} is of type {connection.conn_type!r}. This command needs one of these types: "
            f"{', '.join(HOOKS)}. To fix: pass the id of such a connection."
        )
    return get_hook_class(connection.conn_type)(conn_id, connection=connection, is_command=is_command)

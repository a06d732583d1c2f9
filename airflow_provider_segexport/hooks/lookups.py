"""Reads connections and Variables: `id -> value, "missing", or an error that a retry may mend`.

Airflow asks its secrets backends one after the other, and treats an exception of one as a missing entry. An outage of a
vault or of the API server would thus look as if a connection did not exist or no login was stored. So before an entry
counts as missing, each backend is asked again.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseHook, Variable
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_segexport.errors import ConnectionNotAllowed, InvalidConnection, RetryableError

API_BACKEND = "ExecutionAPISecretsBackend"
"""Class of the backend that asks Airflow's API server on behalf of a task or a trigger."""

WRITTEN_BACKENDS = (API_BACKEND, "MetastoreBackend")
"""Backends that may hold a Variable which a task has set (Airflow 3.3: `Variable.set` writes to the database alone)."""


def read_connection(conn_id: str) -> Any:
    """Return the Airflow connection.

    Raises:
        InvalidConnection: it does not exist.
        ConnectionNotAllowed: Airflow denies this task the connection.
        RetryableError: a secrets backend or Airflow's API server failed, so it may exist.
    """
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        if check_backends("connection", conn_id):
            raise _failed("connection", conn_id, "it works again") from None
        raise InvalidConnection(
            f"There is no Airflow connection {conn_id!r}. To fix: correct `conn_id`, or ask an administrator to create "
            "the connection under Admin > Connections."
        ) from None
    except PermissionError:  # Airflow 3.3: AirflowSecretsBackendAccessDenied
        raise ConnectionNotAllowed(
            f"Airflow denies this task the connection {conn_id!r}. To fix: ask an administrator to give the DAG's team "
            "access to it, or use another connection."
        ) from None


def read_variable(key: str) -> str | None:
    """Return the text of a Variable that a task may set; None if it does not exist. A task or a trigger calls this.

    Raises:
        RetryableError: Airflow's API server failed or denied access, so it may exist.
    """
    try:
        text: str | None = Variable.get(key, default=None)
        if text is None and check_backends("variable", key):  # a backend failed, or another process has just written it
            text = Variable.get(key, default=None)
    except PermissionError as error:
        raise _failed("variable", key, type(error).__name__, "Airflow's API server") from None
    return text


def check_backends(kind: str, key: str) -> bool:
    """Check that each secrets backend works; return whether one has the entry that it has just reported as missing.

    A Variable is looked for in `WRITTEN_BACKENDS` alone. A vault may deny all Variables to Airflow, and hold none.

    Args:
        kind: `connection` or `variable`.
        key: id of the connection, or name of the Variable.

    Raises:
        RetryableError: a backend raises an exception. Its text is left out, because it may hold a secret.
    """
    from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded  # noqa: PLC0415 - rarely needed

    for backend in ensure_secrets_backend_loaded():
        name = type(backend).__name__
        if kind == "variable" and name not in WRITTEN_BACKENDS:
            continue
        source = "Airflow's API server" if name == API_BACKEND else f"the secrets backend {name}"
        try:
            if _has_entry(backend, kind, key):
                return True
        except NotImplementedError:  # a backend may offer Variables only
            continue
        except Exception as error:  # noqa: BLE001 - a backend may raise anything
            raise _failed(kind, key, type(error).__name__, source) from None
    return False


def _has_entry(backend: Any, kind: str, key: str) -> bool:
    """Ask a backend for an entry. The one of Airflow's API hides its errors, so the API is asked directly."""
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - rarely needed
    from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection, GetVariable  # noqa: PLC0415

    if type(backend).__name__ == API_BACKEND:
        request = GetConnection(conn_id=key) if kind == "connection" else GetVariable(key=key)
        response = task_runner.SUPERVISOR_COMMS.send(request)
        return response is not None and not isinstance(response, ErrorResponse)
    entry = backend.get_connection(conn_id=key) if kind == "connection" else backend.get_variable(key=key)
    return entry is not None


def _failed(kind: str, key: str, why: str, source: str = "a secrets backend or Airflow's API server") -> RetryableError:
    """Return the error of a lookup without an answer."""
    name = f"connection {key!r}" if kind == "connection" else f"Variable {key!r}"
    return RetryableError(
        f"The {name} cannot be read, because {source} failed ({why}). To fix: if this happens again, check the secrets "
        "backend and Airflow's API server."
    )

"""Checks what the user of a request may see, by Airflow's auth manager."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails, DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import get_user
from airflow.configuration import conf
from airflow.models.dag import DagModel
from airflow.utils.session import create_session
from fastapi import Depends, HTTPException, status
from sqlalchemy import select

from airflow_provider_segexport.hooks.paths import SECTION
from airflow_provider_segexport.plugins.audiences import RunIdentity

log = logging.getLogger(__name__)

LOG_READERS = (DagAccessEntity.TASK_LOGS, DagAccessEntity.XCOM)
"""With `[segexport] rejects_permission = logs`, a user who may read one of these may download rejected rows."""

EDIT = "edit"
"""The default of `rejects_permission`: users who may edit the DAG."""


@dataclass
class Rights:
    """One user's rights, which are read from the auth manager when they are needed.

    Attributes:
        user: the user as Airflow's auth manager represents them.
    """

    user: Any
    _connections: dict[str, bool] = field(default_factory=dict)
    _dags: set[str] | None = None
    _removed: dict[str, bool] = field(default_factory=dict)

    def can_see_run(self, run: RunIdentity) -> bool:
        """Return whether the user may read the run's DAG or, for a hook outside any task, its connection."""
        if run.dag_id:
            if self._dags is None:
                self._dags = get_auth_manager().get_authorized_dag_ids(user=self.user, method="GET")
            return run.dag_id in self._dags or self._can_see_removed(run.dag_id)
        if run.conn_id not in self._connections:
            self._connections[run.conn_id] = get_auth_manager().is_authorized_connection(
                method="GET", user=self.user, details=ConnectionDetails(conn_id=run.conn_id)
            )
        return self._connections[run.conn_id]

    def _can_see_removed(self, dag_id: str) -> bool:
        """Return whether the user may read a DAG that is not in Airflow's database any more.

        The list of DAGs that a user may read has no removed DAG, but the audiences of such a DAG still exist. So the
        auth manager is asked about the DAG itself.
        """
        if dag_id not in self._removed:
            with create_session() as session:
                exists = session.scalar(select(DagModel.dag_id).where(DagModel.dag_id == dag_id)) is not None
            self._removed[dag_id] = not exists and self._may(dag_id, None, "GET")
        return self._removed[dag_id]

    def reads(self, dag_id: str, *entities: DagAccessEntity) -> bool:
        """Return whether the user may read one of these entities of a DAG."""
        return any(self._may(dag_id, entity, "GET") for entity in entities)

    def can_download_rejects(self, dag_id: str) -> bool:
        """Return whether the user may download rejected rows, which contain email addresses.

        With an unknown value of the option no user may, because it may be misspelt.
        """
        match conf.get(SECTION, "rejects_permission", fallback=EDIT).strip().lower() or EDIT:
            case "edit":
                return self._may(dag_id, None, "PUT")
            case "logs":
                return self.reads(dag_id, *LOG_READERS)
            case "nobody":
                return False
            case unknown:
                log.warning("Refusing rejected rows, because an option is unknown (rejects_permission=%a)", unknown)
                return False

    def _may(self, dag_id: str, entity: DagAccessEntity | None, method: Any) -> bool:
        details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
        return get_auth_manager().is_authorized_dag(
            method=method, access_entity=entity, details=details, user=self.user
        )


def rights(user: Annotated[Any, Depends(get_user)]) -> Rights:
    """Return the rights of the request's user. Airflow refuses a request without a login."""
    return Rights(user)


UserRights = Annotated[Rights, Depends(rights)]


def require(allowed: bool, message: str) -> None:  # noqa: FBT001 - `require(user.may(...), "...")` reads clearly
    """Respond with 403 and a message unless the user is allowed to see the page."""
    if not allowed:
        raise HTTPException(status.HTTP_403_FORBIDDEN, message)

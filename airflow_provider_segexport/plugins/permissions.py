"""What the user of a request may see, as Airflow's own auth manager says it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails, DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import get_user
from airflow.configuration import conf
from airflow.models.dag import DagModel
from fastapi import Depends, HTTPException, status

from airflow_provider_segexport.hooks.paths import SECTION
from airflow_provider_segexport.plugins.audiences import RunIdentity

PEOPLE = (DagAccessEntity.TASK_LOGS, DagAccessEntity.XCOM)
"""With `[segexport] rejects_permission = logs`, a user who may read one of these may download rejected rows."""

EDIT = "edit"
"""The default of `rejects_permission`, and what an unknown value counts as: users who may edit the DAG."""


@dataclass
class Rights:
    """One user's rights, asked for as they are needed."""

    user: Any
    _connections: dict[str, bool] = field(default_factory=dict)
    _dags: set[str] | None = None

    def sees(self, who: RunIdentity) -> bool:
        """Whether the user may see this run: of a DAG that they may read; of a hook, the connection."""
        if who.dag_id:
            if self._dags is None:
                self._dags = get_auth_manager().get_authorized_dag_ids(user=self.user, method="GET")
            return who.dag_id in self._dags
        if who.conn_id not in self._connections:
            self._connections[who.conn_id] = get_auth_manager().is_authorized_connection(
                method="GET", user=self.user, details=ConnectionDetails(conn_id=who.conn_id)
            )
        return self._connections[who.conn_id]

    def reads(self, dag_id: str, *entities: DagAccessEntity) -> bool:
        """Whether the user may read one of these of a DAG."""
        return any(self._may(dag_id, entity, "GET") for entity in entities)

    def triggers(self, dag_id: str) -> bool:
        """Whether the user may start runs of a DAG."""
        return self._may(dag_id, DagAccessEntity.RUN, "POST")

    def reads_people(self, dag_id: str) -> bool:
        """Whether the user may download the rows that a task could not deliver, with their addresses."""
        match conf.get(SECTION, "rejects_permission", fallback=EDIT):
            case "logs":
                return self.reads(dag_id, *PEOPLE)
            case "nobody":
                return False
            case _:
                return self._may(dag_id, None, "PUT")

    def _may(self, dag_id: str, entity: DagAccessEntity | None, method: Any) -> bool:
        details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
        return get_auth_manager().is_authorized_dag(
            method=method, access_entity=entity, details=details, user=self.user
        )


def rights(user: Annotated[Any, Depends(get_user)]) -> Rights:
    """The rights of whoever asks; who is not logged in gets no further."""
    return Rights(user)


UserRights = Annotated[Rights, Depends(rights)]


def need(allowed: bool, words: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Refuse what the user may not see."""
    if not allowed:
        raise HTTPException(status.HTTP_403_FORBIDDEN, words)

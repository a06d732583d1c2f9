"""An auth manager with different rights for users by DAG, like a deployment's own and unlike Airflow's simple one."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

PEOPLE = {DagAccessEntity.TASK_LOGS, DagAccessEntity.XCOM}


class PickyAuthManager(SimpleAuthManager):
    """`ann` may do everything. `bob` may see the DAGs whose id begins with his name, and no logs and no XComs there.

    `cem` may see nothing at all.
    """

    def is_authorized_dag(
        self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None, **more: Any
    ) -> bool:
        if user.username in {"ann", "admin"}:
            return True
        mine = details is not None and details.id is not None and details.id.startswith(f"{user.username}_")
        return user.username == "bob" and mine and method == "GET" and access_entity not in PEOPLE

    def is_authorized_connection(self, *, method: Any, user: Any, details: Any = None, **more: Any) -> bool:
        return user.username in {"ann", "admin"}

    def filter_authorized_dag_ids(self, *, dag_ids: set[str], user: Any, method: Any = "GET", **more: Any) -> set[str]:
        if user.username in {"ann", "admin"}:
            return dag_ids
        return {dag_id for dag_id in dag_ids if user.username == "bob" and dag_id.startswith("bob_")}


def token(auth_manager: Any, name: str) -> str:
    return auth_manager.generate_jwt(SimpleAuthManagerUser(username=name, role="ADMIN"))

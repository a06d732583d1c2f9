"""The pages over HTTP, requested by users with different rights in the auth manager."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest


@pytest.fixture(scope="session")
def rooms(airflow_db):
    """DAGs and one task instance in the metadata database."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    with create_session() as session:
        for dag_id in (*(f"exports_{i}" for i in range(6)), "exports", "bob_exports"):
            session.merge(
                DagModel(
                    dag_id=dag_id,
                    bundle_name="tests",
                    is_paused=False,
                    is_stale=False,
                    max_active_tasks=16,
                    max_consecutive_failed_dag_runs=0,
                    has_task_concurrency_limits=False,
                    timetable_type="airflow.timetables.trigger.CronTriggerTimetable",
                    timetable_summary="0 2 * * *",
                    next_dagrun_create_after=datetime.now(UTC) + timedelta(hours=5),
                )
            )
    return airflow_db


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def client(rooms, root, monkeypatch):
    """Requests as `ann`, or as the user that a test names."""
    from airflow.api_fastapi import app as airflow_app
    from fastapi import FastAPI
    from starlette.testclient import TestClient
    from ui_auth_manager import token

    from airflow_provider_segexport.plugins.web import make_app

    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "0" * 64)
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "ui_auth_manager.PickyAuthManager")
    airflow_app.purge_cached_app()
    manager = airflow_app.create_auth_manager()
    outer = FastAPI()
    outer.mount("/segexport", make_app())
    with TestClient(outer, base_url="http://airflow.test") as asking:

        def ask(path: str, user: str | None = "ann", method: str = "GET", headers: dict | None = None, **more):
            login = {"authorization": f"Bearer {token(manager, user)}"} if user else {}
            about = {"headers": {**login, **(headers or {})}, "follow_redirects": False}
            return asking.request(method, f"/segexport/{path}", **about, **more)

        yield ask
    airflow_app.purge_cached_app()

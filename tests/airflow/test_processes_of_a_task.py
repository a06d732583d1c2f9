"""A task may export in several processes that it forks; each has a copy of the task's context."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow_fixtures import FIELD_MAPPING, people

from airflow_provider_segexport.hooks import callers, get_hook, permission

pytestmark = pytest.mark.airflow


def test_two_processes_of_one_task_do_not_share_a_run_folder(stage, ten_a_call, monkeypatch):
    """Each audience gets its own people. Here, a thread with a context of its own is the process."""
    conn_id = stage.connection("campaign_monitor")
    local, both = threading.local(), threading.Barrier(2)

    def context():
        if not hasattr(local, "context"):
            task = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1, try_number=1, max_tries=1)
            local.context = {"ti": task, "logical_date": datetime(2026, 3, 2, tzinfo=UTC)}
        return local.context

    for module in (callers, permission):
        monkeypatch.setattr(module, "get_current_context", context)

    def export(number):
        hook = get_hook(conn_id)
        both.wait()
        audience = stage.audience("campaign_monitor", number)
        return hook.export(people(300, start=1000 * number), FIELD_MAPPING, audience=audience)["run"]

    with ThreadPoolExecutor(2) as pool:
        runs = set(pool.map(export, (0, 1)))
    assert 2 == len(runs)
    for number in (0, 1):
        assert set(people(300, start=1000 * number)["email"]) == set(stage.members("campaign_monitor", number))

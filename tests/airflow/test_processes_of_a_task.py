"""A task may export in several processes that it forks; each has a copy of the task's context."""

from __future__ import annotations

import errno
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow_fixtures import FIELD_MAPPING, people

from airflow_provider_segexport.hooks import callers, claims, get_hook, permission
from airflow_provider_segexport.hooks.claims import claimed
from airflow_provider_segexport.hooks.paths import state_path

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


def test_the_number_of_a_process_may_be_the_number_of_a_call(monkeypatch):
    """The seventh call of a task has the index `0.7`, which the process with the id 7 takes if `0` is taken."""
    monkeypatch.setattr(claims.os, "getpid", lambda: 7)
    first = callers.Caller(("d", "t", "r", "0"), "d.t", {"ti": None})
    seventh = replace(first, identity=("d", "t", "r", "0.7"))
    with claimed(first) as mine, claimed(seventh) as other, claimed(first) as third:
        indexes = [caller.identity[-1] for caller in (mine, other, third)]
    assert ["0", "0.7", "0.7.7"] == indexes


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EWOULDBLOCK])
def test_a_lock_that_is_not_acquired_leaves_no_file_open(monkeypatch, number):
    """A file system may not lock files at all, or another process may have the lock."""
    opened, closed = [], []

    def flock(descriptor, _):
        opened.append(descriptor)
        raise OSError(number, "flock") if len(opened) == 1 else OSError(errno.ENOLCK, "flock")

    def close(descriptor, close=claims.os.close):
        closed.append(descriptor)
        close(descriptor)

    monkeypatch.setattr(claims.fcntl, "flock", flock)
    monkeypatch.setattr(claims.os, "close", close)
    with claimed(callers.Caller(("d", "t", "r", "0"), "d.t", {"ti": None})):
        assert set(opened) <= set(closed)


def test_a_forked_process_opens_the_store_of_its_parent_again(s3_root):
    """A connection to S3 does not survive a fork, and Airflow keeps the store that the parent has opened."""
    (state_path() / "known").write_bytes(b"x")
    context = multiprocessing.get_context("fork")
    answers = context.Queue()

    def child():
        try:
            answers.put((state_path() / "known").read_bytes())
        except RuntimeError as error:
            answers.put(error)

    process = context.Process(target=child)
    process.start()
    assert b"x" == answers.get(timeout=60)
    process.join(60)
    assert ["state/known"] == list(s3_root())

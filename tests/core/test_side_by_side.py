"""Independent requests to object storage are carried out at the same time, and on a disk one after the other."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from upath import UPath

from airflow_provider_segexport.storage.side_by_side import side_by_side


def fail(text: str) -> None:
    raise OSError(text)


def test_in_object_storage_tasks_wait_for_each_other():
    """Each of two tasks ends only when the other has begun."""
    both = threading.Barrier(2, timeout=10)

    def task(number: int) -> int:
        both.wait()
        return number

    assert side_by_side(UPath("memory://side/run"), partial(task, 1), partial(task, 2)) == [1, 2]


def test_on_a_disk_tasks_run_in_order_in_this_thread(tmp_path):
    threads = side_by_side(tmp_path, threading.current_thread, threading.current_thread)
    assert threads == [threading.current_thread()] * 2


def test_in_object_storage_the_first_error_is_raised_after_all_tasks_have_ended():
    begun, ended = threading.Event(), []

    def slow() -> None:
        begun.wait(10)
        ended.append("slow")

    def failing() -> None:
        begun.set()
        fail("first")

    with pytest.raises(OSError, match="first"):
        side_by_side(UPath("memory://side/run"), slow, failing, partial(fail, "second"))
    assert ended == ["slow"]


def test_on_a_disk_nothing_is_done_after_an_error(tmp_path):
    done = []
    with pytest.raises(OSError, match="first"):
        side_by_side(tmp_path, partial(fail, "first"), partial(done.append, 1))
    assert not done


def test_no_task_is_no_request():
    assert side_by_side(UPath("memory://side/run")) == []

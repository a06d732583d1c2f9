"""Erasures of several people at the same time, and an erasure while a run makes its plan."""

from __future__ import annotations

from contextlib import suppress

import pyarrow as pa
import pytest
from core.person_files import ADA, NOW, ROWS, ledger, root, tools

from airflow_provider_segexport.person import files
from airflow_provider_segexport.person.erase import erase
from airflow_provider_segexport.person.one_erasure import alone
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.storage.files import write_parquet
from airflow_provider_segexport.storage.folder_names import safe_name
from airflow_provider_segexport.storage.history import ledger_paths
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.paths import ensure_folder, write

__all__ = ["root"]

BOB = Person.of("bob@example.com")


@pytest.fixture
def run(root):
    """A finished run whose rejects hold two people."""
    ledger(root, {"cy@example.com": "member"})
    made = ensure_folder(root / "runs" / "dag" / "task" / "r" / "0" / "01")
    write(made / "summary.json", b'{"finished": true}')
    write_parquet(made / "rejects.parquet", [pa.record_batch([[1, 2], [ADA.email, BOB.email]], schema=ROWS)], ROWS)
    return made


def test_two_erasures_at_once_bring_no_person_back(root, run, monkeypatch):
    """Each reads a table, removes its person and writes the table."""
    write_table, receipts = files.write_parquet, []

    def late(*arguments):
        monkeypatch.setattr(files, "write_parquet", write_table)
        receipts.append(erase(tools(root), BOB, "Ann"))
        write_table(*arguments)

    monkeypatch.setattr(files, "write_parquet", late)
    receipts.append(erase(tools(root), ADA, "Ann"))
    assert [False, True] == [receipt.complete for receipt in receipts]
    assert "Another erasure is running" in receipts[0].left[0]
    assert [1, 0] == [files.count(run / "rejects.parquet", person) for person in (BOB, ADA)]
    assert erase(tools(root), BOB, "Ann").complete
    assert 0 == files.count(run / "rejects.parquet", BOB)


def test_a_run_that_makes_its_plan_is_left_and_named(root, run):
    """Its batches are identified by the content of the tables that it has written so far."""
    [held] = ledger_paths(root)
    planning = ensure_folder(root / "runs" / "dag" / "task" / safe_name("manual/1+00:00") / "0.2" / "01")
    write_parquet(planning / "not_sent.parquet", [pa.record_batch([[1], [ADA.email]], schema=ROWS)], ROWS)
    lease = Lease(held, "dag/task/manual/1+00:00/0.2", clock=lambda: NOW, sleep=lambda _: None)
    lease.acquire()
    [left] = erase(tools(root), ADA, "Ann").left
    assert left.startswith(f"{planning}: a run that is not finished. To fix: let it finish, because it is making")
    assert 1 == files.count(planning / "not_sent.parquet", ADA)
    lease.release()
    assert erase(tools(root), ADA, "Ann").complete
    assert 0 == files.count(planning / "not_sent.parquet", ADA)


def test_a_run_that_makes_its_plan_is_named_before_it_has_written_a_table(root, run):
    """It has read the segment, perhaps with the person in it, and writes its tables after the erasure."""
    [held] = ledger_paths(root)
    planning = ensure_folder(root / "runs" / "dag" / "task" / "r" / "1" / "01")
    write(planning / "config.json", b"{}")
    lease = Lease(held, "dag/task/r/1", clock=lambda: NOW, sleep=lambda _: None)
    lease.acquire()
    [left] = erase(tools(root), ADA, "Ann").left
    assert left.startswith(f"{planning}: a run that is not finished. To fix: let it finish, because it is making")
    lease.release()
    assert erase(tools(root), ADA, "Ann").complete


def test_a_run_whose_folder_no_record_names_yet_is_named(root, run):
    """Its `reports_path` is elsewhere, and it makes the first plan of its task."""
    [held] = ledger_paths(root)
    lease = Lease(held, "dag/elsewhere/r/0", clock=lambda: NOW, sleep=lambda _: None)
    lease.acquire()
    [left] = erase(tools(root), ADA, "Ann").left
    assert left.startswith("dag/elsewhere/r/0: a run that writes an audience, and whose run folder no record names yet")
    lease.release()
    command = Lease(held, "segexport/repair/0123abcd", clock=lambda: NOW, sleep=lambda _: None)
    command.acquire()
    assert erase(tools(root), ADA, "Ann").complete
    command.release()


class Waits(Exception):
    """A task of many erasures waits for another erasure."""


def test_an_erasure_has_its_turn_beside_a_task_that_erases_many_people(root):
    """Whenever the erasure looks, the task has begun with its next person."""

    def waits(_seconds):
        raise Waits

    def begin_next(_seconds):
        task.pop().__exit__(None, None, None)
        following = alone(root, lambda: NOW, waits)
        with suppress(Waits):
            following.__enter__()
            task.append(following)

    task = [alone(root, lambda: NOW, waits)]
    task[0].__enter__()
    with alone(root, lambda: NOW, begin_next) as check:
        check()
    assert task == []

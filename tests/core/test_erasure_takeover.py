"""An erasure holds the lease of its audience: what it does if another holder came before, or takes over."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pyarrow as pa
import pytest
from core.person_files import ADA, NOW, ledger, root, tools

from airflow_provider_segexport import fencing
from airflow_provider_segexport.errors import FatalError
from airflow_provider_segexport.export.release import Release, release
from airflow_provider_segexport.export.repair import repair
from airflow_provider_segexport.person.erase import erase
from airflow_provider_segexport.person.explain import row
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_schema import SCHEMA
from airflow_provider_segexport.storage.paths import ensure_folder, write

__all__ = ["root"]


def taken_by(path, owner, now):
    """A lease that another run holds, which Airflow has ended or which has run out."""
    lease = Lease(path, owner, clock=lambda: now, sleep=lambda _: None, is_task_running=lambda _: False)
    lease._keep = lambda: None
    lease.acquire()
    return lease


def test_an_erasure_that_is_taken_over_sends_nothing_more(root):
    """It was suspended, and a run has taken the audience: its next attempt of a call does not leave."""
    audience_ledger = ledger(root, {"ada@example.com": "member"})
    sent = []

    def take_out(record, person):
        taken_by(record.path, "dag/task/run/0", NOW + 1)
        fencing.check_fence()
        sent.append(person)
        return "removed"

    receipt = erase(tools(root, take_out), ADA, "test")
    assert sent == []
    assert "taken over by dag/task/run/0" in receipt.left[0]
    assert row(audience_ledger, 1, ADA) is not None


def test_an_erasure_that_is_taken_over_leaves_the_ledger_to_its_successor(root):
    """Taken over when the person was out at the vendor: no file of the ledger is written."""
    audience_ledger = ledger(root, {"ada@example.com": "member"})

    def take_out(record, person):
        taken_by(record.path, "dag/task/run/0", NOW + 1)
        return "removed"

    receipt = erase(tools(root, take_out), ADA, "test")
    assert not receipt.complete
    assert row(audience_ledger, 1, ADA) is not None


def test_an_erasure_waits_for_the_last_call_of_a_run_that_was_killed(root):
    """Its call might add the person again; the next export looks at its journal once more."""
    audience_ledger = ledger(root, {"ada@example.com": "member"})
    dead = taken_by(audience_ledger.path, "dag/task/killed/0", NOW - 1000)
    folder = str(root / "runs" / "dag" / "task" / "killed" / "0" / "01")
    AudienceState(owner="e", sharers=("e",)).opened("dag/task/killed/0", folder, dead.writer_token).write(
        audience_ledger.path
    )
    slept, at_the_vendor = [], []

    def take_out(record, person):
        at_the_vendor.append(sum(slept))
        return "removed"

    hands = replace(tools(root, take_out), sleep=slept.append, longest_call_s=lambda _: 40.0)
    assert erase(hands, ADA, "test").complete
    assert at_the_vendor == [40.0]
    assert [(folder, dead.writer_token)] == [
        (doubt.folder, doubt.writer_token) for doubt in AudienceState.of(audience_ledger.path).doubts
    ]
    assert row(audience_ledger, 1, ADA) is None


def test_a_person_who_came_in_while_an_erasure_waited_is_taken_out(root):
    """The ledger is read when the audience is held."""
    audience_ledger = ledger(root, {"ada@example.com": "removed"})
    dead = taken_by(audience_ledger.path, "dag/task/killed/0", NOW - 1000)
    AudienceState(owner="e", sharers=("e",)).opened("dag/task/killed/0", "runs/killed", dead.writer_token).write(
        audience_ledger.path
    )
    taken_out = []

    def sleep(_):
        if audience_ledger.version() == 1:
            table = pa.Table.from_pylist([{"email": "ada@example.com", "state": "member"}], SCHEMA)
            Ledger(audience_ledger.path, SimpleNamespace(number=9, writer_token="", check=lambda: None)).commit(
                table.to_batches(), 1
            )

    hands = replace(
        tools(root, lambda record, person: taken_out.append(person) or "removed"),
        sleep=sleep,
        longest_call_s=lambda _: 1.0,
    )
    erase(hands, ADA, "test")
    assert taken_out == [ADA]


@pytest.mark.parametrize("in_between", ["release", "repair"])
def test_a_command_that_comes_between_leaves_the_wait_to_the_next_run(root, in_between):
    """It has taken over from a run that may be suspended, and has sent nothing itself: the next run waits for it."""
    audience_ledger = ledger(root, {"ada@example.com": "member"})
    dead = taken_by(audience_ledger.path, "dag/task/killed/0", NOW - 1000)
    killed = ensure_folder(root / "runs" / "killed")
    write(killed / "config.json", b"{}")
    AudienceState(owner="e", sharers=("e",)).opened("dag/task/killed/0", str(killed), dead.writer_token).write(
        audience_ledger.path
    )
    clocks = {"clock": lambda: NOW, "sleep": lambda _: None}
    if in_between == "repair":
        repair(audience_ledger.path, tools(root).resolve, **clocks)
    else:
        with pytest.raises(FatalError, match="has not ended"):
            release(audience_ledger.path, Release("e"), **clocks)
    after = Lease(audience_ledger.path, "dag/task/next/0", **clocks)
    after.acquire()
    assert after.unclean
    after.release()

"""The journal in object storage: at any kill or failed write no stored result is lost, and no lost object unseen."""

from __future__ import annotations

from contextlib import suppress

import pytest
from core.group_commits import SENDING, SETTLED, Calls, FailingStore, created, names, parts, states, store

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.storage import group_commit, journal_objects
from airflow_provider_segexport.storage.journal import Entry, Journal
from airflow_provider_segexport.storage.paths import list_names, read, write

__all__ = ["store"]


@pytest.mark.parametrize("stores", [False, True], ids=["lost", "response lost"])
@pytest.mark.parametrize("at", range(30))
def test_a_kill_at_any_write(store, monkeypatch, at, stores):
    """From any write on, nothing is stored: groups with intents written ahead or not, the first object, folded ones.

    Each call that left has an intent, everything acknowledged before is there, and the journal is whole.
    """
    monkeypatch.setattr(group_commit, "FOLD_AFTER", 3)
    calls = Calls(created(store))
    before = names(5, first=900)
    calls.make(before)
    with monkeypatch.context() as killed:
        FailingStore(killed, at, stores=stores)
        with suppress(OSError):
            calls.make(names(80))
            calls.make(names(20, first=80), planned=[])
    after = states(store)
    Journal(store).check()
    assert set(calls.left) <= set(after)
    assert {after[batch] for batch in before} == {SETTLED}
    assert {batch for batch, state in after.items() if state is SETTLED} <= {*calls.recorded, *calls.left}
    retry = Calls(Journal(store))
    retry.make([batch for batch in names(100) if after.get(batch) is not SETTLED])
    assert states(store) == dict.fromkeys([*before, *names(100)], SETTLED)
    Journal(store).check()


@pytest.mark.parametrize("stores", [False, True], ids=["lost", "response lost"])
@pytest.mark.parametrize("at", range(4))
def test_a_store_that_fails_once_loses_no_result(store, monkeypatch, at, stores):
    """The sending stops, and the end of the block stores what was recorded until then."""
    calls = Calls(created(store))
    FailingStore(monkeypatch, at, stores=stores, times=1)
    with suppress(OSError):
        calls.make(names(60))
    after = states(store)
    assert {batch for batch, state in after.items() if state is SETTLED} >= set(calls.recorded)
    assert {batch for batch, state in after.items() if state is SENDING} <= {*calls.left, *names(60)[len(calls.left) :]}
    Journal(store).check()


def test_an_object_that_lands_late_changes_nothing(store, monkeypatch):
    """A put that failed is repeated with the same content, so the first one may still arrive after later objects."""
    late, journal = [], created(store)

    def lose_first(path, content):
        if not late:
            late.append((path, content))
            raise OSError(5, "no response")
        write(path, content)

    monkeypatch.setattr(group_commit, "write", lose_first)
    with suppress(OSError):  # a failure before the wait begins is mended by the wait itself
        journal.write([Entry("a", SENDING, 1)])
    journal.write([Entry("b", SENDING, 1)])
    journal.write([Entry("a", SETTLED, 1)])
    journal.sync()
    assert late
    write(*late[0])
    assert states(store) == {"a": SETTLED, "b": SENDING}
    Journal(store).check()


def test_each_lost_object_is_noticed(store):
    """Also the newest one, of each process, because the first object names it."""
    for session in range(2):
        journal = created(store)
        for number in range(3):
            journal.write([Entry(f"{session}{number}", SENDING, 1)])
        with journal.sending((), 1):
            pass
    Journal(store).check()
    files = list_names(store)
    assert len(files) == 7
    for name in files:
        content = read(store / name)
        (store / name).unlink()
        with pytest.raises(DamagedState, match="gone"):
            Journal(store).check()
        write(store / name, content)
    for name in files[1:4]:
        (store / name).unlink()
    with pytest.raises(DamagedState, match="gone"):
        Journal(store).check()


def test_a_tail_that_was_not_acknowledged_may_be_absent(store, monkeypatch):
    """The process was killed after it stored an object and before the first object named it: with it, and without."""
    journal = created(store)
    journal.write([Entry("a", SENDING, 1)])
    with journal.sending((), 1):
        pass
    FailingStore(monkeypatch, 1)
    with suppress(OSError):
        journal.write([Entry("b", SENDING, 1)])
    assert states(store) == {"a": SENDING, "b": SENDING}
    Journal(store).check()
    (store / parts(store)[-1].name).unlink()
    Journal(store).check()


def test_objects_that_cannot_be_deleted_do_not_count(store, monkeypatch):
    """A bucket may forbid deletion."""
    monkeypatch.setattr(group_commit, "FOLD_AFTER", 3)

    def refuse(*_):
        raise PermissionError(13, "denied")

    monkeypatch.setattr(group_commit, "remove", refuse)
    calls = Calls(created(store))
    for first in range(0, 100, 10):
        calls.make(names(10, first), planned=[])
    read_parts = journal_objects.find(store, contents=True)
    assert len(read_parts.groups) < 3
    assert len(read_parts.covered) > 10
    assert states(store) == dict.fromkeys(names(100), SETTLED)
    Journal(store).check()


def test_a_journal_that_is_folded_while_it_is_read(store, monkeypatch):
    """A listing from before names objects that are gone by now: the journal is listed again."""
    monkeypatch.setattr(group_commit, "FOLD_AFTER", 3)
    journal = created(store)
    journal.write([Entry("a", SENDING, 1)])
    stale = [list_names(store)]
    for number in range(6):
        journal.write([Entry(f"{number}", SETTLED, 1)])
    journal.sync()
    listing = journal_objects.listing
    monkeypatch.setattr(journal_objects, "listing", lambda path: stale.pop() if stale else listing(path))
    assert set(states(store)) == {"a", *map(str, range(6))}
    assert not stale
    Journal(store).check()


@pytest.mark.parametrize("damage", ["cut", "copied", "changed"])
def test_a_damaged_object_is_noticed(store, damage):
    """Lines are missing, it was written under another name, or a byte has changed."""
    journal = created(store)
    journal.write([Entry("a", SENDING, 1), Entry("b", SENDING, 1)])
    journal.write([Entry("a", SETTLED, 1)])
    journal.sync()
    first, second = (store / part.name for part in parts(store))
    content = read(first)
    if damage == "cut":
        write(first, content[: content.rindex(b"\n", 0, -1) + 1])
    elif damage == "copied":
        write(first, read(second))
    else:
        write(first, content.replace(b'"batch":"b"', b'"batch":"c"'))
    with pytest.raises(DamagedState):
        Journal(store).states()
    assert Journal(store, lenient=True).states()["a"].state is SETTLED

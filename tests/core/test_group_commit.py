"""The journal in object storage: how many objects it writes, when intents are stored, what other processes read."""

from __future__ import annotations

import threading

import pytest
from core.group_commits import SENDING, SETTLED, Calls, created, names, parts, states, store

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.storage import group_commit
from airflow_provider_segexport.storage.grouped_writes import AHEAD_BATCHES
from airflow_provider_segexport.storage.journal import Entry, Journal
from airflow_provider_segexport.storage.journal_entries import AHEAD_VALID_S, encoded
from airflow_provider_segexport.storage.journal_objects import CREATED, FIRST_OBJECT
from airflow_provider_segexport.storage.paths import list_names, read, write

__all__ = ["store"]


def test_an_object_serves_twenty_calls(store):
    """Two hundred calls leave a dozen objects of entries at most, and every call's result is in them."""
    calls, batches = Calls(created(store)), names(200)
    calls.make(batches)
    assert states(store) == dict.fromkeys(batches, SETTLED)
    assert max(part.number for part in parts(store)) < 200 / AHEAD_BATCHES + 2
    Journal(store).check()


def test_no_call_leaves_before_its_intent_is_stored(store):
    """Another process finds the intent of each call that leaves, whether it was written ahead or for itself."""
    journal, batches = created(store), names(30)
    with journal.sending(batches[:25], 1):
        for batch in batches:
            journal.write_intents([Entry(batch, SENDING, 1)])
            journal.sync(batch)
            assert states(store)[batch] is SENDING


def test_a_call_waits_while_its_intent_is_being_stored(store, monkeypatch):
    may_store, journal = threading.Event(), created(store)

    def slow(path, content):
        assert may_store.wait(10)
        write(path, content)

    monkeypatch.setattr(group_commit, "write", slow)
    with journal.sending(["a"], 1):
        journal.write_intents([Entry("a", SENDING, 1)])
        call = threading.Thread(target=journal.sync, args=["a"])
        call.start()
        call.join(0.05)
        assert call.is_alive()
        may_store.set()
        call.join(10)
        assert not call.is_alive()


def test_a_long_journal_is_folded(store):
    """Eight hundred calls leave fewer than fifty objects; a folded object that is lost is noticed."""
    calls = Calls(created(store))
    for first in range(0, 800, 10):
        calls.make(names(10, first), planned=[])
    assert len(list_names(store)) < 50
    assert states(store) == dict.fromkeys(names(800), SETTLED)
    Journal(store).check()
    [folded] = [part for part in parts(store) if part.is_folded]
    (store / folded.name).unlink()
    with pytest.raises(DamagedState, match="gone"):
        Journal(store).check()


def version_1(store, sessions: int = 3, objects: int = 40) -> None:
    """Write a journal as version 1 did: one object a write, without headers."""
    write(store / FIRST_OBJECT, CREATED + b"\n")
    for session in range(1, sessions + 1):
        for number in range(objects):
            entry = Entry(f"{session:02x}{number:02x}", SETTLED, 1, accepted=1)
            write(store / f"journal-{session:04d}-{number:07d}.jsonl", encoded(entry) + b"\n")


def test_a_journal_of_version_1_is_read_checked_and_folded(store):
    version_1(store)
    Journal(store).check()
    old = states(store)
    assert len(old) == 120
    lost = store / "journal-0002-0000007.jsonl"
    content = read(lost)
    lost.unlink()
    with pytest.raises(DamagedState, match="an earlier part"):
        Journal(store).check()
    write(lost, content)
    journal = Journal(store)
    journal.states()
    Calls(journal).make(["new"])
    assert states(store) == old | {"new": SETTLED}
    assert len(list_names(store)) < 5
    Journal(store).check()


def test_intents_that_were_not_used_are_withdrawn(store):
    """At the end of the block only calls that were made have entries; until then, the others may have left."""
    journal, batches = created(store), names(30)
    with journal.sending(batches, 1):
        journal.write_intents([Entry(batches[0], SENDING, 1)])
        journal.sync(batches[0])
        assert set(states(store)) == set(batches[: AHEAD_BATCHES + 1])
        entry = Journal(store).states()[batches[5]]
        assert entry.may_leave_until == pytest.approx(entry.written_at + AHEAD_VALID_S)
    assert states(store) == {batches[0]: SENDING}


@pytest.mark.parametrize(("rows", "ahead"), [(1_000, 20), (5_000, 4), (50_000, 0)])
def test_intents_ahead_are_bounded_by_rows(store, rows, ahead):
    """After a kill their rows count as sent."""
    journal = created(store)
    with journal.sending(names(100), rows):
        journal.write_intents([Entry("0000", SENDING, rows)])
        journal.sync("0000")
        assert len(states(store)) == 1 + ahead


def test_an_old_intent_is_written_again_before_its_call(store):
    """So the time of an unanswered call is known."""
    now = [1000.0]
    journal = Journal(store, clock=lambda: now[0])
    with journal.sending(["a", "b"], 1):
        journal.write_intents([Entry("a", SENDING, 1)])
        now[0] += AHEAD_VALID_S
        journal.write_intents([Entry("b", SENDING, 1)])
        journal.sync("b")
        entry = Journal(store).states()["b"]
        assert (entry.written_at, entry.ahead) == (now[0], "")


def test_two_processes_write_side_by_side(store, monkeypatch):
    """An earlier attempt that was only suspended neither replaces an object of the newer one nor withdraws its intents.

    Both fold what they know.
    """
    monkeypatch.setattr(group_commit, "FOLD_AFTER", 3)
    old, new = created(store), created(store)
    with old.sending(["a", "b"], 1):
        old.write_intents([Entry("a", SENDING, 1)])
        old.sync("a")
        new.reload()
        new.states()
        with new.sending([], 1):
            new.write_intents([Entry("b", SENDING, 1)])
            new.sync("b")
        for number in range(6):
            new.write([Entry(f"n{number}", SETTLED, 1)])
        old.write([Entry("a", SETTLED, 1)])
    assert states(store)["b"] is SENDING
    for number in range(6):
        old.write([Entry(f"o{number}", SETTLED, 1)])
    expected = {"a": SETTLED, "b": SENDING}
    expected |= {f"{writer}{number}": SETTLED for writer in "on" for number in range(6)}
    assert states(store) == expected
    Journal(store).check()

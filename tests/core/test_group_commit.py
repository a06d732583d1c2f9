"""The journal in object storage: no call without a stored intent, no stored result lost, and no lost object unseen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from upath import UPath

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.storage import group_commit, journal_objects
from airflow_provider_segexport.storage.grouped_writes import AHEAD_BATCHES
from airflow_provider_segexport.storage.journal import Entry, Journal, State
from airflow_provider_segexport.storage.journal_entries import AHEAD_VALID_S, encoded
from airflow_provider_segexport.storage.journal_objects import CREATED, FIRST_OBJECT, Part
from airflow_provider_segexport.storage.paths import list_names, read, write

SENDING, SETTLED = State.SENDING, State.SETTLED


@pytest.fixture
def store(request) -> Iterator[UPath]:
    path = UPath(f"memory://group-commit-{abs(hash(request.node.name))}")
    yield path
    if path.exists():
        path.fs.rm(path.path, recursive=True)


def names(count: int, first: int = 0) -> list[str]:
    return [f"{number:04x}" for number in range(first, first + count)]


def created(store) -> Journal:
    journal = Journal(store)
    journal.create()
    return journal


class Calls:
    """Makes calls as the sending loop does, and keeps which of them left, and whose results were recorded."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.left: list[str] = []
        self.recorded: list[str] = []

    def make(self, batches: list[str], planned: list[str] | None = None, rows: int = 1) -> None:
        with self.journal.sending(batches if planned is None else planned, rows):
            for batch in batches:
                self.call(batch)

    def call(self, batch: str) -> None:
        self.journal.write_intents([Entry(batch, SENDING, 1)])
        self.journal.sync(batch)
        self.left.append(batch)
        self.journal.write([Entry(batch, SETTLED, 1, accepted=1)])
        self.recorded.append(batch)


def states(store) -> dict[str, State]:
    return {name: entry.state for name, entry in Journal(store).states().items()}


def parts(store) -> list[Part]:
    return [part for part in map(Part.parse, list_names(store)) if part is not None and part.session]


class FailingStore:
    """Fails from a write on: before the object is stored, or after it, when the response is lost."""

    def __init__(self, monkeypatch, at: int, *, stores: bool = False, times: int = 1_000_000) -> None:
        self.at, self.stores, self.times, self.writes = at, stores, times, 0
        monkeypatch.setattr(group_commit, "write", self.write)
        monkeypatch.setattr(group_commit, "remove", self.remove)
        self.lock = threading.Lock()

    @property
    def fails(self) -> bool:
        return self.at <= self.writes < self.at + self.times

    def write(self, path, content) -> None:
        with self.lock:
            fails, self.writes = self.fails, self.writes + 1
        if not fails or self.stores:
            write(path, content)
        if fails:
            raise OSError(5, "503")

    def remove(self, path, removed) -> None:
        if self.fails:
            raise OSError(5, "503")
        group_commit_remove(path, removed)


group_commit_remove = group_commit.remove


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

"""The state of each batch, as it survives a kill."""

from __future__ import annotations

import errno
import json
import os

import pytest
from msgspec.structs import replace
from upath import UPath

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.storage.journal import Entry, Journal, State
from airflow_provider_segexport.storage.paths import write


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "journal.jsonl"


def states(path):
    return {name: entry.state for name, entry in Journal(path.parent).states().items()}


def test_the_last_entry_of_a_batch_counts(path):
    """With the job that the batch became."""
    journal = Journal(path.parent, clock=lambda: 1234.5678)
    entries = [
        Entry("a", State.SENDING, 3),
        Entry("a", State.SUBMITTED, 3, job_id="job 1"),
        Entry("a", State.SETTLED, 3, accepted=1, rejected=1, retry=(2,), has_rows=True),
    ]
    for entry in entries:
        journal.write([entry])
    assert (
        journal.states()
        == Journal(path.parent).states()
        == {"a": replace(entries[-1], job_id="job 1", written_at=1234.568)}
    )
    first = json.loads(path.read_text().splitlines()[0])
    assert len(first.pop("checksum")) == 8
    assert first == {"written_at": 1234.568, "batch": "a", "state": "sending", "rows": 3}


def test_no_journal_yet(path):
    """A run that has not sent anything has no states, and writing nothing makes no file."""
    journal = Journal(path.parent)
    journal.write([])
    assert [journal.states(), path.exists()] == [{}, False]


def test_a_created_journal_has_no_entry_and_is_missed_when_it_is_gone(path):
    """Created again, it keeps its entries; emptied or without its first line, it is damage."""
    journal = Journal(path.parent)
    journal.create()
    assert (journal.begun(), journal.states()) == (False, {})
    journal.write([Entry("a", State.SENDING, 1)])
    Journal(path.parent).create()
    assert states(path) == {"a": State.SENDING}
    Journal(path.parent).check()
    content = path.read_bytes()
    for damaged in (b"", content.partition(b"\n")[2]):
        path.write_bytes(damaged)
        with pytest.raises(DamagedState, match="line 1"):
            Journal(path.parent).check()
    path.unlink()
    with pytest.raises(DamagedState, match="it is gone"):
        Journal(path.parent).check()


def test_a_torn_last_line_is_passed_over(path):
    """Cut at any byte, the entries before are read, and what the next process writes is read too."""
    journal = Journal(path.parent)
    journal.write([Entry("a", State.SENDING, 1), Entry("b", State.SENDING, 1)])
    journal.write([Entry("a", State.SETTLED, 1, accepted=1)])
    content = path.read_bytes()
    begin = content.rindex(b"\n", 0, -1) + 1
    for end in range(begin, len(content)):
        path.write_bytes(content[:end])
        complete = end >= len(content) - 1
        assert states(path)["a"] is (State.SETTLED if complete else State.SENDING)
        Journal(path.parent).write([Entry("b", State.SETTLED, 1, accepted=1)])
        assert states(path) == {"a": State.SETTLED if complete else State.SENDING, "b": State.SETTLED}


def test_a_journal_torn_time_and_again_keeps_every_complete_line(path):
    """Each process dies in its write, at any byte of it, and the next one writes the rest."""
    for first in range(1, 60):
        for second in range(0, 60, 7):
            path.unlink(missing_ok=True)
            Journal(path.parent).create()
            for batch, end in (("a", first), ("b", second)):
                before = len(path.read_bytes().rpartition(b"\n")[0])
                Journal(path.parent).write([Entry(batch, State.SENDING, 1)])
                path.write_bytes(path.read_bytes()[: before + 1 + end])
                Journal(path.parent).check()
                states(path)
            Journal(path.parent).write([Entry("c", State.SENDING, 1)])
            assert states(path) == {"c": State.SENDING}
            assert path.read_bytes().count(b"\n") == 2


def fail(*_: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_a_write_that_fails_keeps_no_other_call_from_its_sync(path, monkeypatch):
    """Another thread has written the intent of its call before: the call waits until that is on the disk."""
    journal, synced = Journal(path.parent), []
    journal.write([Entry("a", State.SENDING, 1)])
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", fail)
        with pytest.raises(OSError, match="Input"):
            journal.write([Entry("b", State.SENDING, 1)])
    monkeypatch.setattr(os, "fdatasync", synced.append)
    journal.sync("a")
    assert synced


def test_after_a_sync_that_failed_no_call_leaves(path, monkeypatch):
    """The system reports such an error once, and the lines may be lost: every other sync of the process fails, too."""
    journal = Journal(path.parent)
    journal.write([Entry("a", State.SENDING, 1), Entry("b", State.SENDING, 1)])
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fail)
        with pytest.raises(OSError, match="Input"):
            journal.sync("a")
    with pytest.raises(OSError, match="Input"):
        journal.sync("b")


def test_a_line_torn_by_a_full_disk_is_passed_over(path, monkeypatch):
    """The same process writes on a line of its own when there is space again."""
    journal, write_all, calls = Journal(path.parent), os.write, []

    def write_half(descriptor: int, content: bytes) -> int:
        calls.append(content)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_all(descriptor, content[: len(content) // 2])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write_half)
        with pytest.raises(OSError, match="No space"):
            journal.write([Entry("a", State.SENDING, 1)])
    journal.write([Entry("b", State.SENDING, 1)])
    assert states(path) == {"b": State.SENDING}


def test_states_that_were_asked_for_do_not_change(path):
    """A caller walks over what it was given while others write."""
    journal = Journal(path.parent)
    journal.write([Entry("a", State.SENDING, 1)])
    before = journal.states()
    journal.write([Entry("a", State.SPLIT, 1), Entry("b", State.SENDING, 1)])
    assert {name: entry.state for name, entry in before.items()} == {"a": State.SENDING}


def test_a_journal_holds_no_person(path):
    """Batches go by names made of their content's hash."""
    Journal(path.parent).write([Entry("0f3a", State.SETTLED, 2, accepted=1, rejected=1, has_rows=True)])
    assert "@" not in path.read_text()


@pytest.mark.parametrize("name", ["journal-notes.jsonl", "journal (1).jsonl", "journal.jsonl.bak", "Journal.jsonl"])
@pytest.mark.parametrize("root", ["disk", "memory"])
def test_a_file_beside_the_journal_is_none_of_its_parts(tmp_path, name, root):
    """A person or a tool has copied it there: it is neither read nor counted."""
    folder = tmp_path if root == "disk" else UPath(f"memory://journals/{tmp_path.name}")
    journal = Journal(folder)
    journal.create()
    journal.write([Entry("a", State.SENDING, 3)])
    write(folder / name, b"not ours")
    fresh = Journal(folder)
    fresh.check()
    assert {"a"} == set(fresh.states())
    fresh.write([Entry("b", State.SENDING, 3)])
    assert {"a", "b"} == set(Journal(folder).states())


def test_a_folder_in_place_of_the_journal_is_damage(path):
    path.mkdir(parents=True)
    journal = Journal(path.parent)
    for act in (journal.check, journal.states):
        with pytest.raises(DamagedState, match="it is a folder"):
            act()

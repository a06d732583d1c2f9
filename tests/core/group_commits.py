"""A journal in a bucket that fails from a write on, and calls as the sending loop makes them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from upath import UPath

from airflow_provider_segexport.storage import group_commit
from airflow_provider_segexport.storage.journal import Entry, Journal, State
from airflow_provider_segexport.storage.journal_objects import Part
from airflow_provider_segexport.storage.paths import list_names, write

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
    """Makes calls as the sending loop does, and records the calls that were sent and the results that were recorded."""

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

"""One holder at a time over machines that share nothing but named texts, such as Airflow Variables.

Such a store has no compare-and-set: the last writer wins. So a claim is written, given time to be overwritten by
whoever wrote at the same moment, and read again: who finds their own name holds it. On one machine a file lock comes
first, so that only one process of it takes part.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import pathlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from airflow_provider_segexport.errors import RetryableError
from airflow_provider_segexport.storage.private import open_private, own_folder


class Shelf(Protocol):
    """Named texts that every machine sees."""

    def get(self, key: str) -> str | None:
        """The text, if there is one."""

    def set(self, key: str, text: str) -> None:
        """Put a text; on return every machine sees it."""

    def delete(self, key: str) -> None:
        """Take a text away, if it is there."""

    def keys(self, prefix: str) -> list[str]:
        """Return the names that begin so, as far as the store can list them."""


def file_locks() -> pathlib.Path:
    """Where this machine's locks stand: a folder of this user alone."""
    return own_folder("segexport-locks")


@dataclass(frozen=True, slots=True)
class VariableLock:
    """Takes and gives back claims.

    Attributes:
        hold_s: a claim older than this is void: its holder has died.
        write_visibility_s: longer than two writes that overlap may take to become visible.
        timeout_s: after so long the caller is told to try again.
    """

    shelf: Shelf
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    locks: pathlib.Path = field(default_factory=file_locks)
    hold_s: float = 120.0
    write_visibility_s: float = 0.5
    timeout_s: float = 300.0

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """Hold the key while in it."""
        with self._machine(key):
            name = uuid.uuid4().hex
            self._take(key, name)
            try:
                yield
            finally:
                if self._holder(key) == name:
                    self.shelf.delete(key)

    def _take(self, key: str, name: str) -> None:
        until = self.clock() + self.timeout_s
        while True:
            if self._holder(key) is None:
                self.shelf.set(key, json.dumps({"by": name, "until": self.clock() + self.hold_s}))
                self.sleep(self.write_visibility_s)
                if self._holder(key) == name:
                    return
            if self.clock() > until:
                raise RetryableError(f"Another machine has held {key} for {self.timeout_s:.0f} s.")
            self.sleep(self.write_visibility_s)

    def _holder(self, key: str) -> str | None:
        """Who holds the key; a claim that has run out is nobody's."""
        text = self.shelf.get(key)
        if not text:
            return None
        try:
            found = json.loads(text)
            by, until = str(found["by"]), float(found["until"])
        except (ValueError, TypeError, KeyError):
            return None
        return by if self.clock() < until <= self.clock() + 2 * self.hold_s else None

    @contextmanager
    def _machine(self, key: str) -> Iterator[None]:
        """One process of this machine; the lock goes with its holder, however that ends."""
        name = hashlib.sha256(key.encode()).hexdigest()[:24]
        with open_private(self.locks / f"{name}.lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

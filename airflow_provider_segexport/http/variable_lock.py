"""Locks a key across machines that share only a store of texts, such as Airflow Variables.

Such a store has no compare-and-set: the last writer wins. A process therefore writes its claim, waits until a
simultaneous write of another process would be visible, and reads the claim again. If it still names this process, the
process holds the lock. A file lock comes first, so that only one process of each machine takes part
(`docs/decisions/0004-claims-on-variables.md`).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import pathlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any, Protocol

from airflow_provider_segexport.errors import RetryableError, Superseded
from airflow_provider_segexport.json_values import number, parse_object, text
from airflow_provider_segexport.storage.private import open_private, own_folder


class TextStore(Protocol):
    """Texts by key that every machine can read and write."""

    def get(self, key: str) -> str | None:
        """Return a text; None if there is none. Raise `RetryableError` if that is unknown."""

    def set(self, key: str, text: str) -> None:
        """Write a text. When this returns, every machine can read it."""

    def delete(self, key: str) -> None:
        """Delete a text, if it exists."""

    def keys(self, prefix: str) -> list[str]:
        """Return the keys with a prefix; empty if the store cannot list keys."""


class LockLost(Superseded):
    """The process was suspended for so long that another process may hold its lock. The call is not retried."""


def file_locks() -> pathlib.Path:
    """Return the folder of this machine's lock files. Only this user can access it."""
    return own_folder("segexport-locks")


@dataclass(frozen=True, slots=True)
class VariableLock:
    """Locks keys in a text store.

    Attributes:
        store: holds the claims.
        clock: returns epoch seconds.
        sleep: waits for seconds.
        locks: the folder of this machine's lock files.
        hold_s: seconds until a claim expires, because its process may have died.
        write_visibility_s: seconds after which two overlapping writes are visible to both processes.
        timeout_s: maximum seconds to wait for the lock.
    """

    store: TextStore
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    locks: pathlib.Path = field(default_factory=file_locks)
    hold_s: float = 120.0
    write_visibility_s: float = 0.5
    timeout_s: float = 300.0

    @contextmanager
    def hold(self, key: str) -> Iterator[Callable[[], None]]:
        """Hold the lock of a key until the block ends.

        Yields:
            A check that raises `LockLost` if this process no longer holds the lock, because the claim expired while the
            process was suspended.

        Raises:
            RetryableError: another process holds the lock for longer than `timeout_s`.
        """

        def check() -> None:
            if self._holder(key) != claim_id:
                raise LockLost(f"The lock {key} has expired, and another process may hold it now.")

        with self._machine_lock(key):
            claim_id = uuid.uuid4().hex
            self._acquire(key, claim_id)
            try:
                yield check
            finally:
                with suppress(RetryableError):  # the store cannot be read now; the claim expires
                    if self._holder(key) == claim_id:
                        self.store.delete(key)

    def _acquire(self, key: str, claim_id: str) -> None:
        gives_up_at = self.clock() + self.timeout_s
        while True:
            if self._holder(key) is None:
                self.store.set(key, json.dumps({"by": claim_id, "until": self.clock() + self.hold_s}))
                self.sleep(self.write_visibility_s)
                if self._holder(key) == claim_id:
                    return
            self._wait("machine", key, gives_up_at)

    def _wait(self, holder: str, key: str, gives_up_at: float) -> None:
        """Wait before the next look at a lock that another holds.

        Args:
            holder: the kind of the other one, for the error.
            key: of the lock.
            gives_up_at: epoch seconds.

        Raises:
            RetryableError: the time is over.
        """
        if self.clock() > gives_up_at:
            raise RetryableError(f"Another {holder} has held {key} for {self.timeout_s:.0f} s.")
        self.sleep(self.write_visibility_s)

    def _holder(self, key: str) -> str | None:
        """Return the id of the claim on a key; None if there is none, or if it has expired or is damaged."""
        claim = parse_object(self.store.get(key) or "") or {}
        claim_id, until = text(claim.get("by")) or None, number(claim.get("until"))
        return claim_id if self.clock() < until <= self.clock() + 2 * self.hold_s else None

    @contextmanager
    def _machine_lock(self, key: str) -> Iterator[None]:
        """Lock a key for one process of this machine. The operating system releases the lock if the process dies.

        Raises:
            RetryableError: another process, for example a suspended one, holds the lock for longer than `timeout_s`.
        """
        name = hashlib.sha256(key.encode()).hexdigest()[:24]
        gives_up_at = self.clock() + self.timeout_s
        with open_private(self.locks / f"{name}.lock", "w") as file:
            while not _locked(file):
                self._wait("process of this machine", key, gives_up_at)
            yield


def _locked(file: IO[Any]) -> bool:
    """Lock a file unless another process holds its lock; return whether this process holds it now."""
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False

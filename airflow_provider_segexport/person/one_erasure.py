"""Lets one erasure at a time run: `state root -> lease`.

An erasure reads a table, removes a person and writes the table. Two erasures that rewrite the same table at the same
time would each bring back the person of the other one. The erasure that comes next has a lease of its own. A task that
erases many people waits for that lease before each person, so another erasure has its turn between two of them.

    <root>/erasing/lease/         the erasure that runs now
    <root>/erasing/next/lease/    the erasure that comes next
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow_provider_segexport.errors import AudienceLocked, RetryableError, Superseded
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.paths import StoragePath

log = logging.getLogger(__name__)

MAX_WAIT_S = 900.0
"""Seconds that an erasure waits for others. Each takes minutes at most; a killed one holds the lease for two."""

POLL_S = 2.0
"""Seconds between two attempts to get the lease. Each attempt lists a folder."""

OTHER_ERASURE = "Another erasure is running. To fix: erase again when it has ended."


def new_owner() -> str:
    """Return a name of this erasure, which holds leases."""
    return f"segexport/erase/{secrets.token_hex(4)}"


@contextmanager
def alone(
    root: StoragePath, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Iterator[Callable[[], None]]:
    """Wait until no other erasure runs, and let none begin until the block ends.

    Args:
        root: state root.
        clock: returns epoch seconds.
        sleep: waits for the given seconds.

    Yields:
        A function that raises RetryableError if another erasure has taken over, because this one was suspended.

    Raises:
        RetryableError: other erasures have not ended in time.
    """
    folders = (root / "erasing" / "next", root / "erasing")
    turn, lease = (Lease(folder, new_owner(), clock=clock, sleep=sleep) for folder in folders)
    waited_s = _acquire(turn, sleep, 0.0)
    try:
        _acquire(lease, sleep, waited_s)
    finally:
        turn.release()

    def check() -> None:
        try:
            lease.check()
        except Superseded:
            raise RetryableError(OTHER_ERASURE) from None

    try:
        yield check
    finally:
        lease.release()


def _acquire(lease: Lease, sleep: Callable[[float], None], waited_s: float) -> float:
    """Acquire a lease as soon as it is free.

    Args:
        lease: to acquire.
        sleep: waits for the given seconds.
        waited_s: seconds that this erasure has waited before.

    Returns:
        The seconds that this erasure has waited in all.

    Raises:
        RetryableError: they would be more than `MAX_WAIT_S`.
    """
    while True:
        try:
            lease.acquire()
        except AudienceLocked:
            if waited_s >= MAX_WAIT_S:
                raise RetryableError(OTHER_ERASURE) from None
        else:
            return waited_s
        if not waited_s:
            log.info("Waiting for another erasure")
        sleep(POLL_S)
        waited_s += POLL_S

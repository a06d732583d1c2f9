"""Lets one erasure at a time run: `state root -> lease`.

An erasure reads a table, removes a person and writes the table. Two erasures that rewrite the same table at the same
time would each bring back the person of the other one.

    <root>/erasing/lease/     the erasure that runs now
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

POLL_S = 5.0

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
    lease = Lease(root / "erasing", new_owner(), clock=clock, sleep=sleep)
    waited_s = 0.0
    while True:
        try:
            lease.acquire()
            break
        except AudienceLocked:
            if waited_s >= MAX_WAIT_S:
                raise RetryableError(OTHER_ERASURE) from None
        if not waited_s:
            log.info("Waiting for another erasure")
        sleep(POLL_S)
        waited_s += POLL_S

    def check() -> None:
        try:
            lease.check()
        except Superseded:
            raise RetryableError(OTHER_ERASURE) from None

    try:
        yield check
    finally:
        lease.release()

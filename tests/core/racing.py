"""Functions of the race tests that run in new processes, and receive all state as arguments."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from airflow_provider_segexport.errors import AudienceLocked
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.paths import as_storage_path


def take_leases(barrier: Any, root: str, owner: str, rounds: int, won: Any) -> None:
    """Race for one audience after the other; report the rounds that were won."""
    for number in range(rounds):
        lease = Lease(as_storage_path(Path(root) / str(number)), owner, clock=time.time, sleep=time.sleep)
        barrier.wait()
        try:
            lease.acquire()
        except AudienceLocked:
            continue
        won.put((number, owner))

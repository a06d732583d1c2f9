"""Carries out independent requests to object storage at the same time, because each takes tens of milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from airflow_provider_segexport.storage.paths import StoragePath, as_local_path

WORKERS = 8
"""Requests at the same time at most. A step of a run has fewer than eight independent ones."""


def side_by_side(path: StoragePath, *tasks: Callable[[], Any]) -> list[Any]:
    """Carry out tasks that do not depend on each other.

    Args:
        path: where they read or write. On a local disk they are carried out one after the other, until one fails.
        tasks: the tasks, in the order for a local disk.

    Returns:
        Their results, in the order of the tasks.

    Raises:
        Exception: that of the first task that failed, after all tasks have ended.
    """
    if as_local_path(path) is not None or len(tasks) <= 1:
        return [task() for task in tasks]
    with ThreadPoolExecutor(min(WORKERS, len(tasks)), thread_name_prefix="segexport-store") as pool:
        futures = [pool.submit(task) for task in tasks]
    return [future.result() for future in futures]

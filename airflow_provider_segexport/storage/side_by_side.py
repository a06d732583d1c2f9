"""Carries out independent requests to object storage at the same time, because each takes tens of milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from airflow_provider_segexport.storage.paths import StoragePath, as_local_path

WORKERS = 8
"""Maximum requests at the same time. A step of a run has fewer than eight independent requests."""


def side_by_side(path: StoragePath, *tasks: Callable[[], Any]) -> list[Any]:
    """Carry out tasks that do not depend on each other.

    Args:
        path: a path that the tasks read or write. On a local disk, they run one after the other until one fails.
        tasks: the tasks, in the order for a local disk.

    Returns:
        Their results, in the order of the tasks.

    Raises:
        Exception: the error of the first task that failed, raised after all tasks have ended.
    """
    if as_local_path(path) is not None or len(tasks) <= 1:
        return [task() for task in tasks]
    with ThreadPoolExecutor(min(WORKERS, len(tasks)), thread_name_prefix="segexport-store") as pool:
        futures = [pool.submit(task) for task in tasks]
    return [future.result() for future in futures]

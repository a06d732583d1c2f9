"""What `dag.test()` does in Airflow 3.3 and not yet in 3.2, for tests that stand on it."""

from __future__ import annotations

import functools
from typing import Any

from airflow.sdk.execution_time import supervisor, task_runner
from airflow_home import IS_3_2


def catch_up() -> None:
    """One execution API a process, not one a call; and callbacks find the exception in the task's context.

    A task in a process of its own has the exception there in both versions.
    """
    if not IS_3_2 or hasattr(supervisor.in_process_api_server, "cache_info"):
        return
    supervisor.in_process_api_server = functools.lru_cache(maxsize=1)(supervisor.in_process_api_server)
    finalize = task_runner.finalize

    def with_exception(ti: Any, state: Any, context: Any, log: Any, error: BaseException | None = None) -> None:
        context["exception"] = error
        finalize(ti, state, context, log, error)

    task_runner.finalize = with_exception

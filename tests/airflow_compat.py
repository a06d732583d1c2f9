"""Patches Airflow for the tests: adds behaviour of `dag.test()` that 3.2 lacks, and caches repeated work."""

from __future__ import annotations

import functools
from typing import Any

from airflow.sdk.execution_time import supervisor, task_runner
from airflow_home import IS_3_2
from fastapi.dependencies import utils


def catch_up() -> None:
    """Use one execution API for each process, and put the exception into the context of callbacks.

    A task in its own process has the exception in both versions.
    """
    if not IS_3_2 or hasattr(supervisor.in_process_api_server, "cache_info"):
        return
    supervisor.in_process_api_server = functools.lru_cache(maxsize=1)(supervisor.in_process_api_server)
    finalize = task_runner.finalize

    def with_exception(ti: Any, state: Any, context: Any, log: Any, error: BaseException | None = None) -> None:
        context["exception"] = error
        finalize(ti, state, context, log, error)

    task_runner.finalize = with_exception


def keep_type_adapters() -> None:
    """Let tasks share the validator of rendered fields.

    Airflow builds it again for each template field: 2 ms each, a fifth of a DAG run of one export.
    """
    if hasattr(task_runner, "TypeAdapter") and not hasattr(task_runner.TypeAdapter, "cache_info"):
        task_runner.TypeAdapter = functools.cache(task_runner.TypeAdapter)


def keep_dependants() -> None:
    """Cache FastAPI's analysis of a function's parameters for requests to the in-process execution API.

    FastAPI analyses them again for each request if an application overrides a dependency, as that API does: 3 ms each.
    """
    analyse = utils.get_dependant
    if hasattr(analyse, "__wrapped__"):
        return

    @functools.lru_cache(maxsize=256)
    def analyse_once(scopes: tuple[str, ...] | None, **arguments: Any) -> Any:
        return analyse(parent_oauth_scopes=None if scopes is None else list(scopes), **arguments)

    @functools.wraps(analyse)
    def get_dependant(**arguments: Any) -> Any:
        if "name" not in arguments or "own_oauth_scopes" in arguments:  # a route is defined, not called
            return analyse(**arguments)
        scopes = arguments.pop("parent_oauth_scopes", None)
        return analyse_once(None if scopes is None else tuple(scopes), **arguments)

    utils.get_dependant = get_dependant

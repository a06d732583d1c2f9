"""Which run an export belongs to: `task context -> identity, default export name, default as_of, attempt`."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow.sdk import get_current_context

from airflow_provider_segexport.hooks.as_of import as_of, run_time

CALLS = "segexport_calls"
"""Where a task's context counts the calls of `hook.export`, so that each has a run folder of its own."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What starts an export.

    Attributes:
        identity: DAG, task, run and map index: the path of the run folder, and the run's name in the ledger.
        export: the name of an export that names none.
        context: the task's context; empty outside a task.
        attempt: the number of this try, and how many there may be; (0, 0) outside a task.
    """

    identity: tuple[str, ...]
    export: str
    context: Mapping[str, Any]
    attempt: tuple[int, int] = (0, 0)

    @property
    def run(self) -> str:
        """The run's name in the ledger."""
        return "/".join(self.identity)

    def as_of(self) -> datetime:
        """The time that a segment describes where nothing else says so; outside a task it is now."""
        return as_of(self.context)

    def run_time(self) -> datetime:
        """The time of the task's run: the same in every try."""
        return run_time(self.context)


def of_task(context: Mapping[str, Any]) -> Caller:
    """The task instance of a context."""
    ti = context["ti"]
    return Caller(
        identity=(ti.dag_id, ti.task_id, ti.run_id, str(max(ti.map_index or 0, 0))),
        export=f"{ti.dag_id}.{ti.task_id}",
        context=context,
        attempt=(ti.try_number, ti.max_tries),
    )


def of_call(conn_id: str) -> Caller:
    """What calls a hook: the task that runs, or a program outside any task.

    The first call of a task is the task instance's run, as an operator's would be; the second has `.2` behind the map
    index, and so on, so that calls do not mix up their run folders and a retry finds each again. Outside a task every
    call is a run of its own.
    """
    try:
        context: Any = get_current_context()
        caller = of_task(context)
    except (RuntimeError, KeyError):
        identity = ("hook", conn_id, f"{time.time_ns()}-{secrets.token_hex(3)}", "0")
        return Caller(identity, f"hook.{conn_id}", {})
    number = next(context.setdefault(CALLS, itertools.count(1)))
    if number == 1:
        return caller
    *task, index = caller.identity
    return Caller((*task, f"{index}.{number}"), caller.export, context, caller.attempt)

"""Identifies the run of an export: `task context -> identity, default export name, default as_of, attempt`."""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from airflow.sdk import get_current_context

from airflow_provider_segexport.hooks.as_of import as_of, run_time

log = logging.getLogger(__name__)

HOOK_CALLS_KEY = "segexport_calls"
"""Key of a task's context with the number of calls of `hook.export`, so that each call has its own run folder."""

RUN_OF_OPERATOR = "uses_run_of_task_instance"
"""Attribute of operators that write an audience: their own run has the identity of the task instance."""

RUN_ID_VARIABLE = "AIRFLOW_CTX_DAG_RUN_ID"
"""Environment variable that Airflow sets in a task, and that processes of the task inherit."""


class Try(NamedTuple):
    """A try of a task, as its run folder records it.

    Attributes:
        number: of this try; 0 outside a task.
        max_number: the highest number of tries. Clearing a task raises it (`clear_task_instances`, Airflow 3.3.2).
        run_started: when the DAG run began, ISO 8601; another time for a run that was deleted and created again with
            the same id.
    """

    number: int = 0
    max_number: int = 0
    run_started: str = ""

    def retries(self, earlier: Try) -> bool:
        """Return whether this try is a retry of an earlier one: the task was not cleared, its DAG run not deleted."""
        return earlier.number < self.number and self.is_of_same_run(earlier)

    def is_of_same_run(self, earlier: Try) -> bool:
        """Return whether the task was not cleared, and its DAG run not deleted, since an earlier try."""
        return (earlier.max_number, earlier.run_started) == (self.max_number, self.run_started)


NO_TRY = Try()
"""The try of a caller outside a task."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The task or program that starts an export.

    Attributes:
        identity: DAG, task, run and map index: the path of the run folder, and the run's name in the ledger.
        export_name: the default name of the export.
        context: the task's context; empty outside a task.
        attempt: the try of the task; all zero outside a task.
    """

    identity: tuple[str, ...]
    export_name: str
    context: Mapping[str, Any]
    attempt: Try = NO_TRY

    @property
    def run(self) -> str:
        """Return the run's name in the ledger."""
        return "/".join(self.identity)

    @property
    def segment_index(self) -> str:
        """Return which of several segments of the export this is: the map index or the number of the call.

        It is empty outside a task, and for the first call in a task that is not mapped.
        """
        index = self.identity[-1]
        map_index = self.context["ti"].map_index if self.context else None
        is_mapped = map_index is not None and map_index >= 0
        return index if is_mapped or "." in index else ""

    def as_of(self) -> datetime:
        """Return the default time that a segment describes; outside a task it is now.

        A process that a task has started, such as that of a `@task.virtualenv`, has no context of Airflow.
        """
        if not self.context and (run_id := os.environ.get(RUN_ID_VARIABLE)):
            log.warning(
                "Taking the snapshot as of now, because this process has no context of Airflow (run_id=%s). A "
                "backfill's older segment would count as the newest. To fix: pass `as_of` to the function and on to "
                "the export.",
                run_id,
            )
        return as_of(self.context)

    def run_time(self) -> datetime:
        """Return the time of the task's run, which is the same in every try."""
        return run_time(self.context)


def default_export_name(dag_id: str, task_id: str) -> str:
    """Return `<dag id>.<task id>`, or `<dag id>/<task id>` if the DAG's id has a dot.

    Task `daily.export` of DAG `news` is another export than task `export` of DAG `news.daily`.
    """
    return f"{dag_id}{'/' if '.' in dag_id else '.'}{task_id}"


def task_caller(context: Mapping[str, Any]) -> Caller:
    """Return the caller for a task instance."""
    ti = context["ti"]
    return Caller(
        identity=(ti.dag_id, ti.task_id, ti.run_id, str(max(ti.map_index or 0, 0))),
        export_name=default_export_name(ti.dag_id, ti.task_id),
        context=context,
        attempt=Try(ti.try_number, ti.max_tries, _run_started(context)),
    )


def _run_started(context: Mapping[str, Any]) -> str:
    """Return when the task's DAG run began, or else when it could begin; empty if Airflow does not say."""
    run = context.get("dag_run")
    moment = getattr(run, "start_date", None) or getattr(run, "run_after", None)
    return moment.isoformat() if isinstance(moment, datetime) else ""


def hook_caller(conn_id: str) -> Caller:
    """Return the caller for a call of `hook.export`: the running task, or a program outside any task.

    The first call in a task has the identity of the task instance. The second call has `.2` after the map index, and so
    on, so that each call has its own run folder and a retry finds it again. In the task of an operator that writes an
    audience, the operator's run has the identity of the task instance, and calls are counted from `.2`. Outside a task
    every call is a run of its own.
    """
    try:
        context: Any = get_current_context()
        caller = task_caller(context)
    except (RuntimeError, KeyError):
        identity = ("hook", conn_id, f"{time.time_ns()}-{secrets.token_hex(3)}", "0")
        return Caller(identity, f"hook.{conn_id}", {})
    first = 2 if getattr(context.get("task"), RUN_OF_OPERATOR, False) else 1
    number = next(context.setdefault(HOOK_CALLS_KEY, itertools.count(first)))
    if number == 1:
        return caller
    *task, index = caller.identity
    return Caller((*task, f"{index}.{number}"), caller.export_name, context, caller.attempt)

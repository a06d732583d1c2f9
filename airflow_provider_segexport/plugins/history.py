"""Writes the history of an audience as CSV: `runs -> lines`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from airflow_provider_segexport.plugins.audiences import OUTCOMES, Attempt, RunPoint
from airflow_provider_segexport.plugins.labels import iso
from airflow_provider_segexport.storage.rejects_csv import csv_line

COLUMNS = (
    *("ended_at", "dag_id", "task_id", "run_id", "map_index", "conn_id", "state", "mode", "as_of", "profiles"),
    *OUTCOMES,
    *("removed", "members", "seconds", "ledger_version", "error_code", "error"),
)


def lines(runs: Iterable[RunPoint | Attempt]) -> Iterator[str]:
    """Yield a header, and a line for each run. A run without a plan has no counts."""
    yield csv_line(COLUMNS)
    for run in runs:
        values = {**_identity(run), **(_planned(run) if isinstance(run, RunPoint) else _unplanned(run))}
        yield csv_line(values.get(name, "") for name in COLUMNS)


def _identity(run: RunPoint | Attempt) -> dict[str, Any]:
    identity = run.identity
    names = ("dag_id", "task_id", "run_id", "map_index", "conn_id")
    return {"ended_at": iso(run.at), **{name: getattr(identity, name) for name in names}}


def _planned(run: RunPoint) -> dict[str, Any]:
    names = ("mode", "as_of", "removed", "members", "seconds", "ledger_version", "error")
    values = {name: getattr(run, name) for name in names}
    return {**values, **run.counts, "state": "finished" if run.finished else "failed", "error_code": run.code}


def _unplanned(run: Attempt) -> dict[str, Any]:
    return {"state": str(run.status), "conn_id": run.conn_id, "error_code": run.code, "error": run.error}

"""Fixtures of the Airflow tests: the simulator, connections to it, segments, and DAG runs by Airflow itself.

The clock is the simulator's: a sleep of a hook moves it, so no test waits.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.taskinstance import clear_task_instances
from airflow.models.xcom import XComModel
from airflow.sdk import DAG
from airflow.sdk.definitions.dag import _run_task
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from airflow_compat import catch_up, keep_dependants, keep_type_adapters
from airflow_home import BUNDLE, HOME
from vendors.rows import row

from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from airflow_provider_segexport.simulator import ManualClock, Simulator
from airflow_provider_segexport.simulator.connections import CREDENTIALS
from airflow_provider_segexport.vendors.registry import VENDORS

catch_up()
if not os.environ.get("SEGEXPORT_ALL_TESTS"):
    keep_type_adapters()
    keep_dependants()

NUMBERS = itertools.count(1)
RUN_AFTER = datetime(2026, 3, 2, 4, 30, tzinfo=UTC)
CONSENT = {"privacy_consent": True, "consented_by": "Ann Administrator", "allowed_dags": "*"}
FIELD_MAPPING = {"email": "email", "first_name": "first_name", "last_name": "last_name"}


def simulator() -> Simulator:
    return Simulator(clock=ManualClock(), seed=1)


def people(count: int, *, start: int = 0) -> pd.DataFrame:
    """Return a segment of valid profiles."""
    numbers = range(start, start + count)
    return pd.DataFrame(
        {
            "email": [f"person{n}@example.com" for n in numbers],
            "first_name": [f"First{n}" for n in numbers],
            "last_name": [f"Last{n}" for n in numbers],
            "tier": ["gold" if n % 2 else "silver" for n in numbers],
            "orders": list(numbers),
        }
    )


@dataclass
class Run:
    """A finished DAG run, as stored in Airflow's database."""

    dag_run: Any
    errors: list[BaseException] = field(default_factory=list)

    @property
    def state(self) -> str:
        return str(self.dag_run.state)

    def instances(self, task_id: str) -> list[Any]:
        instances = [instance for instance in self.dag_run.get_task_instances() if instance.task_id == task_id]
        return sorted(instances, key=lambda instance: instance.map_index)

    def task(self, task_id: str = "export", map_index: int = -1) -> Any:
        return next(instance for instance in self.instances(task_id) if instance.map_index == map_index)

    def summary(self, task_id: str = "export", map_index: int = -1) -> dict[str, Any]:
        """The return value of the task."""
        assert [] == self.errors
        with create_session() as session:
            stored = session.scalars(
                XComModel.get_many(
                    run_id=self.dag_run.run_id,
                    dag_ids=self.dag_run.dag_id,
                    task_ids=task_id,
                    map_indexes=map_index,
                    key="return_value",
                )
            ).first()
            return XComModel.deserialize_value(stored)

    @property
    def error(self) -> str:
        """The text of the only exception that a task raised."""
        assert len(self.errors) == 1, self.errors
        return str(self.errors[0])

    def go(self, dag: DAG, task_id: str = "export") -> str:
        """Run one more try of a task of this run, and return its final state."""
        with create_session() as session:
            instance = self.dag_run.get_task_instance(task_id, session=session)
            instance.refresh_from_task(
                DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)).get_task(task_id)
            )
            if instance.state != TaskInstanceState.UP_FOR_RESCHEDULE:  # as `DagRun.schedule_tis` counts (Airflow 3.3.2)
                instance.try_number += 1
            instance.state = TaskInstanceState.SCHEDULED
        _run_task(ti=instance, task=dag.get_task(task_id), run_triggerer=True)
        return str(self.task(task_id).state)

    def clear(self) -> None:
        """Clear the tasks of the run, as the Clear button does."""
        with create_session() as session:
            clear_task_instances(self.dag_run.get_task_instances(session=session), session)


@dataclass
class Stage:
    """The simulator, connections, segments and DAG runs of one test."""

    sim: Simulator
    folder: Path
    setenv: Any

    def vendor(self, name: str) -> dict[str, Any]:
        return self.sim.describe()["vendors"][name]

    def audience(self, vendor: str, number: int = 0) -> str:
        return str(self.vendor(vendor)["audiences"][number]["id"])

    def connection(self, vendor: str, conn_id: str | None = None, **changes: Any) -> str:
        """Create a connection to the simulated vendor, ready for exports, and return its id.

        No two tests share an id, because Airflow stores a renewed login by connection id.
        """
        described = self.vendor(vendor)
        credentials = {field: described["credentials"][name] for field, name in CREDENTIALS[vendor].items()}
        fields = {field: value for field, value in credentials.items() if not field.startswith("extra.")}
        extra = {**CONSENT, "default_audience": self.audience(vendor)}
        extra |= {field.removeprefix("extra."): value for field, value in credentials.items() if field not in fields}
        connection: dict[str, Any] = {
            "conn_type": vendor,
            "host": described["base_url"],
            "port": 443,
            **fields,
            "extra": {**extra, **changes.pop("extra", {})},
            **changes,
        }
        conn_id = conn_id or f"{vendor}_{next(NUMBERS)}"
        self.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return conn_id

    def segment(self, rows: pd.DataFrame | pa.Table | int = 10, name: str = "segment") -> str:
        """Write a segment and return its path."""
        path = self.folder / f"{name}.parquet"
        rows = people(rows) if isinstance(rows, int) else rows
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows, preserve_index=False)
        pq.write_table(table, path)
        return str(path)

    def members(self, vendor: str, number: int = 0) -> dict[str, dict[str, Any]]:
        """Members of an audience, by email."""
        held = self.sim.members(vendor, self.audience(vendor, number))
        return {person["email"]: person for person in held["members"]}

    def sent(self, vendor: str) -> list[dict[str, Any]]:
        """Return the simulator's log entries of calls that sent people."""
        method, path = row(vendor).upsert
        calls = self.sim.requests(vendor=vendor)
        return [call for call in calls if call["path"].endswith(path) and call["method"] == method]

    def arrived(self, pattern: str = "") -> int:
        """Return the number of received calls whose path matches; cheap enough for a busy loop."""
        with self.sim._lock:
            return sum(re.search(pattern, entry.path) is not None for entry in self.sim._log.since())

    def nothing_was_sent(self) -> bool:
        return not any(self.sent(vendor) for vendor in VENDORS)

    def run(self, dag: DAG, **how: Any) -> Run:
        """Run a DAG as `airflow dags test` does, including retries, deferrals and mapping."""
        run = Run(None)
        for task in dag.tasks:
            watch(task, run.errors)
        register(dag)
        run.dag_run = dag.test(**how)
        return run

    def begin(self, dag: DAG, *, watched: bool = True, **kind: Any) -> Run:
        """Create a run of any kind, by default without a logical date. The test then runs its tasks one by one.

        Watching a task replaces its callbacks.
        """
        run = Run(None)
        for task in dag.tasks if watched else ():
            watch(task, run.errors)
        register(dag)
        about = {
            "run_id": "by_hand",
            "run_after": RUN_AFTER,
            "run_type": DagRunType.MANUAL,
            "triggered_by": DagRunTriggeredByType.TEST,
            "state": DagRunState.RUNNING,
        }
        serialized = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
        with create_session() as session:
            run.dag_run = serialized.create_dagrun(**about | kind, session=session)
        return run

    def export(self, *, dag_id: str = "exports", run: dict[str, Any] | None = None, **options: Any) -> Run:
        """Run a DAG with one export; the arguments are the operator's."""
        return self.run(export_dag(dag_id, self.folder, **options), **(run or {}))


def export_dag(dag_id: str, folder: Path, **options: Any) -> DAG:
    """Return a DAG with one task named `export`; omitted arguments have default values for tests."""
    about = {name: options.pop(name) for name in ("params", "render_template_as_native_obj") if name in options}
    schedule = options.pop("schedule", None)
    with DAG(dag_id, schedule=schedule, start_date=datetime(2026, 1, 1, tzinfo=UTC), **about) as dag:
        SegmentExportOperator(
            **{
                "task_id": "export",
                "segment": str(folder / "segment.parquet"),
                "field_mapping": FIELD_MAPPING,
                **options,
            }
        )
    return dag


def watch(task: Any, errors: list[BaseException]) -> None:
    """Append the exceptions that a task raises to `errors`."""

    def keep(context: Any) -> None:
        errors.append(context.get("exception"))  # None for a skipped task

    arguments = task.partial_kwargs if hasattr(task, "partial_kwargs") else None
    for name in ("on_failure_callback", "on_retry_callback", "on_skipped_callback"):
        if arguments is None:
            setattr(task, name, [keep])
        else:
            arguments[name] = [keep]


def register(dag: DAG) -> None:
    """Write the DAG into Airflow's database, as the DAG processor would."""
    bag = DagBag(str(HOME / BUNDLE))
    bag.bag_dag(dag)
    sync_bag_to_db(bag, BUNDLE, None)

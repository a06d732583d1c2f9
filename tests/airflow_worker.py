"""Runs tasks as a worker does: each try in a separate process, under Airflow's supervisor, with a log file.

This covers what `dag.test()` omits: fork, signals, masking, the log folder, and the state that a killed try leaves.
"""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.executors.workloads import ExecuteTask
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.sdk import timezone
from airflow.sdk.execution_time import supervisor
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from airflow_home import FILES, HOME

supervise = getattr(supervisor, "supervise_task", None) or supervisor.supervise
"""Airflow 3.2 calls it `supervise`."""

SOURCE = """
import datetime
import time
from airflow.sdk import DAG, Asset
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator

arguments = {arguments!r}
if "optouts_asset" in arguments:
    arguments["optouts_asset"] = Asset(arguments["optouts_asset"], uri="segexport://" + arguments["optouts_asset"])
if "outlets" in arguments:
    arguments["outlets"] = [Asset(name, uri="segexport://" + name) for name in arguments["outlets"]]
if "lingers" in arguments:
    seconds = arguments.pop("lingers")
    arguments["post_execute"] = lambda *_: time.sleep(seconds)

with DAG({dag_id!r}):
    SegmentExportOperator(task_id="export", **arguments)
"""
"""The DAG's file; assets are given by name. A task that `lingers` sleeps after its work."""


@dataclass
class Try:
    """One try of the task: how it ended, and what it logged."""

    state: str
    log: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]


@dataclass
class Worker:
    """One run of a DAG with one export, which a test can try any number of times."""

    dag_id: str
    run_id: str

    @classmethod
    def start(cls, dag_id: str, **arguments: Any) -> Worker:
        """Write the DAG's file and begin a run."""
        file = HOME / FILES / f"{dag_id}.py"
        file.write_text(SOURCE.format(dag_id=dag_id, arguments=arguments))
        bag = BundleDagBag(dag_folder=file, bundle_path=HOME / FILES, bundle_name=FILES)
        assert {} == bag.import_errors
        sync_bag_to_db(bag, FILES, None)
        worker = cls(dag_id, "by_hand")
        with create_session() as session:
            dag = SerializedDagModel.get_dag(dag_id, session=session)
            dag.create_dagrun(
                run_id=worker.run_id,
                logical_date=None,
                data_interval=None,
                run_after=timezone.utcnow(),
                run_type=DagRunType.MANUAL,
                triggered_by=DagRunTriggeredByType.TEST,
                state=DagRunState.RUNNING,
                session=session,
            )
        return worker

    def instance(self, session: Any) -> Any:
        instances = session.query(TaskInstance).filter_by(dag_id=self.dag_id, run_id=self.run_id, task_id="export")
        return instances.one()

    def clear(self) -> None:
        """Clear the task, as the Clear button does."""
        with create_session() as session:
            clear_task_instances([self.instance(session)], session)

    def work(self, when: Callable[[], bool] | None = None, with_signal: int = signal.SIGKILL) -> Try:
        """Run one try. If `when` returns True, send a signal to the task's process."""
        with create_session() as session:
            instance = self.instance(session)
            instance.try_number += 1
            instance.state = TaskInstanceState.QUEUED
            session.flush()
            session.refresh(instance)
            load = ExecuteTask.make(instance)
            dag = SerializedDagModel.get_dag(self.dag_id, session=session)
        over = threading.Event()
        if when:
            threading.Thread(target=strike, args=(when, with_signal, over), daemon=True).start()
        supervise(
            ti=load.ti,
            dag_rel_path=load.dag_rel_path,
            bundle_info=load.bundle_info,
            token="",
            client=supervisor.InProcessTestSupervisor._api_client(dag),
            log_path=load.log_path,
        )
        over.set()
        with create_session() as session:
            state = str(self.instance(session).state)
        return Try(state, (HOME / "logs" / load.log_path).read_text())


def strike(when: Callable[[], bool], with_signal: int, over: threading.Event) -> None:
    """Send the signal to the task's process, the only child of this process, as soon as `when` returns True."""
    while not when():
        if over.wait(0.01):
            return
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            child.send_signal(with_signal)

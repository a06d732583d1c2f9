"""One task process, as Airflow's supervisor makes it: forked from a process that has Airflow, then watched.

Usage: python benchmarks/task.py '{"vendor": …, "segment": …, …}'; prints what was measured as one JSON object.

The fork runs the operator's `execute`; without a vendor it does nothing, and is the bare task that others are held
against. CPU is the fork's alone, by the kernel's account of it; memory is its resident set, pages that it shares with
the parent counted too, as a container's limit counts them.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from clock import FastClock
from connections import AUDIENCES, CUSTOM, FIELD_MAPPING, environment

SAMPLE_S = 0.05
PAGE_KIB = os.sysconf("SC_PAGESIZE") / 1024
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


NEEDLESS = ("pandas", "scipy", "pyarrow.compute")
"""What an export has no use for, and a library may bring along: tens of MiB, or of milliseconds."""

LATE = ("numpy", "pyarrow", "duckdb")
"""What an export imports itself: were it there before the fork, its CPU and memory would count for nobody."""

STAGES = {
    "clean": "stages.clean:clean",
    "load the ledger": "stages.known:load",
    "plan": "stages.plan:write_plan_rows",
    "send and settle": "stages.send:send",
    "report": "stages.report:write_rejects",
    "commit": "stages.commit:commit",
}
"""Where CPU is counted when an order asks for stages; what is left is imports, checks and the shell."""


def run(order: dict[str, Any]) -> dict[str, Any]:
    """The task itself: one export, by the operator."""
    from airflow_provider_segexport.operators.segment_export import SegmentExportOperator  # noqa: PLC0415

    name = order["vendor"]
    if "clock" in order or "limits" in order:
        slow_down(order)
    counted = count_stages() if order.get("stages") else None
    operator = SegmentExportOperator(
        task_id="export",
        conn_id=f"bench_{name}",
        audience=order.get("audience") or AUDIENCES[name],
        segment=order["segment"],
        field_mapping=order.get("field_mapping", FIELD_MAPPING),
        custom_fields=order.get("custom_fields", CUSTOM),
        mode=order.get("mode", "upsert"),
        as_of=datetime.fromisoformat(order["as_of"]),
        max_profiles=order.get("max_profiles", 1_000_000),
        deferrable=False,
        poll_interval=order.get("poll_interval", 0.2),
    )
    instance = SimpleNamespace(
        dag_id="bench",
        task_id="export",
        run_id=order["as_of"],
        map_index=-1,
        try_number=1,
        max_tries=0,
        start_date=None,
    )
    dag, dag_run = SimpleNamespace(dag_id="bench"), SimpleNamespace(run_type="scheduled", run_id=order["as_of"])
    context = {"dag": dag, "dag_run": dag_run, "ti": instance, "task_instance": instance, "outlet_events": {}}
    report = operator.execute(context)
    heavy = [name for name in NEEDLESS if name in sys.modules]
    return report | {"heavy": heavy} | ({"stages": counted} if counted is not None else {})


def count_stages() -> dict[str, float]:
    """CPU seconds by stage, filled in as the stages run."""
    counted = dict.fromkeys(STAGES, 0.0)

    def timed(label: str, stage: Callable[..., Any]) -> Callable[..., Any]:
        def run_stage(*args: Any, **named: Any) -> Any:
            begun = time.process_time()
            try:
                return stage(*args, **named)
            finally:
                counted[label] += time.process_time() - begun

        return run_stage

    for label, place in STAGES.items():
        module_name, _, function = place.partition(":")
        module = importlib.import_module(f"airflow_provider_segexport.{module_name}")
        setattr(module, function, timed(label, getattr(module, function)))
    return counted


def slow_down(order: dict[str, Any]) -> None:
    """The simulator's clock for the hook, and smaller batches, so that the simulator's own CPU is not what is timed."""
    from airflow_provider_segexport.hooks import get_hook_class  # noqa: PLC0415

    hook = get_hook_class(order["vendor"])
    if "clock" in order:
        clock = FastClock(**order["clock"])
        hook.clock = staticmethod(clock.now)
        hook.sleep = staticmethod(lambda seconds: time.sleep(seconds / clock.speed))
    if "limits" in order:
        hook.vendor = replace(hook.vendor, limits=replace(hook.vendor.limits, **order["limits"]))


def as_a_task() -> None:
    """What the task runner has at hand: a supervisor to ask, operators that may be run."""
    from airflow.sdk import Variable  # noqa: PLC0415
    from airflow.sdk.bases.operator import ExecutorSafeguard  # noqa: PLC0415
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415

    ExecutorSafeguard.test_mode = True
    Variable.keys = staticmethod(lambda *_, **__: [])  # no sign-in of an earlier connection is stored
    # Connections and Variables come from the environment; what is left is word of secrets to mask.
    task_runner.SUPERVISOR_COMMS = SimpleNamespace(send=lambda *_, **__: None)


def fork(order: dict[str, Any]) -> dict[str, Any]:
    """Run the task in a fork; what the kernel and a look now and then tell of it."""
    early = [name for name in LATE if name in sys.modules]
    if early:
        raise SystemExit(f"The bare task has {', '.join(early)} already, which an export has to pay for.")
    reading, writing = os.pipe()
    sys.stdout.flush()
    started = time.monotonic()
    child = os.fork()
    if not child:
        code = 1
        try:
            if order.get("profile"):
                import cProfile  # noqa: PLC0415

                profiler = cProfile.Profile()
                report = profiler.runcall(run, order)
                profiler.dump_stats(order["profile"])
            else:
                report = run(order) if order.get("vendor") else {}
            os.write(writing, json.dumps(report).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    samples: list[tuple[float, float, float]] = []
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(child, started, samples, ended))
    watch.start()
    said = b""
    while part := os.read(reading, 65536):
        said += part
    _, status, usage = os.wait4(child, 0)
    wall = time.monotonic() - started
    ended.set()
    watch.join()
    if os.waitstatus_to_exitcode(status):
        raise SystemExit("The task failed; its own words stand above.")
    return {
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "wall_s": wall,
        "peak_rss_mib": usage.ru_maxrss / 1024,
        "started": started,
        "samples": samples,
        "report": json.loads(said),
    }


def _watch(child: int, started: float, samples: list[tuple[float, float, float]], ended: threading.Event) -> None:
    """Seconds since the start, resident MiB and CPU seconds, now and then."""
    while not ended.wait(SAMPLE_S):
        try:
            pages = int(Path(f"/proc/{child}/statm").read_text().split()[1])
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        except (OSError, IndexError):
            return
        cpu = (int(fields[11]) + int(fields[12])) * TICK_S
        samples.append((round(time.monotonic() - started, 3), round(pages * PAGE_KIB / 1024, 1), cpu))


def main() -> None:
    """Measure what the command line orders."""
    order = json.loads(sys.argv[1])
    os.environ.update(environment(order))
    importlib.import_module("airflow.providers.http.hooks.http")  # after the environment, before the fork
    as_a_task()
    out = sys.stdout
    sys.stdout = sys.stderr
    out.write(json.dumps(fork(order)) + "\n")


if __name__ == "__main__":
    main()

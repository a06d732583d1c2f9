"""Measures one task process, forked as by Airflow's supervisor from a process that has imported Airflow.

Usage: python benchmarks/task.py '{"vendor": …, "segment": …, …}'; prints the measurements as one JSON object.

The fork runs the operator's `execute`. Without a vendor it does nothing, and is the baseline. CPU is that of the fork,
from the kernel. Memory is its resident set, with the pages shared with the parent, as a container's limit counts it.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
import traceback
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


UNNEEDED_MODULES = ("pandas", "scipy", "pyarrow.compute")
"""Modules that an export does not need and a library may import: each costs tens of MiB or of milliseconds."""

EXPORT_MODULES = ("numpy", "pyarrow", "duckdb")
"""Modules that an export imports. If the parent had them, their CPU and memory would not be measured."""

STAGES = {
    "clean": "stages.clean:clean",
    "load the ledger": "stages.load_ledger:load",
    "plan": "stages.plan:write_plan_rows",
    "send and record": "stages.send:send",
    "report": "stages.report:write_rejects",
    "update ledger": "stages.update_ledger:update_ledger",
}
"""Functions whose CPU is counted if a case asks for stages; the rest is imports, checks and the operator."""


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Run one export with the operator."""
    from airflow_provider_segexport.operators.segment_export import SegmentExportOperator  # noqa: PLC0415

    name = case["vendor"]
    if case.get("store"):
        open_store(case["store"])
    if "clock" in case or "limits" in case:
        apply_clock_and_limits(case)
    cpu_s = count_stages() if case.get("stages") else None
    operator = SegmentExportOperator(
        task_id="export",
        conn_id=f"bench_{name}",
        audience=case.get("audience") or AUDIENCES[name],
        segment=case["segment"],
        field_mapping=case.get("field_mapping", FIELD_MAPPING),
        custom_fields=case.get("custom_fields", CUSTOM),
        **({"default_region": case["default_region"]} if "default_region" in case else {}),
        mode=case.get("mode", "upsert"),
        as_of=datetime.fromisoformat(case["as_of"]),
        max_profiles=case.get("max_profiles", 1_000_000),
        deferrable=False,
        poll_interval=case.get("poll_interval", 0.2),
    )
    instance = SimpleNamespace(
        dag_id="bench",
        task_id="export",
        run_id=case["as_of"],
        map_index=case.get("map_index", -1),
        try_number=1,
        max_tries=0,
        start_date=None,
    )
    dag, dag_run = SimpleNamespace(dag_id="bench"), SimpleNamespace(run_type="scheduled", run_id=case["as_of"])
    context = {"dag": dag, "dag_run": dag_run, "ti": instance, "task_instance": instance, "outlet_events": {}}
    report = operator.execute(context)
    unneeded = [name for name in UNNEEDED_MODULES if name in sys.modules]
    return report | {"heavy": unneeded} | ({"stages": cpu_s} if cpu_s is not None else {})


def open_store(endpoint: str) -> None:
    """Open Airflow's connection `store` as a client of an S3 server at this address."""
    import s3fs  # noqa: PLC0415 - a part of what a state in object storage costs
    from airflow.sdk.io import store  # noqa: PLC0415
    from store import BUCKET, KEYS  # noqa: PLC0415

    client = s3fs.S3FileSystem(**KEYS, client_kwargs={"endpoint_url": endpoint}, skip_instance_cache=True)
    if not client.exists(BUCKET):
        client.mkdir(BUCKET)
    store._STORE_CACHE["s3-store"] = store.ObjectStore("s3", "store", client)  # noqa: SLF001 - needs no AWS


def count_stages() -> dict[str, float]:
    """Return CPU seconds by stage, filled in while the stages run."""
    cpu_s = dict.fromkeys(STAGES, 0.0)

    def timed(label: str, stage: Callable[..., Any]) -> Callable[..., Any]:
        def run_stage(*args: Any, **named: Any) -> Any:
            started = time.process_time()
            try:
                return stage(*args, **named)
            finally:
                cpu_s[label] += time.process_time() - started

        return run_stage

    for label, target in STAGES.items():
        module_name, _, function = target.partition(":")
        module = importlib.import_module(f"airflow_provider_segexport.{module_name}")
        setattr(module, function, timed(label, getattr(module, function)))
    return cpu_s


def apply_clock_and_limits(case: dict[str, Any]) -> None:
    """Set the simulator's clock and smaller batches, so that the simulator's CPU does not dominate the time."""
    from airflow_provider_segexport.hooks import get_hook_class  # noqa: PLC0415

    hook = get_hook_class(case["vendor"])
    if "clock" in case:
        clock = FastClock(**case["clock"])
        hook.clock = staticmethod(clock.now)
        hook.sleep = staticmethod(lambda seconds: time.sleep(seconds / clock.speed))
        hook.machine = staticmethod(lambda: None)  # rate limits follow the clock and not the machine's uptime
    if "limits" in case:
        hook.vendor = replace(hook.vendor, limits=replace(hook.vendor.limits, **case["limits"]))


def prepare_task_runner() -> None:
    """Replace the task runner's supervisor, and allow direct calls of `execute`."""
    from airflow.sdk import Variable  # noqa: PLC0415
    from airflow.sdk.bases.operator import ExecutorSafeguard  # noqa: PLC0415
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415

    ExecutorSafeguard.test_mode = True
    Variable.keys = staticmethod(lambda *_, **__: [])  # no other login is stored
    # Connections and Variables come from the environment; the supervisor only gets secrets to mask.
    task_runner.SUPERVISOR_COMMS = SimpleNamespace(send=lambda *_, **__: None)


def fork(case: dict[str, Any]) -> dict[str, Any]:
    """Run the task in a fork; return its CPU, time and memory, from the kernel and from samples."""
    early = [name for name in EXPORT_MODULES if name in sys.modules]
    if early:
        raise SystemExit(f"The parent has imported {', '.join(early)}, so an export's imports would not be measured.")
    reading, writing = os.pipe()
    sys.stdout.flush()
    started = time.monotonic()
    child = os.fork()
    if not child:
        code = 1
        try:
            if case.get("profile"):
                import cProfile  # noqa: PLC0415

                profiler = cProfile.Profile()
                report = profiler.runcall(run, case)
                profiler.dump_stats(case["profile"])
            else:
                report = run(case) if case.get("vendor") else {}
            os.write(writing, json.dumps(report).encode())
            code = 0
        except BaseException:  # noqa: BLE001 - the process ends here
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(writing)
    samples: list[tuple[float, float, float]] = []
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(child, started, samples, ended))
    watch.start()
    output = b""
    while part := os.read(reading, 65536):
        output += part
    _, status, usage = os.wait4(child, 0)
    wall = time.monotonic() - started
    ended.set()
    watch.join()
    if os.waitstatus_to_exitcode(status):
        raise SystemExit("The task failed; its output is above.")
    return {
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "wall_s": wall,
        "peak_rss_mib": usage.ru_maxrss / 1024,
        "started": started,
        "samples": samples,
        "report": json.loads(output),
    }


def _watch(child: int, started: float, samples: list[tuple[float, float, float]], ended: threading.Event) -> None:
    """Sample seconds since the start, resident MiB and CPU seconds until the task ends."""
    while not ended.wait(SAMPLE_S):
        try:
            pages = int(Path(f"/proc/{child}/statm").read_text().split()[1])
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        except (OSError, IndexError):
            return
        cpu = (int(fields[11]) + int(fields[12])) * TICK_S
        samples.append((round(time.monotonic() - started, 3), round(pages * PAGE_KIB / 1024, 1), cpu))


def main() -> None:
    """Measure the case of the command line."""
    case = json.loads(sys.argv[1])
    os.environ.update(environment(case))
    importlib.import_module("airflow.providers.http.hooks.http")  # after the environment, before the fork
    prepare_task_runner()
    out = sys.stdout
    sys.stdout = sys.stderr
    out.write(json.dumps(fork(case)) + "\n")


if __name__ == "__main__":
    main()

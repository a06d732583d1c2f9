"""Fixtures of tests that run each attempt in a separate process."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from vendors.spec_checks import published

from airflow_provider_segexport.hooks.base import SegmentExportHook
from airflow_provider_segexport.hooks.campaign_monitor import CampaignMonitorHook
from airflow_provider_segexport.hooks.dotdigital import DotdigitalHook
from airflow_provider_segexport.ratelimit.clocks import this_machine
from airflow_provider_segexport.simulator.clock import RunningClock
from airflow_provider_segexport.triggers import import_jobs

__all__ = ["published"]


@pytest.fixture
def real_time(stage, monkeypatch):
    """The stage with the machine's clock, because a task in a separate process cannot move the simulator's clock."""
    monkeypatch.setattr(SegmentExportHook, "sleep", staticmethod(time.sleep))
    monkeypatch.setattr(SegmentExportHook, "clock", staticmethod(time.time))
    monkeypatch.setattr(SegmentExportHook, "machine", staticmethod(this_machine))
    monkeypatch.setattr(stage.sim.context, "clock", RunningClock())
    stage.sim.reset(seed=1)
    return stage


@pytest.fixture
def naps(stage, monkeypatch):
    """The seconds that the trigger slept for import jobs. Each sleep moved the simulator's clock."""
    slept = []

    async def nap(seconds):
        slept.append(seconds)
        stage.sim.clock.advance(seconds)

    monkeypatch.setattr(import_jobs, "sleep", nap)
    return slept


@pytest.fixture
def ten_a_call(monkeypatch):
    """Batches of ten people, so that a small segment makes many calls. A retry waits 8 s for a killed worker's call."""
    for hook in (CampaignMonitorHook, DotdigitalHook):
        limits = replace(hook.vendor.limits, batch_rows=10, timeout_s=8)
        removal = replace(hook.vendor.removal, limits=replace(hook.vendor.removal.limits, timeout_s=8))
        monkeypatch.setattr(hook, "vendor", replace(hook.vendor, limits=limits, removal=removal))


STORE = "object_store"
"""The id of the connection to the S3 server."""


@pytest.fixture(scope="session")
def s3_endpoint():
    from s3 import s3_server

    with s3_server() as running:
        yield f"http://127.0.0.1:{running.port}"


@pytest.fixture
def s3_root(stage, s3_endpoint, request, monkeypatch):
    """A state path in a bucket, which Airflow opens through a connection. The test reads it with another client."""
    import s3fs
    from airflow.sdk.io import store
    from s3 import KEYS, new_bucket, objects

    name = f"b{abs(hash(request.node.name))}"
    new_bucket(s3_endpoint, name)
    fs = s3fs.S3FileSystem(**KEYS, client_kwargs={"endpoint_url": s3_endpoint}, skip_instance_cache=True)
    monkeypatch.setitem(store._STORE_CACHE, f"s3-{STORE}", store.ObjectStore("s3", STORE, fs))
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", f"s3://{STORE}@{name}/state")
    return lambda: objects(s3_endpoint, name)


@pytest.fixture
def command(airflow_db, capsys):
    """Airflow's command line: `command("prune", "--dry-run")` returns the exit code and the output."""
    from airflow.cli.cli_parser import get_parser

    def give(*argv):
        capsys.readouterr()
        try:
            args = get_parser().parse_args(["segexport", *argv])
            args.func(args)
        except SystemExit as ended:
            if isinstance(ended.code, str):  # Python writes the text to stderr and exits with 1
                return 1, capsys.readouterr().out + ended.code
            return ended.code or 0, "".join(capsys.readouterr())
        return 0, capsys.readouterr().out

    return give

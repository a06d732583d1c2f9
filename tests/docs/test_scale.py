"""The page on growth: its tables are what the simulation gives with today's limits and measurements."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys

import pytest
from docs.pages import REPO

from airflow_provider_segexport.vendors import registry


@pytest.fixture
def scale(monkeypatch):
    monkeypatch.syspath_prepend(str(REPO / "scripts"))
    return importlib.import_module("scale")


def test_the_tables_are_current():
    """A change of a vendor's limits or of the benchmark's figures shows in docs/scale.md."""
    command = [sys.executable, str(REPO / "scripts" / "scale.py"), "--check"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stdout)


@pytest.mark.parametrize("seed", range(8))
def test_no_vendor_ends_before_its_limits_allow(scale, seed):
    """All exports end, none faster than the quota and the slots alone allow, and none with other work than it needs."""
    dice = random.Random(seed)
    cluster = dice.choice((scale.CELERY, scale.KUBERNETES))
    day = scale.Day(
        changed=dice.choice((0.001, 0.02, 0.3)),
        accounts=dice.choice((1, 3, 10)),
        cluster=cluster,
        audiences=dice.randrange(1, 40),
        has_pools=dice.random() < 0.5,
    )
    result = scale.Simulation(day).run()
    task = importlib.import_module("scale_task")
    needed = sum(
        task.plan_cpu_s(vendor) + task.starts(vendor) * cluster.start_cpu_s + task.send_cpu_s(vendor) * day.changed
        for vendor in scale.MEASURED_VENDORS
    )
    assert result.cpu_s == pytest.approx(needed * day.audiences, rel=0.001)
    for vendor in scale.MEASURED_VENDORS:
        limits = day.limits(vendor, result.cpu_s)
        at_least = max(limits["quota"], limits["slots"], day.task_seconds(vendor)) * 0.999
        assert at_least <= result.seconds[vendor], limits


def test_a_days_quota_stops_a_vendor_until_midnight(scale):
    """Calls above it are made on the second day; other vendors go on."""
    result = scale.Simulation(scale.Day(1.0, 1, scale.CELERY, has_pools=True)).run()
    assert result.seconds["campaign_monitor"] < 86_400 < result.seconds["constant_contact"] < 2 * 86_400


def test_a_pod_is_billed_for_a_minute(scale):
    """However short its task is."""
    day = scale.Day(0.01, 25, scale.KUBERNETES)
    pods = day.audiences * (2 * len(scale.MEASURED_VENDORS) - 1)
    cores, _ = scale.usage(day, scale.Result(task_s=1.0))
    assert cores == pytest.approx(pods / 60 * scale.KUBERNETES.task_cores)


def test_a_vendor_that_is_not_measured_is_not_part_of_the_day(monkeypatch, scale):
    """A vendor can be added without a benchmark of a million profiles."""
    task = importlib.import_module("scale_task")
    monkeypatch.setitem(registry.VENDORS, "unmeasured", registry.VENDORS["omnisend"])
    importlib.reload(task)
    assert "unmeasured" not in task.MEASURED_VENDORS
    assert set(task.measured()) == set(task.MEASURED_VENDORS)

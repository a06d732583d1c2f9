"""What tests of tries in processes of their own stand on."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from vendors.published import published

from airflow_provider_segexport.hooks.base import SegmentExportHook
from airflow_provider_segexport.hooks.campaign_monitor import CampaignMonitorHook
from airflow_provider_segexport.hooks.dotdigital import DotdigitalHook
from airflow_provider_segexport.simulator.clock import RunningClock

__all__ = ["published"]


@pytest.fixture
def real_time(stage, monkeypatch):
    """The stage on the machine's clock: a task in a process of its own cannot move the simulator's."""
    monkeypatch.setattr(SegmentExportHook, "sleep", staticmethod(time.sleep))
    monkeypatch.setattr(SegmentExportHook, "clock", staticmethod(time.time))
    monkeypatch.setattr(stage.sim.world, "clock", RunningClock())
    stage.sim.reset(seed=1)
    return stage


@pytest.fixture
def ten_a_call(monkeypatch):
    """Batches of ten, so that a few dozen people make many calls."""
    for hook in (CampaignMonitorHook, DotdigitalHook):
        limits = replace(hook.vendor.limits, batch_rows=10)
        monkeypatch.setattr(hook, "vendor", replace(hook.vendor, limits=limits))

"""Connections, masked values and a clock for hooks that run outside a task."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field

import pytest
from hook_credentials import FIELDS, NOW

from airflow_provider_segexport.hooks import base, masking

NUMBERS = itertools.count(1)


@pytest.fixture
def connect(monkeypatch, tmp_path):
    """Create a connection and return its id."""
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", str(tmp_path / "state"))

    def make(vendor, extra=None, **fields):
        conn_id = f"alone_{next(NUMBERS)}"
        about = {"conn_type": vendor, **FIELDS[vendor], "extra": extra or {}, **fields}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(about))
        return conn_id

    return make


@pytest.fixture
def masked(monkeypatch):
    """Values that the hook has Airflow mask."""
    masked = []
    monkeypatch.setattr(masking, "mask_secret", masked.append)
    return masked


@dataclass
class Time:
    """A clock that only sleeping moves."""

    now: float = NOW
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time(monkeypatch):
    clock = Time()
    monkeypatch.setattr(base.SegmentExportHook, "sleep", staticmethod(clock.sleep))
    monkeypatch.setattr(base.SegmentExportHook, "clock", staticmethod(lambda: clock.now))
    monkeypatch.setattr(base.SegmentExportHook, "machine", staticmethod(lambda: None))
    return clock

"""Calls in flight and connections, at every vendor: bounded by what its limits declare."""

from __future__ import annotations

import threading

import pytest
import urllib3.connection
from requests.adapters import HTTPAdapter
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.export.config import PendingJobs
from airflow_provider_segexport.export.pipeline import Export


@pytest.fixture
def wire(monkeypatch):
    """Counts what is opened, and how many calls are under way at once."""
    connect, send = urllib3.connection.HTTPConnection.connect, HTTPAdapter.send
    lock = threading.Lock()

    class Wire:
        opened = calls = most = 0
        active = 0

    def connecting(self):
        with lock:
            Wire.opened += 1
        return connect(self)

    def sending(self, *args, **options):
        with lock:
            Wire.calls += 1
            Wire.active += 1
            Wire.most = max(Wire.most, Wire.active)
        try:
            return send(self, *args, **options)
        finally:
            with lock:
                Wire.active -= 1

    monkeypatch.setattr(urllib3.connection.HTTPConnection, "connect", connecting)
    monkeypatch.setattr(HTTPAdapter, "send", sending)
    return Wire


def test_calls_in_flight_are_bounded_and_connections_are_reused(sim, vendor, tmp_path, wire):
    """Never more calls at once than declared; each thread keeps its connection, and so does the one that decides."""
    sim.reset(seed=1, latency=0.03)
    account = VendorHarness(sim, vendor, tmp_path, batch_rows=2)
    assert 80 == account.export(account.segment({"email": people(80)}))["counts"]["delivered"]
    connections = account.vendor.limits.max_concurrency
    assert 40 <= wire.calls
    assert 2 <= wire.most <= connections
    assert wire.opened <= connections + 1


def test_calls_of_a_run_that_left_its_place_are_all_counted(sim, tmp_path):
    """Calls sent before the run left for its jobs, and after it resumed, are counted together."""
    account = VendorHarness(sim, "dotdigital", tmp_path, batch_rows=2)
    segment = account.segment({"email": people(10)})
    looks = iter([True, False])
    environment = account.environment(pause=lambda _: next(looks))
    assert isinstance(Export(account.vendor, account.endpoint, account.config(segment), environment).run(), PendingJobs)
    environment.http.close()
    sim.clock.advance(100)
    report = account.export(segment)
    assert len(sim.requests(vendor="dotdigital")) == report["http"]["calls"]

"""Calls without a response: looked up at the vendor if it lists its jobs, and only then sent again."""

from __future__ import annotations

import json

import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.export.pipeline import Export
from airflow_provider_segexport.storage.journal import Journal

LISTS_JOBS = ("omnisend",)


class Killed(BaseException):
    """The process is gone."""


def killed_after_the_call(account, segment, monkeypatch):
    """The vendor has made a job of the batch, and the process died before it could write that down."""
    write = Journal.write

    def dying(journal, entries):
        if any(entry.job_id for entry in entries):
            raise Killed
        write(journal, entries)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", dying)
        with pytest.raises(Killed):
            account.export(segment)


@pytest.mark.parametrize("vendor", LISTS_JOBS)
def test_a_job_that_was_made_is_found_again(sim, vendor, tmp_path, monkeypatch):
    """Nothing is sent twice: the job is adopted, awaited and read."""
    account = VendorHarness(sim, vendor, tmp_path)
    segment = account.segment({"email": people(5)})
    killed_after_the_call(account, segment, monkeypatch)
    report = account.export(segment)
    assert 5 == report["counts"]["delivered"] == len(account.active())
    assert 1 == len(account.upserts())


@pytest.mark.parametrize("vendor", LISTS_JOBS)
def test_a_call_that_did_not_arrive_is_made_again(sim, vendor, tmp_path, monkeypatch):
    """No job is found, and the batch goes out."""
    account = VendorHarness(sim, vendor, tmp_path)
    segment = account.segment({"email": people(5)})
    killed_after_the_call(account, segment, monkeypatch)
    sim.reset(seed=1)
    sim.configure({vendor: account.row.relax_limits})
    report = account.export(segment)
    assert 5 == report["counts"]["delivered"] == len(account.active())


def test_a_job_that_was_another_runs_is_not_taken_for_it(sim, vendor, tmp_path, monkeypatch):
    """The same people went out just before with other values: the new ones arrive, whatever the vendor lists."""
    account = VendorHarness(sim, vendor, tmp_path)
    names = {"field_mapping": {"first_name": "name"}}
    account.export(account.segment({"email": people(5), "name": ["Ann"] * 5}, "before.parquet"), "before", **names)
    segment = account.segment({"email": people(5), "name": ["Eve"] * 5})
    sender = account.sender()

    def cut(request):
        if request.method != "GET" and b"Eve" in (request.body or b""):
            raise Killed
        return sender(request)

    cut.traffic = sender.traffic
    with pytest.raises(Killed):
        Export(account.vendor, account.endpoint, account.config(segment, **names), account.environment(send=cut)).run()
    sender.close()
    assert 5 == account.export(segment, **names)["counts"]["delivered"]
    assert "Eve" in json.dumps([call["body"] for call in account.upserts()])

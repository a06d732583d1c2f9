"""Calls whose answer nobody has seen: looked up at the vendor where it lists its jobs, and only then sent again."""

from __future__ import annotations

import pytest
from vendors.accounts import Account, people

from airflow_provider_segexport.ports.journal import Journal

LISTS_JOBS = ("constant_contact", "omnisend")


class Killed(BaseException):
    """The process is gone."""


def killed_after_the_call(account, segment, monkeypatch):
    """The vendor has made a job of the batch, and the process died before it could write that down."""
    write = Journal.write

    def dying(journal, entries):
        if any(entry.ticket for entry in entries):
            raise Killed
        write(journal, entries)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", dying)
        with pytest.raises(Killed):
            account.export(segment)


@pytest.mark.parametrize("vendor", LISTS_JOBS)
def test_a_job_that_was_made_is_found_again(sim, vendor, tmp_path, monkeypatch):
    """Nothing is sent twice: the job is adopted, awaited and read."""
    account = Account(sim, vendor, tmp_path)
    segment = account.segment({"email": people(5)})
    killed_after_the_call(account, segment, monkeypatch)
    report = account.export(segment)
    assert 5 == report["counts"]["delivered"] == len(account.active())
    assert 1 == len(account.upserts())


@pytest.mark.parametrize("vendor", LISTS_JOBS)
def test_a_call_that_did_not_arrive_is_made_again(sim, vendor, tmp_path, monkeypatch):
    """No job is found, and the batch goes out."""
    account = Account(sim, vendor, tmp_path)
    segment = account.segment({"email": people(5)})
    killed_after_the_call(account, segment, monkeypatch)
    sim.reset(seed=1)
    sim.configure({vendor: account.row.calm})
    report = account.export(segment)
    assert 5 == report["counts"]["delivered"] == len(account.active())


def test_a_job_that_was_anothers_is_found_out(sim, tmp_path, monkeypatch):
    """At Constant Contact a job is told by its count alone: the list is read back, and the rest goes out."""
    account = Account(sim, "constant_contact", tmp_path)
    segment = account.segment({"email": people(5)})
    killed_after_the_call(account, segment, monkeypatch)
    sim.reset(seed=1)
    sim.configure({"constant_contact": account.row.calm})
    other = Account(sim, "constant_contact", tmp_path / "other")
    other.export(other.segment({"email": [f"other{n}@example.com" for n in range(5)]}))
    sent = len(account.upserts())
    report = account.export(segment)
    assert 5 == report["counts"]["delivered"]
    assert set(people(5)) <= account.active()
    assert sent + 1 == len(account.upserts())

"""One person over all audiences: what is known of them, and how they are taken out of everything."""

from __future__ import annotations

import io
import json
import sys
from argparse import Namespace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pytest
from airflow_fixtures import people
from airflow_person import EMAIL, erase, exported, holding, soon

from airflow_provider_segexport.cli import person as command
from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.storage.history import ledger_paths
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.vendors.registry import VENDORS

__all__ = ["soon"]

pytestmark = pytest.mark.airflow


def explained(capsys, email=EMAIL, runs=5):
    capsys.readouterr()
    command.explain(Namespace(email=email, last_runs=runs))
    return capsys.readouterr().out


def receipts():
    return [json.loads(path.read_text()) for path in sorted((Path(str(state_path())) / "erasures").glob("*.json"))]


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_person_is_taken_out_of_everything(stage, vendor, capsys):
    """Audience, every stored version of the ledger, every table of every run folder; no other person is touched."""
    exported(stage, vendor)
    exported(stage, vendor, people(9))
    assert holding()
    before = set(stage.members(vendor))
    erase(capsys)
    remaining = {email for email, member in stage.members(vendor).items() if member.get("status") != "Deleted"}
    assert before - {EMAIL} == remaining - {EMAIL}
    assert EMAIL not in remaining
    assert [] == holding()
    assert holding(Person.of("person4@example.com"))
    assert [True] == [receipt["complete"] for receipt in receipts()]


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_person_who_is_erased_is_not_missed_by_the_next_export(stage, vendor, capsys):
    """The remaining ledger is valid: the others are unchanged, and no person counts as having left."""
    conn_id = stage.connection(vendor)
    stage.segment(20)
    stage.export(conn_id=conn_id, mode="mirror")
    erase(capsys)
    rows = people(20)
    stage.segment(rows[rows["email"] != EMAIL])
    run = stage.export(conn_id=conn_id, mode="mirror")
    assert "success" == run.state, run.errors
    summary = run.summary()
    assert (19, 0) == (summary["counts"]["unchanged"], summary["counts"]["delivered"])
    assert 0 == (summary["removals"] or {"planned": 0})["planned"]
    [path] = ledger_paths(state_path())
    assert 19 == Ledger(path).members()


@pytest.mark.parametrize("before", ["in", "out"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_an_erased_person_who_returns_is_put_in_again(stage, vendor, before, capsys):
    """Campaign Monitor refuses a deleted person: the erasure keeps a mark, by which the deletion is known as ours."""
    conn_id = stage.connection(vendor)
    rows = people(20)
    others = rows[rows["email"] != EMAIL]
    off = {"guards": {"max_removals_share": None, "max_shrink": None}}
    stage.segment(20)
    stage.export(conn_id=conn_id, mode="mirror", **off)
    if before == "out":
        stage.segment(others)
        stage.export(conn_id=conn_id, mode="mirror", **off)
    erase(capsys)
    stage.segment(others)
    stage.export(conn_id=conn_id, mode="mirror", **off)
    stage.segment(20)
    run = stage.export(conn_id=conn_id, mode="mirror", **off)
    assert "success" == run.state, run.errors
    assert run.summary()["counts"]["delivered"] == 1, run.summary()["reasons"]
    assert stage.members(vendor)[EMAIL].get("status") != "Deleted"
    assert not [path for path in state_path().rglob("*") if path.is_file() and EMAIL in path.name]


def test_the_receipt_tells_all_but_the_address(stage, capsys):
    """Each finding with its place, outcome, time and user; the person by SHA-256, as suppression lists have them."""
    exported(
        stage,
        "campaign_monitor",
        pd.DataFrame({"email": [EMAIL, f" {EMAIL.upper()} "], "first_name": ["A", "B"], "last_name": ["C", "D"]}),
    )
    output = erase(capsys)
    [receipt] = receipts()
    assert EMAIL not in json.dumps(receipt)
    assert EMAIL not in output
    assert (sha256(EMAIL.encode()).hexdigest(), "Ann Administrator") == (receipt["person"], receipt["requested_by"])
    assert {"audience", "ledger", "run folder"} == {finding["kind"] for finding in receipt["findings"]}
    assert {"removed"} == {finding["outcome"] for finding in receipt["findings"]}
    assert receipt["path"] in output


def test_looking_touches_nothing(stage, capsys):
    """A dry run reports what is held, sends nothing, and leaves no receipt."""
    exported(stage, "dotdigital")
    calls, held = len(stage.sim.requests()), holding()
    output = erase(capsys, dry_run=True)
    assert "in           audience: dotdigital" in output
    assert (calls, held, []) == (len(stage.sim.requests()), holding(), receipts())


def test_a_person_stays_in_the_ledger_until_they_are_out_at_the_vendor(stage, capsys):
    """The vendor is down: the receipt says what is left, the command ends with 1, and a second time goes on."""
    exported(stage, "campaign_monitor")
    stage.sim.faults([{"vendor": "campaign_monitor", "count": 0, "status": 503}])
    with pytest.raises(SystemExit) as ended:
        erase(capsys)
    assert 1 == ended.value.code
    assert len(holding()) == 1
    stage.sim.clear_faults()
    erase(capsys)
    assert [] == holding()
    assert [False, True] == [receipt["complete"] for receipt in receipts()]


def test_an_audience_that_is_being_written_is_left_alone(stage, capsys):
    """One writer an audience: an export that runs is not disturbed."""
    exported(stage, "campaign_monitor")
    [path] = ledger_paths(state_path())
    lease = Lease(path, "dag/task/run/0", clock=datetime.now(UTC).timestamp, sleep=stage.sim.clock.advance)
    lease.acquire()
    try:
        with pytest.raises(SystemExit):
            erase(capsys)
    finally:
        lease.release()
    assert EMAIL in stage.members("campaign_monitor")


def test_who_has_opted_out_keeps_their_opt_out(stage, capsys):
    """To take them out of the address book would make the vendor forget it; what we hold of them goes all the same."""
    exported(stage, "dotdigital")
    stage.sim.seed("dotdigital", [{"email": EMAIL, "status": "unsubscribedFromList"}], stage.audience("dotdigital"))
    erase(capsys)
    assert [["unsubscribed"]] == [
        [finding["outcome"] for finding in receipt["findings"] if finding["kind"] == "audience"]
        for receipt in receipts()
    ]
    assert [] == holding()
    members = stage.sim.members("dotdigital", stage.audience("dotdigital"))["members"]
    assert ["suppressed"] == [member["in_list"] for member in members if member["email"] == EMAIL]


def test_without_a_terminal_there_is_no_prompt(stage, capsys, monkeypatch):
    """Without a terminal, `--yes` has to be said."""
    exported(stage, "campaign_monitor")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(SystemExit, match="give --yes"):
        erase(capsys, yes=False)
    assert holding()


def test_an_address_may_come_from_standard_input(stage, capsys, monkeypatch):
    """So that it is in no shell's history."""
    exported(stage, "campaign_monitor")
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{EMAIL}\n"))
    assert "in the audience, added by an export" in explained(capsys, "-")


def test_a_member_is_explained(stage, capsys):
    """In, since when, by which run, and by which id the vendor knows them."""
    run = exported(stage, "dotdigital")
    output = explained(capsys)
    assert "dotdigital" in output
    assert "in the audience, added by an export" in output
    assert f"by run exports/export/{run.dag_run.run_id}/0" in output
    assert "contact id " in output


def test_a_rejected_row_is_explained(stage, capsys):
    """Why, by which run, and in which row of which file; an address that is none is looked for as it was written."""
    rows = people(5)
    rows.loc[2, "email"] = "no@address@at.all"
    rows.loc[4, "email"] = "person1@example.com"
    exported(stage, "campaign_monitor", rows)
    assert "rejected by exports/export/" in explained(capsys, "no@address@at.all")
    assert ": invalid_email of email, row 2 of " in explained(capsys, "NO@address@at.all ")
    assert ": duplicate of email, row 4 of " in explained(capsys, "person1@example.com")


def test_who_was_taken_out_is_explained(stage, capsys):
    """A leaver is out, and the ledger says so."""
    conn_id = stage.connection("campaign_monitor")
    stage.segment(20)
    stage.export(conn_id=conn_id, mode="mirror")
    rows = people(20)
    stage.segment(rows[rows["email"] != EMAIL])
    stage.export(conn_id=conn_id, mode="mirror")
    assert "not in the audience, removed by an export" in explained(capsys)


def test_an_unknown_person_is_reported_as_unknown(stage, capsys):
    """Nothing is known, and how many audiences were looked through."""
    exported(stage, "campaign_monitor")
    assert "No record of this person in any of 1 audience." in explained(capsys, "nobody@example.com")
    assert "No record of this person." in erase(capsys, email="nobody@example.com")

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
from airflow.sdk import DAG
from airflow_fixtures import people

from airflow_provider_segexport.cli import person as command
from airflow_provider_segexport.hooks import erasure, get_hook
from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.operators.segment_export_erase import SegmentExportEraseOperator
from airflow_provider_segexport.person import files
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.storage.history import ledger_paths
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.vendors.registry import VENDORS

pytestmark = pytest.mark.airflow

EMAIL = "person3@example.com"
PERSON = Person.of(EMAIL)


@pytest.fixture(autouse=True)
def soon(monkeypatch, stage):
    """Waiting moves the simulator's clock."""
    real = erasure.erasure_deps
    monkeypatch.setattr(erasure, "erasure_deps", lambda hook_of: real(hook_of, sleep=stage.sim.clock.advance))
    monkeypatch.setattr(command, "command_hook", get_hook)


def exported(stage, vendor, rows=8, **options):
    stage.segment(rows)
    run = stage.export(conn_id=stage.connection(vendor), **options)
    assert "success" == run.state, run.errors
    return run


def erase(capsys, *, email=EMAIL, dry_run=False, yes=True):
    capsys.readouterr()
    try:
        command.erase(Namespace(email=email, requested_by="Ann Administrator", dry_run=dry_run, yes=yes))
    finally:
        output = capsys.readouterr().out
    return output


def explained(capsys, email=EMAIL, runs=5):
    capsys.readouterr()
    command.explain(Namespace(email=email, last_runs=runs))
    return capsys.readouterr().out


def holding(person=PERSON):
    """Every file below the root that holds the person."""
    tables = [file for file in Path(str(state_path())).rglob("*") if file.suffix in {".parquet", ".arrow"}]
    return [file.name for file in tables if files.count(file, person)]


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


def erased(stage, path, **options):
    with DAG("erasures", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        SegmentExportEraseOperator(task_id="export", emails_path=str(path), requested_by="Ann Administrator", **options)
    return stage.run(dag)


@pytest.mark.parametrize("kind", ["txt", "parquet"])
def test_a_task_erases_all_who_ask_for_it(stage, tmp_path, kind):
    """They are read from a file: no address goes through Airflow."""
    exported(stage, "omnisend")
    path, emails = tmp_path / f"requests.{kind}", [EMAIL, "person5@example.com", "nobody@example.com"]
    if kind == "txt":
        path.write_text("\n".join([*emails, ""]))
    else:
        pd.DataFrame({"email": emails}).to_parquet(path)
    run = erased(stage, path)
    assert "success" == run.state, run.errors
    summary = run.summary()
    assert (3, 0, 3) == (summary["people"], summary["left"], len(summary["receipts"]))
    assert "@" not in json.dumps(summary["receipts"])
    assert [] == holding() + holding(Person.of("person5@example.com"))


@pytest.mark.parametrize("tags", ["merge", "replace"])
def test_a_task_erases_a_person_and_spares_tags_of_others(stage, tmp_path, tags):
    """Whatever an upsert does with tags at Omnisend, an erased person keeps tags that exports did not set."""
    stage.sim.configure({"omnisend": {"update_tags": tags}})
    stage.sim.seed("omnisend", [{"email": EMAIL}], "VIP")
    exported(stage, "omnisend")
    audience = stage.audience("omnisend")
    (tmp_path / "requests.txt").write_text(EMAIL)
    run = erased(stage, tmp_path / "requests.txt")
    assert "success" == run.state, run.errors
    stage.sim.clock.advance(120)
    held = {member["email"]: set(member["tags"]) for member in stage.sim.members("omnisend", "all-contacts")["members"]}
    assert held.pop(EMAIL) == {"VIP"}
    assert [names for names in held.values() if audience in names] == [{audience}] * 7


def test_a_task_fails_where_something_is_left(stage, tmp_path, monkeypatch):
    """Such as an audience whose connection does not let this DAG in; another try goes on."""
    stage.segment(8)
    conn_id = stage.connection("campaign_monitor", extra={"allowed_dags": "exports"})
    stage.export(conn_id=conn_id)
    (tmp_path / "requests.txt").write_text(EMAIL)
    run = erased(stage, tmp_path / "requests.txt")
    assert "failed" == run.state
    assert "remain in 1 place" in run.error
    assert EMAIL in stage.members("campaign_monitor")


def test_a_file_of_requests_that_is_not_there_fails_for_good(stage, tmp_path):
    """The error names the file."""
    run = erased(stage, tmp_path / "none.txt")
    assert "failed" == run.state
    assert "none.txt does not exist" in run.error


def test_a_file_of_requests_that_cannot_be_read_as_addresses_fails_for_good(stage, tmp_path):
    """No retry is made, the error has the line's number and no address, and no person is erased."""
    exported(stage, "omnisend")
    (tmp_path / "requests.txt").write_text(f"email\n{EMAIL}\n")
    run = erased(stage, tmp_path / "requests.txt", retries=3)
    assert "failed" == run.state
    assert (
        "has 1 line without an address, or with more than one address alone: 1. No person was erased. To fix: "
        in run.error
    )
    assert EMAIL in stage.members("omnisend")

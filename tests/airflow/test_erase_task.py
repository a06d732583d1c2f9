"""A task erases the people who ask for it, and fails if something of them is left."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from airflow.sdk import DAG
from airflow_person import EMAIL, exported, holding, soon

from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.operators.segment_export_erase import SegmentExportEraseOperator
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.person.vendor_removal import VendorRemover

__all__ = ["soon"]

pytestmark = pytest.mark.airflow


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


def test_a_task_that_is_killed_writes_the_receipt_and_begins_no_other_person(stage, tmp_path, monkeypatch):
    """Airflow kills the process a few seconds after it has called `on_kill`."""
    exported(stage, "campaign_monitor")
    (tmp_path / "requests.txt").write_text(f"{EMAIL}\nperson5@example.com")
    execute, remove = SegmentExportEraseOperator.execute, VendorRemover.remove
    tasks = []

    def killed(remover, email):
        tasks[0].on_kill()
        return remove(remover, email)

    monkeypatch.setattr(
        SegmentExportEraseOperator, "execute", lambda task, context: execute(tasks.append(task) or task, context)
    )
    monkeypatch.setattr(VendorRemover, "remove", killed)
    run = erased(stage, tmp_path / "requests.txt")
    assert "Airflow has stopped the task before it erased 1 person." in run.error
    assert {"Active"} == {member["status"] for member in stage.members("campaign_monitor").values()}
    [receipt] = [json.loads(path.read_text()) for path in Path(str(state_path() / "erasures")).iterdir()]
    assert not receipt["complete"]
    assert "Airflow has stopped the task" in receipt["left"][0]

"""`airflow segexport test-row` and `test_row_to`: one row, to the user's own address, and nothing else anywhere."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.models.asset import AssetEvent
from airflow.sdk import DAG, Asset, task
from airflow.utils.session import create_session
from airflow_fixtures import FIELD_MAPPING, people

from airflow_provider_segexport.hooks import get_hook
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from airflow_provider_segexport.vendors.registry import VENDORS

pytestmark = pytest.mark.airflow

ME = "me+test@my-domain.example"
MAP = ("--map", "email=email", "--map", "first_name=first_name", "--map", "last_name=last_name")


def state_files(stage) -> dict[str, bytes]:
    """Everything below the state path but the count of calls."""
    root = stage.folder / "state"
    files = [path for path in root.rglob("*") if path.is_file() and "quotas" not in path.parts]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


@pytest.mark.parametrize("vendor", VENDORS)
def test_exactly_one_row_is_sent_to_the_users_own_address(stage, command, vendor):
    """Beside an export that has filled the audience; no ledger and no other person changes."""
    path, conn_id = stage.segment(6), stage.connection(vendor)
    assert "success" == stage.export(conn_id=conn_id).state
    get_hook(conn_id).resolve_audience()
    stage.sim.clock.advance(900)  # tags that the export has tried at Omnisend are gone by then
    before, files = stage.members(vendor), state_files(stage)
    code, text = command("test-row", conn_id, path, *MAP, "--to", ME, "--row", "3", "--yes")
    assert code == 0, text
    assert "the vendor accepted it" in text
    assert "person2@" not in text
    after = stage.members(vendor)
    assert {ME} == set(after) - set(before)
    assert before == {email: person for email, person in after.items() if email != ME}
    stage.sim.clock.advance(900)
    assert "segexport" not in json.dumps(stage.members(vendor)[ME]["tags"] if vendor == "omnisend" else "")
    assert "First2" in json.dumps(after[ME])
    assert files == state_files(stage)


def test_it_shows_the_row_and_asks(stage, command, monkeypatch):
    """No is no, and a dry run asks nothing."""
    path, conn_id = stage.segment(2), stage.connection("dotdigital")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    code, text = command("test-row", conn_id, path, *MAP, "--to", ME)
    assert (code, True) == (0, "Nothing was sent." in text)
    assert "<text, 6 characters>" in text
    code, text = command("test-row", conn_id, path, *MAP, "--to", ME, "--dry-run")
    assert code == 0
    assert stage.nothing_was_sent()
    assert ME not in stage.members("dotdigital")


def test_the_phone_number_of_another_person_is_not_sent(stage, command):
    """Omnisend finds a contact by it, and would change that contact."""
    rows = people(2)
    rows["phone"] = ["+4915112345678", "+4915187654321"]
    path, conn_id = stage.segment(rows), stage.connection("omnisend")
    code, text = command("test-row", conn_id, path, *MAP, "--map", "phone=phone", "--to", ME, "--yes")
    assert code == 0, text
    assert "+49151" not in json.dumps(stage.members("omnisend"), default=str)
    assert "+49151" not in json.dumps(stage.sent("omnisend"), default=str)


def test_an_address_that_an_export_has_sent_is_refused(stage, command):
    """The ledger would no longer say what the vendor holds."""
    path, conn_id = stage.segment(3), stage.connection("campaign_monitor")
    stage.export(conn_id=conn_id)
    before = stage.members("campaign_monitor")
    code, text = command("test-row", conn_id, path, *MAP, "--to", " PERSON1@example.com", "--yes")
    assert code == 1
    assert "An export has already sent this address" in text
    assert before == stage.members("campaign_monitor")


def test_a_suppressed_address_is_not_sent(stage, command):
    """Your own list holds for you, too."""
    path, conn_id = stage.segment(3), stage.connection("dotdigital")
    listed = stage.folder / "suppressed.parquet"
    pq.write_table(pa.table({"email": [ME]}), listed)
    code, text = command("test-row", conn_id, path, *MAP, "--suppression-list", str(listed), "--to", ME, "--yes")
    assert code == 3
    assert "would not be sent" in text
    assert stage.nothing_was_sent()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--to", "nobody"), "no valid email address"),
        (("--to", ME, "--row", "99"), "has 3 rows, and no row 99"),
        (("--to", ME, "--map", "city=no_such"), "no column 'no_such'"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_a_sentence(stage, command, more, message):
    """And nothing was sent."""
    path, conn_id = stage.segment(3), stage.connection("dotdigital")
    code, text = command("test-row", conn_id, path, *MAP, *more, "--yes")
    assert code == 1
    assert message in text
    assert "To fix" in text
    assert stage.nothing_was_sent()


def test_a_connection_that_is_disabled_sends_no_test_row(stage, command):
    """An administrator's switch holds for it."""
    path, conn_id = stage.segment(3), stage.connection("dotdigital", extra={"export_enabled": False})
    code, _ = command("test-row", conn_id, path, *MAP, "--to", ME, "--yes")
    assert code == 1
    assert stage.nothing_was_sent()


def test_a_row_of_a_later_file_and_of_a_partition_is_read(stage, command):
    """Rows are counted over all files, in reading order."""
    for number, tier in enumerate(("gold", "silver")):
        folder = stage.folder / "lake" / f"tier={tier}"
        folder.mkdir(parents=True)
        rows = people(3, start=3 * number).drop(columns=["tier"])
        pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), folder / "a.parquet", row_group_size=2)
    conn_id = stage.connection("campaign_monitor")
    options = (
        "--partition-columns",
        "--map",
        "last_name=tier",
        "--map",
        "email=email",
        "--map",
        "first_name=first_name",
    )
    code, text = command("test-row", conn_id, str(stage.folder / "lake"), *options, "--to", ME, "--row", "6", "--yes")
    assert code == 0, text
    assert "First5" in json.dumps(stage.members("campaign_monitor")[ME])
    assert "silver" in json.dumps(stage.members("campaign_monitor")[ME])


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_task_sends_one_row_in_place_of_an_export(stage, vendor, capsys):
    """No ledger, attempt or other person changes; the address is in no log, result or rendered template."""
    stage.segment(6)
    conn_id, asset = stage.connection(vendor), Asset(f"audience of {vendor}", uri=f"segexport://test-row/{vendor}")
    assert "success" == stage.export(conn_id=conn_id, outlets=[asset]).state
    stage.sim.clock.advance(900)
    before, files = stage.members(vendor), state_files(stage)
    capsys.readouterr()
    run = stage.export(conn_id=conn_id, dag_id="exports_test_row", test_row_to=ME, outlets=[asset])
    assert ("success", []) == (run.state, run.errors)
    assert (True, 1) == (run.summary()["test_row"], run.summary()["counts"]["delivered"])
    after = stage.members(vendor)
    assert {ME} == set(after) - set(before)
    assert before == {email: person for email, person in after.items() if email != ME}
    assert "First0" in json.dumps(after[ME])
    assert files == state_files(stage)
    assert ME not in capsys.readouterr().out + json.dumps(run.summary())
    assert "test_row_to" not in SegmentExportOperator.template_fields
    with create_session() as session:
        tasks = [event.source_dag_id for event in session.query(AssetEvent) if event.asset.name == asset.name]
    assert "exports_test_row" not in tasks
    assert 1 == len(tasks)


@pytest.mark.parametrize("address", ["", None, "nobody", 7, "{{ params.me }}"])
def test_an_address_that_is_none_exports_nothing(stage, address):
    """A variable that is empty must not turn a test into an export."""
    stage.segment(3)
    run = stage.export(conn_id=stage.connection("dotdigital"), test_row_to=address)
    assert "failed" == run.state
    assert "To fix: pass your own address" in run.error
    assert stage.nothing_was_sent()


@pytest.mark.parametrize(
    ("state", "extra", "message"),
    [
        ("failed", {}, "The test row was not sent: on_suppression_list"),
        ("failed", {"allowed_dags": "other"}, "may not use connection"),
        ("skipped", {"export_enabled": False}, ""),
    ],
)
def test_a_task_whose_row_may_not_be_sent_says_why(stage, state, extra, message):
    """The suppression list, the connection's list of DAGs, the administrator's switch."""
    stage.segment(3)
    listed = stage.folder / "suppressed.parquet"
    pq.write_table(pa.table({"email": [ME]}), listed)
    conn_id = stage.connection("dotdigital", extra=extra)
    run = stage.export(conn_id=conn_id, test_row_to=ME, suppression_list=str(listed))
    assert state == str(run.task("export").state)
    assert message in run.error
    assert stage.nothing_was_sent()


def test_a_row_of_a_frame_that_a_function_returns_is_sent(stage):
    """The decorator takes the argument, too."""
    with DAG("frames", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:

        @task.segment_export(conn_id=stage.connection("dotdigital"), field_mapping=FIELD_MAPPING, test_row_to=ME)
        def export():
            return people(3)

        export()
    assert "success" == stage.run(dag).state
    assert {ME} == set(stage.members("dotdigital"))


def test_a_dry_run_of_a_test_row_sends_nothing(stage):
    """`dry_run` holds for a test row as for an export."""
    stage.segment(3)
    run = stage.export(conn_id=stage.connection("dotdigital"), test_row_to=ME, dry_run=True)
    assert "success" == run.state
    assert run.summary()["title"].startswith("Planned one test row for the address book")
    assert (True, 0) == (run.summary()["dry_run"], run.summary()["counts"]["delivered"])
    assert stage.nothing_was_sent()


def test_a_task_that_is_killed_sends_no_test_row(stage, monkeypatch):
    """The request to stop may come before the task has a hook, or while it plans the row."""
    stage.segment(3)
    monkeypatch.setattr(SegmentExportOperator, "pre_execute", lambda task, context: task.on_kill())
    run = stage.export(conn_id=stage.connection("dotdigital"), test_row_to=ME)
    assert "success" != run.state
    assert stage.nothing_was_sent()

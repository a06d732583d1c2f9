"""The last run of an audience, taken back: by a task and by a command."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import DAG
from airflow_fixtures import people

from airflow_provider_segexport.cli import undo as command
from airflow_provider_segexport.operators.segment_export_undo import SegmentExportUndoOperator
from airflow_provider_segexport.triggers import import_jobs
from airflow_provider_segexport.vendors.registry import VENDORS

pytestmark = pytest.mark.airflow

DAYS = ("2026-03-01", "2026-03-02")
ALL = {"guards": {"max_removals_share": None}}


def emails(numbers):
    return {f"person{n}@example.com" for n in numbers}


@pytest.fixture
def two_days(stage):
    """On the second day persons 0 to 4 have left and 20 to 22 have joined; returns a function that does it."""

    def go(vendor):
        conn_id = stage.connection(vendor)
        for day, rows in zip(DAYS, (people(20), people(18, start=5)), strict=True):
            stage.segment(rows)
            run = stage.export(conn_id=conn_id, mode="mirror", as_of=day, **ALL)
            assert "success" == run.state, run.errors
        return conn_id

    return go


def taken_back(stage, **options):
    with DAG("taken_back", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        SegmentExportUndoOperator(**{"task_id": "export", **options})
    return stage.run(dag)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_task_takes_the_last_run_back(stage, two_days, vendor):
    """Added people are removed; removed people are added again if the vendor allows it, and reported otherwise."""
    conn_id = two_days(vendor)
    run = taken_back(stage, conn_id=conn_id)
    assert "success" == run.state, run.errors
    summary = run.summary()
    assert 2 == summary["reverted_version"]
    assert 3 == summary["removals"]["removed"]
    assert 5 == summary["counts"]["profiles"]
    members = {email for email, person in stage.members(vendor).items() if person.get("status") != "Deleted"}
    assert not members & emails(range(20, 23))
    assert emails(range(5, 20)) <= members
    assert summary["counts"]["delivered"] == len(members & emails(range(5)))


def test_a_version_whose_people_a_later_run_changed_is_refused(stage, two_days):
    """The second day took out persons of the first: the error says what to take back before."""
    conn_id = two_days("dotdigital")
    run = taken_back(stage, conn_id=conn_id, ledger_version="1")
    assert "failed" == run.state
    assert "later runs have changed 5 of the people" in run.error
    assert "The newest version is 2" in run.error


def test_another_exports_run_is_refused(stage, two_days):
    """`export_name` says whose run is taken back."""
    conn_id = two_days("dotdigital")
    run = taken_back(stage, conn_id=conn_id, export_name="another.export")
    assert "failed" == run.state
    assert "The export 'another.export' wrote none" in run.error


def test_a_dry_run_of_it_sends_nothing(stage, two_days):
    """It reports the people that it would remove and add again."""
    conn_id = two_days("dotdigital")
    before = len(stage.sent("dotdigital"))
    summary = taken_back(stage, conn_id=conn_id, dry_run=True).summary()
    assert (3, 5) == (summary["estimate"]["removals"], summary["estimate"]["upserts"])
    assert before == len(stage.sent("dotdigital"))
    assert emails(range(5, 23)) == set(stage.members("dotdigital"))


def test_it_goes_on_after_it_has_waited(stage, two_days, monkeypatch):
    """Deferred for the vendor's jobs, it comes back to the same plan: each batch goes out once."""

    async def nap(seconds):
        stage.sim.clock.advance(seconds)

    monkeypatch.setattr(import_jobs, "sleep", nap)
    conn_id = two_days("dotdigital")
    before = len(stage.sent("dotdigital"))
    stage.sim.configure({"dotdigital": {"job_seconds": 240.0}})
    run = taken_back(stage, conn_id=conn_id, deferrable=True)
    assert "success" == run.state, run.errors
    assert 3 == run.summary()["removals"]["removed"]
    assert 1 == len(stage.sent("dotdigital")) - before
    assert [0] == [int(path.name) - 1 for path in (stage.folder / "state" / "runs" / "taken_back").glob("*/*/*/*")]


def test_a_try_that_broke_off_is_gone_on_with(stage, two_days):
    """The vendor refuses the removals in the first try; the second makes no new plan."""
    conn_id = two_days("campaign_monitor")
    stage.sim.faults([{"path": "/subscribers/", "method": "DELETE", "nth": 2, "count": 6, "status": 503}])
    run = taken_back(stage, conn_id=conn_id, retries=2, retry_delay=timedelta(0))
    assert "success" == run.state, run.errors
    [report] = (stage.folder / "state" / "runs" / "taken_back").glob("*/*/*/*/summary.json")
    assert 3 == json.loads(report.read_text())["removals"]["removed"]


class TestCommand:
    """`airflow segexport undo CONN_ID AUDIENCE`."""

    @pytest.fixture
    def run_command(self, stage, two_days, monkeypatch):
        """Two days at dotdigital, and a function that gives the command."""
        conn_id = two_days("dotdigital")

        def give(answer=None, **more):
            monkeypatch.setattr(sys.stdin, "isatty", lambda: answer is not None, raising=False)
            monkeypatch.setattr("builtins.input", lambda _: answer)
            arguments = {
                "conn_id": conn_id,
                "audience": stage.audience("dotdigital"),
                "ledger_version": None,
                "export": None,
            }
            command.undo(Namespace(**{**arguments, "dry_run": False, "yes": False, **more}))

        return give

    def test_it_shows_the_plan_asks_and_does_it(self, stage, run_command, capsys):
        """Answered with yes, the version that was shown is taken back."""
        run_command("yes")
        shown = capsys.readouterr().out
        assert (
            "To revert version 2 of the ledger of 'Customers', written by 'exports.export': 3 people would be" in shown
        )
        assert "and 5 added again" in shown
        assert "Reverted: 3 of 3 people removed" in shown
        assert not set(stage.members("dotdigital")) & emails(range(20, 23))

    @pytest.mark.parametrize("answer", ["", "n", "no"])
    def test_anything_but_yes_sends_nothing(self, stage, run_command, capsys, answer):
        """The question has no as its default."""
        before = set(stage.members("dotdigital"))
        run_command(answer)
        assert "Nothing was sent." in capsys.readouterr().out
        assert before == set(stage.members("dotdigital"))

    def test_without_a_terminal_it_requires_the_flag(self, run_command):
        """A script says --yes."""
        with pytest.raises(SystemExit, match="give --yes"):
            run_command()

    def test_with_the_flag_it_does_not_prompt(self, stage, run_command):
        """With --yes."""
        run_command(yes=True)
        assert not set(stage.members("dotdigital")) & emails(range(20, 23))

    def test_a_dry_run_only_looks(self, stage, run_command, capsys):
        """With --dry-run."""
        before = set(stage.members("dotdigital"))
        run_command(dry_run=True)
        assert "3 people would be removed" in capsys.readouterr().out
        assert before == set(stage.members("dotdigital"))

    def test_it_is_taken_back_once(self, run_command, capsys):
        """The undoing is no run that is taken back again."""
        run_command(yes=True)
        with pytest.raises(SystemExit, match=r"was undone by run|is the undo of version 2"):
            run_command(yes=True)

    def test_another_exports_run_is_refused(self, run_command):
        """With --export."""
        with pytest.raises(SystemExit, match=r"The export 'another\.export' wrote none"):
            run_command(yes=True, export="another.export")

    def test_a_connection_that_is_switched_off_stops_it(self, stage):
        """Exports through it are not wanted, and neither is this."""
        conn_id = stage.connection("dotdigital", extra={"export_enabled": False})
        arguments = Namespace(conn_id=conn_id, audience="1", ledger_version=None, export=None, dry_run=True, yes=False)
        with pytest.raises(SystemExit, match="are disabled"):
            command.undo(arguments)

    def test_airflows_command_line_knows_it(self, airflow_db):
        """`airflow segexport undo CONN_ID AUDIENCE`, with its switches, as a shell gives them."""
        from airflow.cli.cli_parser import get_parser

        arguments = get_parser().parse_args(
            ["segexport", "undo", "dotdigital_eu", "349394", "--ledger-version", "7", "--yes"]
        )
        assert ("dotdigital_eu", "349394", 7) == (arguments.conn_id, arguments.audience, arguments.ledger_version)
        assert (False, True) == (arguments.dry_run, arguments.yes)

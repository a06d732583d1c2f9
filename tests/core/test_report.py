"""The report: counts that add up, and every row that was not delivered, with its reason."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from core.made import PLAIN, TARGET, cleaned, shared, written

from airflow_provider_segexport.contract import Matched
from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.export.prepare import encoded_as
from airflow_provider_segexport.model import Reason, Refusal, Settled, Ticket
from airflow_provider_segexport.ports.run_folder import RunFolder
from airflow_provider_segexport.segment import Planned
from airflow_provider_segexport.stages import plan, report, settle
from airflow_provider_segexport.stages.report import Counts


@pytest.fixture
def run(tmp_path):
    """A run over two files, in which some are refused, some are lost and some stay at the vendor."""
    one = written(tmp_path / "1.parquet", {"email": ["a@example.com", "nobody", "b@example.com", "c@example.com"]})
    two = written(tmp_path / "2.parquet", {"email": ["d@example.com", "A@example.com", "e@example.com", None]})
    folder = RunFolder(tmp_path / "run")
    with cleaned(one, two) as (sql, told):
        item = encoded_as(PLAIN.item(Matched(("email",)), TARGET))
        planned = plan.freeze(sql, plan.upserts(item, against_ledger=False), PLAIN.limits, folder.place, told)
    books = settle.Bookkeeper(folder)
    first, second = settle.remaining(folder, planned.batches)
    books.answered(first, Settled(refused=(Refusal(1, Reason.BOUNCED, "207", "Is Bounced"),), contact_ids={0: "7"}))
    books.answered(second, Ticket("still there"))
    return folder, planned, [("one", 0), ("two", 4)]


def test_every_row_that_has_a_verdict_and_was_not_delivered(run):
    """Input file and row, outcome, reason, and the vendor's own code and words, in the segment's order."""
    folder, _, files = run
    sql = shared()
    reasons = report.write_rejects(sql, folder, files)
    rows = pq.read_table(folder.place / "rejects.parquet").to_pylist()
    assert [(row["file"], row["file_row"], row["email"], row["outcome"], row["reason"]) for row in rows] == [
        ("one", 1, "nobody", "rejected", "bad_email"),
        ("one", 2, "b@example.com", "rejected", "bounced"),
        ("two", 1, "a@example.com", "withheld", "duplicate"),
        ("two", 3, None, "rejected", "no_email"),
    ]
    assert (rows[1]["vendor_code"], rows[1]["vendor_words"]) == ("207", "Is Bounced")
    assert reasons == {"rejected": {"bad_email": 1, "bounced": 1, "no_email": 1}, "withheld": {"duplicate": 1}}


def test_counts_add_up_while_jobs_are_open(run):
    """What has no verdict was not attempted, as far as the report goes."""
    folder, planned, files = run
    sql = shared()
    reasons = report.write_rejects(sql, folder, files)
    accepted, _ = settle.tally(folder.journal.states())
    assert report.count(planned, accepted, reasons) == Counts(8, 2, 0, 3, 1, 2)


def test_a_run_without_rejects(tmp_path):
    """The file is there, and empty."""
    folder = RunFolder(tmp_path / "run")
    with cleaned(written(tmp_path / "1.parquet", {"email": ["a@example.com"]})) as (sql, told):
        item = encoded_as(PLAIN.item(Matched(("email",)), TARGET))
        plan.freeze(sql, plan.upserts(item, against_ledger=False), PLAIN.limits, folder.place, told)
    sql = shared()
    assert report.write_rejects(sql, folder, [("one", 0)]) == {}
    assert pq.read_table(folder.place / "rejects.parquet").num_rows == 0


def test_counts_that_do_not_add_up_are_no_report():
    """More verdicts than rows is a mistake of ours: it is not written down as if it were true."""
    planned = Planned(profiles=3, upserts=3, unchanged=0, batches=("a",), bytes=1)
    with pytest.raises(SegexportError, match="do not add up"):
        report.count(planned, 3, {"rejected": {"bounced": 1}})


def test_a_summary_is_json(run):
    """Counts and reasons beside the run's own facts, and the versions of what did the work."""
    counts = Counts(1, 1, 0, 0, 0, 0)
    told = report.summarize(counts, {"rejected": {"bounced": 1}}, {"vendor": "plain", "versions": report.versions()})
    assert json.loads(json.dumps(told)) == told
    assert told["counts"]["delivered"] == 1
    assert set(told["versions"]) == {"airflow-provider-segexport", "duckdb", "pyarrow", "requests"}

"""The report: counts that add up, and every row that was not delivered, with its reason."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from core.factories import PLAIN, TARGET, cleaned, shared, written

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.export.row_sql import row_sql
from airflow_provider_segexport.model import BatchResult, JobId, Reason, RowRejection
from airflow_provider_segexport.stages import plan, record, report
from airflow_provider_segexport.stages.report import Counts
from airflow_provider_segexport.storage.plan import Plan
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.vendors.base import MappedFields


@pytest.fixture
def run(tmp_path):
    """A run over two files, in which some are refused, some are lost and some stay at the vendor."""
    first_file = written(
        tmp_path / "1.parquet", {"email": ["a@example.com", "nobody", "b@example.com", "c@example.com"]}
    )
    second_file = written(tmp_path / "2.parquet", {"email": ["d@example.com", "A@example.com", "e@example.com", None]})
    folder = RunFolder(tmp_path / "run")
    with cleaned(first_file, second_file) as (sql, result):
        item = row_sql(PLAIN.item_template(MappedFields(("email",)), TARGET))
        planned = plan.write_plan_rows(
            sql, plan.upsert_sql(item, against_ledger=False), PLAIN.limits, folder.path, result
        )
    recorder = record.BatchRecorder(folder)
    first, second = record.remaining(folder, planned.batches)
    recorder.record_reply(
        first, BatchResult(rejected=(RowRejection(1, Reason.BOUNCED, "207", "Is Bounced"),), contact_ids={0: "7"})
    )
    recorder.record_reply(second, JobId("still there"))
    return folder, planned, [("one", 0), ("two", 4)]


def test_every_row_that_has_a_result_and_was_not_delivered(run):
    """Input file and row, outcome, reason, and the vendor's own code and words, in the segment's order."""
    folder, _, files = run
    sql = shared()
    reasons = report.write_rejects(sql, folder, files)
    rows = pq.read_table(folder.path / "rejects.parquet").to_pylist()
    assert [(row["file"], row["file_row"], row["email"], row["outcome"], row["reason"]) for row in rows] == [
        ("one", 1, "nobody", "rejected", "invalid_email"),
        ("one", 2, "b@example.com", "rejected", "bounced"),
        ("two", 1, "a@example.com", "withheld", "duplicate"),
        ("two", 3, None, "rejected", "no_email"),
    ]
    assert (rows[1]["vendor_code"], rows[1]["vendor_message"]) == ("207", "Is Bounced")
    assert reasons == {"rejected": {"invalid_email": 1, "bounced": 1, "no_email": 1}, "withheld": {"duplicate": 1}}


def test_counts_add_up_while_jobs_are_open(run):
    """The report counts a row without a result as not attempted."""
    folder, planned, files = run
    sql = shared()
    reasons = report.write_rejects(sql, folder, files)
    accepted, _ = record.count_rows(folder.journal.states())
    assert report.count(planned, accepted, reasons) == Counts(8, 2, 0, 3, 1, 2)


def test_a_run_without_rejects(tmp_path):
    """The file is there, and empty."""
    folder = RunFolder(tmp_path / "run")
    with cleaned(written(tmp_path / "1.parquet", {"email": ["a@example.com"]})) as (sql, result):
        item = row_sql(PLAIN.item_template(MappedFields(("email",)), TARGET))
        plan.write_plan_rows(sql, plan.upsert_sql(item, against_ledger=False), PLAIN.limits, folder.path, result)
    sql = shared()
    assert report.write_rejects(sql, folder, [("one", 0)]) == {}
    assert pq.read_table(folder.path / "rejects.parquet").num_rows == 0


def test_counts_that_do_not_add_up_are_no_report():
    """More results than rows is a mistake of ours: the report is not written as if it were true."""
    planned = Plan(profiles=3, upsert_rows=3, unchanged=0, batches=("a",), bytes=1)
    with pytest.raises(SegexportError, match="do not add up"):
        report.count(planned, 3, {"rejected": {"bounced": 1}})


def test_a_summary_is_json(run):
    """Counts and reasons beside the run's own facts, and the versions of what did the work."""
    counts = Counts(1, 1, 0, 0, 0, 0)
    summary = report.summarize(counts, {"rejected": {"bounced": 1}}, {"vendor": "plain", "versions": report.versions()})
    assert json.loads(json.dumps(summary)) == summary
    assert summary["counts"]["delivered"] == 1
    assert set(summary["versions"]) == {"airflow-provider-segexport", "duckdb", "pyarrow", "requests"}

"""The report of a run that has not ended, from its plan and its journal."""

from __future__ import annotations

from airflow_provider_segexport.export.run_report import read_report
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.storage.journal import Entry, Journal
from airflow_provider_segexport.storage.plan import Plan, PlanFacts
from airflow_provider_segexport.storage.run_folder import RunFolder


def test_removals_do_not_count_as_delivered_profiles(tmp_path):
    """A removal is about a person who is not in the segment; its rows are no profiles."""
    audience = Audience("https://api.example.com", "7", "Acme", "42", "Newsletter")
    planned = Plan(profiles=10, upsert_rows=10, unchanged=0, batches=("aa", "remove-bb"), bytes=600, not_sent={})
    Journal(tmp_path).write(
        [
            Entry(batch="aa", state="settled", rows=10, accepted=9, rejected=1),
            Entry(batch="remove-bb", state="settled", rows=5, accepted=3, rejected=2),
        ]
    )
    RunFolder(tmp_path).write_plan(planned, PlanFacts("dotdigital", audience, "mirror", "2026-11-24", 1.0, 0))
    report = read_report(tmp_path)
    counts = {"delivered": 9, "unchanged": 0, "rejected": 1, "withheld": 0, "pending": 0}
    assert report["counts"] == {"profiles": 10, **counts}
    assert report["batches_with_result"] == 2

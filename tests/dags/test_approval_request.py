"""The request that a person reads before approving a plan."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
from jinja2 import Environment

pytestmark = pytest.mark.airflow

DAG_FILE = Path(__file__).resolve().parents[2] / "dags" / "segment_export_with_approval.py"
RUN_URL = (
    "https://airflow.example.com/base/dags/segment_export_with_approval/runs/manual__2026-03-01T00%3A00%3A00%2B00%3A00"
)
SAME = "90 of 100 people would be taken out of the audience."
PLAN = {
    "title": "VIP at Omnisend: dry run, 5 of 10 profiles would be sent",
    "audience_name": "VIP",
    "mode": "mirror",
    "counts": {"profiles": 10, "unchanged": 3, "rejected": 1, "withheld": 1},
    "estimate": {"upserts": 5, "removals": 90, "calls": 2, "estimated_minutes": 1.5},
    "guards": [
        {"name": "min_rows", "message": "The segment has 10 rows.", "tripped": False},
        {"name": "max_removals", "message": SAME, "tripped": False},
        {"name": "max_removals_share", "message": SAME, "tripped": True},
    ],
}


@pytest.fixture(scope="module")
def request_text(airflow_db) -> str:
    """The request of this plan, as its task renders it."""
    spec = importlib.util.spec_from_file_location("approval_example", DAG_FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return (
        Environment(autoescape=False)
        .from_string(module.BODY)
        .render(
            ti=SimpleNamespace(xcom_pull=lambda _: PLAN, log_url=f"{RUN_URL}/tasks/ask?try_number=1"),
            params=SimpleNamespace(connection="omnisend_default"),
        )
    )


def test_guards_that_tripped_come_first_and_are_marked(request_text):
    """The sentence that two guards share is there once."""
    lines = [line.strip() for line in request_text.splitlines() if line.startswith("-")]
    assert lines == [f"- **Over the limit** (`max_removals_share`): {SAME}", "-  The segment has 10 rows."]


def test_the_request_names_connection_audience_mode_and_figures(request_text):
    """The counts of a dry run, and the path of its report."""
    for row in ("connection | omnisend_default", "audience | VIP", "mode | mirror", "would be sent | 5", "calls | 2"):
        assert f"| {row} |" in request_text
    assert (
        "(https://airflow.example.com/base/dags/segment_export_with_approval/runs/"
        "manual__2026-03-01T00%3A00%3A00%2B00%3A00/tasks/plan/plugin/segment_export)" in request_text
    )

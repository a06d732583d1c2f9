"""Made-up rejects, attempts and verifications, and the addresses of the pages that show them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from ui_factories import ledger_path

from airflow_provider_segexport.storage.attempts import Attempt, Status, attempts_file, record

TASK = "dag_id=exports&run_id=scheduled__2026-11-24&task_id=export&map_index=-1"
TRIED = "dag_id=exports&run_id=refused&task_id=export&map_index=-1"
HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'
REJECT = {
    "file": "segment.parquet",
    "file_row": 3,
    "row": 3,
    "email": "jane@example.com",
    "outcome": "rejected",
    "reason": "invalid_email",
    "field": "email",
    "vendor_code": "",
    "vendor_message": "",
}
GUARDS = [
    {"name": "min_rows", "measured": 10, "limit": 0, "action": "fail", "tripped": False, "message": "Ten rows."},
    {"name": "max_removals", "measured": 90, "limit": 100, "action": "fail", "tripped": False, "message": "Ninety."},
    {"name": "max_shrink", "measured": 0.9, "limit": 0.5, "action": "fail", "tripped": True, "message": "Shrunk."},
]


def audience_path(report: dict) -> str:
    parts = place_parts(report)
    return f"audience?vendor={parts[0]}&account={parts[1]}&audience={parts[2]}"


def place_parts(report: dict) -> tuple[str, str, str]:
    return ledger_path(Path(), report).parts[-3:]


def attempt_of(report: dict, **changes) -> Attempt:
    """A newer try of a run's export that was refused before it had a plan."""
    dag, task, *_ = report["run"].split("/")
    return replace(
        Attempt(
            f"{dag}/{task}/refused/0",
            Status.FAILED,
            report["ended_at"] + 50,
            report["ended_at"] + 50,
            report["ended_at"] + 60,
            conn_id=report["conn_id"],
            audience=report["audience"],
            vendor=report["vendor"],
            code="authentication-failed",
            error="The vendor's answer was 401. To fix: check the API key.",
        ),
        **changes,
    )


def attempted(root: Path, attempt: Attempt) -> None:
    dag, task, *_ = attempt.run.split("/")
    record(attempts_file(root, attempt.conn_id, attempt.audience, f"{dag}/{task}"), attempt)


def text_of(page: str) -> str:
    """Return the visible text of a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def verification(run: str = "exports/verify/r/0", **changes):
    """A report of a verification, as the history keeps it."""
    people = {"in_sync": 970, "missing": 20, "left": 0, "opted_out": 7, "barred": 0, "unsettled": 3, "changed": 0}
    return {
        "ended_at": 1_767_225_600.0,
        "run": run,
        "run_folder": run,
        "match_rate": 0.9798,
        "match_rate_interval": None,
        "sampled": None,
        "people": people | {"not_read": 0, "not_ours": 12},
        "values": {"compared": 500, "different": 4, "by_field": {"firstname": 4}},
        "repaired": 20,
        **changes,
    }

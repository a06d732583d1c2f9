"""Every report of every vendor is an instance of the documented type."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.export.config import Guard
from airflow_provider_segexport.export.report_schema import Report


def conforms(report: dict[str, Any]) -> set[str]:
    """Hold a report, as its file has it, against the type; return its keys that may be absent."""
    stored = json.loads(json.dumps(report))
    msgspec.convert(stored, Report, strict=True)
    assert set(stored) - Report.__required_keys__ - Report.__optional_keys__ == set()
    return set(stored) & Report.__optional_keys__


def test_reports_of_exports_dry_runs_undos_and_failures_conform(account: VendorHarness):
    """An export, a dry run, an undo and a run that a guard stops."""
    reports = [
        account.day(1, people(5)),
        account.day(2, people(4), columns={"ok": [True, False, True, True]}, consent=account.consent("ok")),
        account.day(3, people(3), dry_run=True),
    ]
    keys = [conforms(report) for report in reports]
    assert "plan_hash" in keys[2]
    assert "plan_hash" not in keys[0]
    stopped = account.day(4, people(1), guards={"max_removals_share": Guard(0.1)}, dry_run=True)
    conforms(stopped)
    assert [guard["name"] for guard in stopped["guards"] if guard["tripped"]]
    conforms(account.undo())

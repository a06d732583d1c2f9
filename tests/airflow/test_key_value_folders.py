"""The state's root and the reports lie below folders named `key=value`, as data lakes name theirs."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow_fixtures import people

pytestmark = pytest.mark.airflow


def test_two_days_below_folders_that_look_like_partitions(stage):
    """Their keys name columns, and replace none: the second day sends what changed and takes out who has left."""
    above = stage.folder / "email=all@example.com" / "state=out" / "row=7" / "hash=1"
    stage.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", str(above / "root"))
    conn_id = stage.connection("campaign_monitor")
    options = {"conn_id": conn_id, "mode": "mirror", "guards": {"max_removals_share": None, "max_shrink": None}}
    options |= {"reports_path": str(above / "reports"), "dag_id": "lake", "consent_column": "email=no"}
    days = {"first": people(6), "second": people(4).assign(first_name=["First0", "First1", "First2", "Anew"])}
    summaries = []
    for day, rows in days.items():
        stage.segment(rows.assign(**{"email=no": True}))
        run = stage.export(**options, run={"run_conf": {"day": day}})
        assert "success" == run.state, run.errors
        summaries.append(run.summary())
    assert {"delivered": 6, "unchanged": 0}.items() <= summaries[0]["counts"].items()
    assert {"delivered": 1, "unchanged": 3}.items() <= summaries[1]["counts"].items()
    assert 2 == summaries[1]["removals"]["removed"]
    active = {email for email, member in stage.members("campaign_monitor").items() if member["status"] == "Active"}
    assert {f"person{number}@example.com" for number in range(4)} == active
    assert all(Path(summary["run_folder"]).is_relative_to(above / "reports") for summary in summaries)

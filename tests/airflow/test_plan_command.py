"""`airflow segexport plan`, through Airflow's own parser against all four vendors."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from airflow_fixtures import FIELD_MAPPING, people
from airflow_plan_command import CANARY, code_of, operator_of

from airflow_provider_segexport.hooks import get_hook
from airflow_provider_segexport.vendors.registry import VENDORS

pytestmark = pytest.mark.airflow

MAP = ("--map", "email=email", "--map", "first_name=first_name", "--map", "last_name=last_name")


def state_files(stage) -> dict[str, bytes]:
    """Everything below the state path but the count of calls."""
    root = stage.folder / "state"
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and "quotas" not in path.parts
    }


def at_vendor(stage, vendor):
    """All that the simulator holds of a vendor, and the calls that may have changed it."""
    described = stage.vendor(vendor)
    members = [stage.members(vendor, number) for number in range(len(described["audiences"]))]
    return json.dumps([described["audiences"], members], sort_keys=True, default=str)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_plan_changes_nothing_and_the_pasted_call_does_what_it_says(stage, command, vendor):
    """Nothing at the vendor, nothing in the state path; the DAG with the printed call then sends what was planned."""
    rows = people(30)
    rows.loc[3, "email"], rows.loc[4, "email"] = "no address", rows.loc[5, "email"]
    path, conn_id = stage.segment(rows, "odd 'name' of {a} segment"), stage.connection(vendor)
    get_hook(conn_id).resolve_audience()  # Constant Contact renews its token once
    before, files = at_vendor(stage, vendor), state_files(stage)
    code, text = command("plan", conn_id, path, *MAP, "--guard", "max_duplicates_share=0.04", "-o", "json")
    assert code == 0, text
    planned = json.loads(text)
    assert before == at_vendor(stage, vendor)
    assert stage.nothing_was_sent()
    assert files == state_files(stage)
    assert planned["counts"] | {} == {
        "profiles": 30,
        "delivered": 0,
        "unchanged": 0,
        "rejected": 1,
        "withheld": 1,
        "not_attempted": 28,
    }
    assert {guard["name"]: guard["state"] for guard in planned["guards"]}["max_duplicates_share"] == "near"
    assert [len(planned["items"]), planned["estimate"]["upserts"]] == [3, 28]
    dag, task = operator_of(planned["operator"])
    assert task.segment == path
    run = stage.run(dag)
    assert run.state == "success", run.error
    assert run.summary()["counts"]["delivered"] == 28


@pytest.mark.parametrize("vendor", VENDORS)
def test_no_value_of_a_person_is_shown(stage, command, vendor):
    """Every column that is mapped holds canaries, also in rows that are rejected; no format shows one."""
    rows = people(6)
    for column in ("first_name", "last_name"):
        rows[column] = CANARY
    rows["email"] = [f"{CANARY}{number}@{CANARY}.com" for number in range(6)]
    rows.loc[2, "email"] = f"{CANARY} no address"
    conn_id, path = stage.connection(vendor), stage.segment(rows)
    for output in ("table", "plain", "json", "yaml"):
        code, text = command("plan", conn_id, path, *MAP, "-o", output)
        assert code == 0, text
        assert CANARY not in text.lower()
        assert "c…@c….com" in text.replace("\\u2026", "…")
        assert re.search(r"<text, (13|27) characters>", text)


def test_the_table_has_counts_guards_items_and_the_call(stage, command):
    """As a person reads it; the rows add up to the segment."""
    conn_id = stage.connection("dotdigital")
    get_hook(conn_id).export(
        segment=stage.segment(20), field_mapping=FIELD_MAPPING, mode="mirror", export_name="exports.export"
    )
    rows = people(19)
    rows.loc[0, "first_name"] = "Changed"
    code, text = command("plan", conn_id, stage.segment(rows), *MAP, "--mode", "mirror", "--export-name",
                         "exports.export", "--guard", "max_removals_share=0.06")  # fmt: skip
    assert code == 0, text
    counts = dict(re.findall(r"^(?:to send|unchanged|to remove) +\| (\S+).*\| (\d+)", text, re.MULTILINE))
    assert counts == {"new": "1", "as": "18", "left": "1"}
    assert "Plan of 19 profiles for the address book 'Customers'" in text
    assert "max_removals_share | near " in text
    assert text.count("with masked values:") == 1
    assert "2 calls," in text
    assert 'mode="mirror"' in code_of(text)


def test_a_guard_that_trips_is_exit_code_3(stage, command):
    """The plan is printed first; a warning is none."""
    conn_id, rows = stage.connection("omnisend"), people(30)
    rows["email"] = "same@example.com"
    path = stage.segment(rows)
    code, text = command("plan", conn_id, path, *MAP, "--guard", "max_duplicates_share=0.1:fail")
    assert code == 3
    assert "max_duplicates_share | tripped" in text
    assert "Nothing is sent: 29 of 30 rows repeat an address." in text
    code, text = command("plan", conn_id, path, *MAP)
    assert (code, "max_duplicates_share | tripped" in text) == (0, True)
    assert command("plan", conn_id, path, *MAP, "--guard", "max_duplicates_share=off")[0] == 0


def test_a_snapshot_that_is_too_old_is_exit_code_3(stage, command):
    """The export would be skipped."""
    conn_id, path = stage.connection("dotdigital"), stage.segment(3)
    get_hook(conn_id).export(segment=path, field_mapping=FIELD_MAPPING, export_name="exports.export")
    code, text = command("plan", conn_id, path, *MAP, "--export-name", "exports.export", "--as-of", "2020-01-01")
    assert code == 3
    assert text.startswith("This snapshot is as of 2020-01-01")
    code, text = command(
        "plan", conn_id, path, *MAP, "--export-name", "exports.export", "--as-of", "2020-01-01", "--on-stale", "verify"
    )
    assert code == 0
    assert "this compares the two" in text


def test_an_audience_of_another_export_names_the_option(stage, command):
    """The default name is one that no task has, so the pasted call would meet the same error."""
    conn_id, path = stage.connection("campaign_monitor"), stage.segment(3)
    get_hook(conn_id).export(segment=path, field_mapping=FIELD_MAPPING, export_name="exports.export")
    code, text = command("plan", conn_id, path, *MAP)
    assert code == 1
    assert "owned by the export 'exports.export'" in text
    assert "pass its name with `--export-name`" in text


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"allowed_dags": "segment_*"}, "Code outside a DAG or in `@task.virtualenv` may not use connection"),
        ({"allowed_dags": ""}, "Currently allowed: none"),
        ({"export_enabled": False}, "are disabled"),
        ({"privacy_consent": False}, "has no consent"),
        ({"consented_by": ""}, "does not name who consented"),
    ],
)
def test_a_connection_that_may_not_be_used_is_not_called(stage, command, extra, expected):
    """The gate of code outside a DAG holds for this command; the vendor gets no call."""
    conn_id = stage.connection("dotdigital", extra=extra)
    code, text = command("plan", conn_id, stage.segment(3), *MAP)
    assert code == 1
    assert expected in text
    assert stage.sim.requests(vendor="dotdigital") == []


def test_an_unexpected_error_shows_no_text(stage, command, monkeypatch):
    """A library may quote a row in it."""

    def fails(*_, **__):
        raise ValueError(f"bad row: {CANARY}@example.com")

    monkeypatch.setattr("airflow_provider_segexport.hooks.runner.run_export", fails)
    code, text = command("plan", stage.connection("dotdigital"), stage.segment(3), *MAP)
    assert code == 1
    assert "Unexpected ValueError" in text
    assert CANARY not in text


def test_nothing_stays_in_the_temporary_folder(stage, command, monkeypatch, tmp_path):
    """Neither after a plan nor after an error in it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    conn_id, path = stage.connection("dotdigital"), stage.segment(3)
    assert command("plan", conn_id, path, *MAP)[0] == 0
    assert command("plan", conn_id, path, *MAP, "--custom-field", "NONE=tier")[0] == 1
    assert [] == [name for _, _, names in os.walk(tmp_path / "tmp") for name in names]


def test_a_plan_reads_the_ledger_of_a_bucket(stage, s3_root, command):
    """And leaves no object there."""
    conn_id, path = stage.connection("dotdigital"), stage.segment(5)
    get_hook(conn_id).export(segment=path, field_mapping=FIELD_MAPPING, export_name="by hand")
    before = dict(s3_root())
    code, text = command("plan", conn_id, path, *MAP, "--export-name", "by hand")
    assert code == 0, text
    assert re.search(r"^unchanged +\| as in the ledger +\| 5 ", text, re.MULTILINE)
    assert before == dict(s3_root())


def test_other_commands_do_not_pay_for_the_options():
    """Every command of Airflow builds this parser, so the table of options brings neither Arrow nor the HTTP client."""
    import subprocess
    import sys

    script = (
        "import sys; from airflow_provider_segexport.cli.plan_options import OPTIONS;"
        "print('heavy:', *sorted({'pyarrow', 'duckdb', 'requests', 'phonenumbers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "heavy:"

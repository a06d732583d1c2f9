"""One person taken out of everything, where the state root is a bucket of an S3 server."""

from __future__ import annotations

import io
import json
from argparse import Namespace
from hashlib import sha256

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_fixtures import people

from airflow_provider_segexport.cli import person as command
from airflow_provider_segexport.hooks import erasure, get_hook
from airflow_provider_segexport.vendors.registry import VENDORS

pytestmark = pytest.mark.airflow

EMAIL, OTHER = "person3@example.com", "person4@example.com"


@pytest.fixture
def bucket(stage, s3_root, monkeypatch):
    """The objects of the state root; erasing lets the simulator's time pass."""
    real = erasure.erasure_deps
    monkeypatch.setattr(erasure, "erasure_deps", lambda hook_of: real(hook_of, sleep=stage.sim.clock.advance))
    monkeypatch.setattr(command, "command_hook", get_hook)
    return s3_root


def text_of(key: str, content: bytes) -> str:
    """The text of an object; tables are compressed, so their cells count, and the file's own metadata too."""
    if key.endswith(".parquet"):
        table = pq.read_table(io.BytesIO(content))
    elif key.endswith(".arrow"):
        table = pa.ipc.open_file(content).read_all()
    else:
        return content.decode(errors="replace")
    return json.dumps(table.to_pylist(), default=str) + str(table.schema.metadata)


def holding(held: dict[str, bytes], email: str) -> list[str]:
    """Objects that name a person, in their words, their bytes or their keys."""
    texts = {key: f"{key} {text_of(key, content)} {content.decode(errors='replace')}" for key, content in held.items()}
    return sorted(key for key, text in texts.items() if email in text.lower())


def exported(stage, rows, conn_id):
    stage.segment(rows)
    run = stage.export(conn_id=conn_id, mode="mirror", guards={"max_removals_share": None})
    assert "success" == run.state, run.errors


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_person_is_in_no_object_afterwards(stage, bucket, vendor, capsys):
    """Explained first; then in no ledger, table, journal or report, and the receipt names what was changed."""
    conn_id = stage.connection(vendor)
    rows = people(9)
    rows.loc[7, "email"] = f" {EMAIL.upper()}"  # a duplicate: a rejected row, as it was written
    exported(stage, rows, conn_id)
    exported(stage, people(8), conn_id)
    before = bucket()
    assert {"ledgers", "runs"} <= {key.split("/")[1] for key in holding(before, EMAIL)}
    capsys.readouterr()
    command.explain(Namespace(email=EMAIL, last_runs=5))
    output = capsys.readouterr().out
    assert "in the audience, added by an export" in output
    assert ": duplicate of email, row 7 of " in output
    assert "No record" not in output
    command.erase(Namespace(email=EMAIL, requested_by="Ann Administrator", dry_run=False, yes=True))
    after = bucket()
    assert [] == holding(after, EMAIL)
    assert holding(before, OTHER) == holding(after, OTHER)
    [receipt] = [json.loads(content) for key, content in after.items() if key.startswith("state/erasures/")]
    assert (True, sha256(EMAIL.encode()).hexdigest()) == (receipt["complete"], receipt["person"])
    assert receipt["path"].startswith("s3://object_store@")
    paths_in_receipt = {finding["path"].partition("/state/")[2] for finding in receipt["findings"]} - {""}
    assert {key.removeprefix("state/") for key in holding(before, EMAIL)} == paths_in_receipt
    assert EMAIL not in {email for email, member in stage.members(vendor).items() if member.get("status") != "Deleted"}


def test_the_ledger_that_is_left_is_gone_on_with(stage, bucket, capsys):
    """The next export finds the others unchanged, and no person is missing."""
    conn_id = stage.connection("dotdigital")
    exported(stage, 9, conn_id)
    command.erase(Namespace(email=EMAIL, requested_by="Ann Administrator", dry_run=False, yes=True))
    rows = people(9)
    stage.segment(rows[rows["email"] != EMAIL])
    run = stage.export(conn_id=conn_id, mode="mirror")
    counts = run.summary()["counts"]
    assert (8, 0) == (counts["unchanged"], counts["delivered"])
    command.explain(Namespace(email=EMAIL, last_runs=5))
    assert "No record of this person in any of 1 audience." in capsys.readouterr().out
    assert [] == holding(bucket(), EMAIL)

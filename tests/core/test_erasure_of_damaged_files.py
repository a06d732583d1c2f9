"""An erasure names damaged files, and writes none of them again."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.factories import TARGET
from core.person_files import ADA, ROWS, ledger, root, tools

from airflow_provider_segexport.cli.person import describe_record
from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.person import files
from airflow_provider_segexport.person.erase import erase
from airflow_provider_segexport.person.explain import explain
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.storage import sealing
from airflow_provider_segexport.storage.files import ArrowFileWriter, write_parquet
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_schema import SCHEMA
from airflow_provider_segexport.storage.paths import ensure_folder, read, write

__all__ = ["root"]


def damage(path) -> bytes:
    """Change one byte in the middle of a file; this process has not read it before."""
    sealing._verified.clear()
    content = bytearray(read(path))
    content[len(content) // 3] ^= 4
    write(path, bytes(content))
    return bytes(content)


def test_a_damaged_version_of_a_ledger_is_not_made_whole_by_erasing(root):
    """Written again, it would carry a right checksum. It stays as it is, and the receipt names it."""
    audience_ledger = ledger(root, {ADA.email: "member"}, {ADA.email: "member", "b@example.com": "member"})
    content = damage(audience_ledger.file(1))
    for dry_run in (True, False):
        receipt = erase(tools(root), ADA, "Ann", dry_run=dry_run)
        assert not receipt.complete
        [left] = receipt.left
        assert str(audience_ledger.file(1)) in left
        assert "its checksum differs" in left
        assert "To fix: restore it" in left
    assert read(audience_ledger.file(1)) == content
    assert [(1,)] == [record.damaged for record in explain(root, ADA, tools(root).resolve)]
    assert files.count(audience_ledger.file(2), Person.of("b@example.com")) == 1
    assert files.count(audience_ledger.file(2), ADA) == 0
    with pytest.raises(DamagedState, match="its checksum differs"):
        files.clean(audience_ledger.file(1), ADA)


@pytest.mark.parametrize("suffix", ["", "-0123abcd"])
@pytest.mark.parametrize("kind", ["ledger", "run"])
def test_a_damaged_table_that_was_kept_is_named(root, kind, suffix):
    """No later run reads it. The person is in no other file."""
    audience_ledger = ledger(root, {"b@example.com": "member"})
    run = ensure_folder(root / "runs" / "dag" / "task" / "run" / "0" / "01")
    write(run / "summary.json", b'{"finished": true}')
    damaged_file = (audience_ledger.path if kind == "ledger" else run) / f"damaged-00000001-00000001.parquet{suffix}"
    write(damaged_file, damage(audience_ledger.file(1)) if kind == "ledger" else b"ada@example.com")
    if kind == "ledger":
        audience_ledger.file(1).unlink()
    for dry_run in (True, False):
        lefts = [left for left in erase(tools(root), ADA, "Ann", dry_run=dry_run).left if str(damaged_file) in left]
        assert [True] == [
            "It may contain the person. To fix: restore it from a backup or delete it" in left for left in lefts
        ]
    damaged_file.unlink()
    assert not any(str(damaged_file) in left for left in erase(tools(root), ADA, "Ann").left)


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_damaged_newest_version_is_left_with_what_to_do(root, dry_run):
    """Whether the person is in that audience is not known. Other audiences and run folders are erased all the same."""
    damaged = ledger(root, {ADA.email: "member"})
    other = Ledger.of(root, "plain", replace(TARGET, audience="another"))
    other.commit(pa.Table.from_pylist([{"email": ADA.email, "state": "member"}], SCHEMA).to_batches(), 0)
    damage(damaged.file(1))
    receipt = erase(tools(root), ADA, "Ann", dry_run=dry_run)
    [left] = receipt.left
    assert str(damaged.file(1)) in left
    assert ("airflow segexport repair" in left) != dry_run
    assert {finding.outcome for finding in receipt.findings} == ({"in", "found"} if dry_run else {"removed"})
    assert files.count(other.file(1), ADA) == (1 if dry_run else 0)
    records = {record.path.name: record for record in explain(root, ADA, tools(root).resolve)}
    assert [True, False] == [records[path.name].is_unknown for path in (damaged.path, other.path)]
    assert "unknown, because the newest version (1)" in "\n".join(describe_record(records[damaged.path.name]))


@pytest.mark.parametrize("name", ["rejects.parquet", "upserts.arrow"])
@pytest.mark.parametrize("finished", [True, False])
def test_a_damaged_table_of_a_run_is_named(root, name, finished):
    """The other tables of the run are cleaned."""
    folder = ensure_folder(root / "runs" / "dag" / "task" / "run" / "0" / "01")
    rows = pa.table({"row": [1, 2], "email": [ADA.email, "b@example.com"]}, ROWS)
    for file_name in ("rejects.parquet", "removals.parquet"):
        write_parquet(folder / file_name, rows.to_batches(), ROWS)
    with ArrowFileWriter(folder / "upserts.arrow", ROWS) as out:
        out.write(rows.to_batches()[0])
    if finished:
        write(folder / "summary.json", b'{"finished": true}')
    else:
        write(folder / "plan.json", b"{}")
    damage(folder / name)
    receipt = erase(tools(root), ADA, "Ann")
    assert any(str(folder / name if finished else folder) in left for left in receipt.left)
    assert files.count(folder / "removals.parquet", ADA) == (0 if finished else 1)


def test_files_of_version_1_carry_no_checksum_and_are_cleaned(root):
    """Parquet and Arrow."""
    folder = ensure_folder(root / "old")
    rows = pa.table({"row": [1, 2], "email": [ADA.email, "b@example.com"]}, ROWS)
    with (folder / "rejects.parquet").open("wb") as file:
        pq.write_table(rows, file)
    with (folder / "upserts.arrow").open("wb") as file, pa.ipc.new_file(file, ROWS) as out:
        out.write_table(rows)
    assert [1, 1] == [files.clean(folder / name, ADA) for name in ("rejects.parquet", "upserts.arrow")]

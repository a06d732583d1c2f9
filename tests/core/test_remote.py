"""Segments, run folders and ledgers in object storage, which neither appends nor renames."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.factories import PLAIN, TARGET, batch_of, matching_of
from upath import UPath

from airflow_provider_segexport.errors import InvalidSegment, RetryableError
from airflow_provider_segexport.export.row_sql import row_sql
from airflow_provider_segexport.model import BatchResult, Reason, RowRejection
from airflow_provider_segexport.segment_files.parquet_files import find_files
from airflow_provider_segexport.stages import clean, plan, read, record, update_ledger
from airflow_provider_segexport.storage.duckdb_engine import engine
from airflow_provider_segexport.storage.journal import Entry, Journal, State
from airflow_provider_segexport.storage.journal_objects import FIRST_OBJECT
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_facts import LedgerCommit
from airflow_provider_segexport.storage.ledger_schema import SCHEMA
from airflow_provider_segexport.storage.plan import FieldMapping, PlanFacts
from airflow_provider_segexport.storage.run_folder import RunFolder


@pytest.fixture
def store(request):
    """An empty bucket of the test's own."""
    root = UPath(f"memory://{request.node.name.replace('[', '-').replace(']', '')}")
    root.mkdir(parents=True, exist_ok=True)
    yield root
    root.fs.store.clear()


def put(path, emails):
    with path.open("wb") as file:
        pq.write_table(pa.table({"email": emails}), file)


def ledger_rows(*emails):
    content = {"email": emails, "row_hash": [1] * len(emails), "contact_id": ["9"] * len(emails)}
    content |= {"as_of": [0] * len(emails), "run": ["r"] * len(emails)}
    empty = {name: [None] * len(emails) for name in SCHEMA.names if name not in content}
    return pa.table(content | empty).select(SCHEMA.names).cast(SCHEMA).to_batches()


def test_a_segment_is_found_in_object_storage(store):
    """A folder, a glob and a path in object storage are read as local ones are."""
    for name in ("b.parquet", "a.parquet", "_SUCCESS"):
        put(store / "day" / name, ["a@example.com"])
    for text in (f"{store}/day", f"{store}/*/*.parquet", f"{store}/day/*"):
        assert [name.rpartition("/")[2] for _, name in find_files(text, UPath)] == ["a.parquet", "b.parquet"]
    with pytest.raises(InvalidSegment, match="does not exist"):
        find_files(f"{store}/night", UPath)


def test_a_plan_is_made_and_read_in_object_storage(store):
    """From Parquet to batches without a local file."""
    put(store / "s.parquet", ["a@example.com", "nobody", "b@example.com"])
    files = read.read_schemas(find_files(f"{store}/s.parquet", UPath), ["email"])
    mapping = FieldMapping({"email": "email"})
    folder = RunFolder.open(store / "runs")
    with engine() as sql:
        result = clean.clean(sql, files, matching_of(files, mapping))
        item = row_sql(PLAIN.item_template(matching_of(files, mapping).mapped, TARGET))
        planned = plan.write_plan_rows(
            sql, plan.upsert_sql(item, against_ledger=False), PLAIN.limits, folder.path, result
        )
    facts = PlanFacts("plain", TARGET, "full", "2026-01-01T00:00:00Z", 1.0, 0)
    folder.write_plan(planned, facts)
    again = RunFolder.open(store / "runs")
    assert again.plan() == (planned, facts)
    (batch,) = record.remaining(again, planned.batches)
    assert batch.items == ['{"email":"a@example.com"}', '{"email":"b@example.com"}']


def test_a_journal_in_object_storage_is_many_objects(store):
    """Each write is an object; another process reads them in order and goes on after them."""
    journal = Journal(store)
    journal.write([Entry("a", State.SENDING, 2), Entry("b", State.SENDING, 1)])
    journal.write([Entry("a", State.SETTLED, 2, accepted=2)])
    two = Journal(store)
    two.write([Entry("b", State.SUBMITTED, 1, job_id="7")])
    states = {name: entry.state for name, entry in Journal(store).states().items()}
    assert states == {"a": State.SETTLED, "b": State.SUBMITTED}
    two.sync()
    assert len([file for file in store.iterdir() if file.name != FIRST_OBJECT]) == 3


def test_a_machine_whose_clock_is_behind_does_not_turn_back_a_journal(store):
    """Objects are numbered by what is there, not by a clock."""
    ahead, behind = Journal(store, clock=lambda: 2_000.0), Journal(store, clock=lambda: 1_000.0)
    ahead.write([Entry("a", State.SENDING, 1)])
    behind.write([Entry("a", State.SETTLED, 1, accepted=1)])
    assert Journal(store).states()["a"].state is State.SETTLED


def test_a_ledger_in_object_storage(store):
    """Versions are written whole; who finds the next number taken has lost."""
    ledger = Ledger.of(store, "plain", TARGET)
    assert [ledger.commit(ledger_rows("a@example.com"), 0), ledger.commit(ledger_rows("b@example.com"), 1)] == [1, 2]
    with pytest.raises(RetryableError):
        ledger.commit(ledger_rows("c@example.com"), 1)
    assert ledger.version() == 2
    assert sorted(path.name for path in ledger.path.iterdir()) == ["00000001.parquet", "00000002.parquet"]


def test_results_are_committed_in_object_storage(store):
    """Rejected rows stay out of the ledger, and contact ids are recorded in it."""
    folder = RunFolder.open(store / "runs")
    put(store / "s.parquet", ["p0@example.com", "p1@example.com"])
    files = read.read_schemas(find_files(f"{store}/s.parquet", UPath), ["email"])
    field_mapping = matching_of(files, FieldMapping({"email": "email"}))
    with engine() as sql:
        result = clean.clean(sql, files, field_mapping)
        item = row_sql(PLAIN.item_template(field_mapping.mapped, TARGET))
        planned = plan.write_plan_rows(
            sql, plan.upsert_sql(item, against_ledger=False), PLAIN.limits, folder.path, result
        )
        (batch,) = record.remaining(folder, planned.batches)
        assert replace(batch, id="") == replace(batch_of(2), id="")
        refusal = RowRejection(1, Reason.UNSUBSCRIBED, "206", "Is Unsubscribed")
        record.BatchRecorder(folder).record_reply(batch, BatchResult(rejected=(refusal,), contact_ids={0: "77"}))
        ledger = Ledger.of(store, "plain", TARGET)
        update_ledger.update_ledger(
            sql, ledger, folder, update_ledger.PlanBatches(planned.batches), LedgerCommit("2026-01-01T00:00:00Z", "r")
        )
        rows = sql.rows(f"select email, contact_id, run from {sql.scan([ledger.file(1)])} where state = 'member'")
    assert rows == [("p0@example.com", "77", "r")]

"""The ledger: the provider's knowledge of what it has put into an audience."""

from __future__ import annotations

import contextlib
import itertools
import threading
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.factories import PLAIN, TARGET, batch_of, cleaned, shared, written

from airflow_provider_segexport.errors import RetryableError
from airflow_provider_segexport.export.row_sql import row_sql
from airflow_provider_segexport.model import BatchResult, JobId, Reason, RowRejection
from airflow_provider_segexport.stages import plan, record, update_ledger
from airflow_provider_segexport.storage.ledger import STORED_VERSIONS, Ledger
from airflow_provider_segexport.storage.ledger_facts import LedgerCommit, facts_of
from airflow_provider_segexport.storage.ledger_schema import (
    LEFT,
    MEMBER,
    NOT_ADDED,
    REMOVED,
    REMOVING,
    SCHEMA,
    MemberCount,
)
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.vendors.base import MappedFields

ITEM = row_sql(PLAIN.item_template(MappedFields(("email",)), TARGET))


@pytest.fixture
def ledger(tmp_path):
    return Ledger.of(tmp_path, "plain", TARGET)


def rows(*emails):
    content = {"email": emails, "row_hash": [1] * len(emails), "contact_id": [None] * len(emails)}
    content |= {"as_of": [0] * len(emails), "run": ["r"] * len(emails), "state": ["member"] * len(emails)}
    missing = {name: [None] * len(emails) for name in SCHEMA.names if name not in content}
    return pa.table(content | missing).select(SCHEMA.names).cast(SCHEMA).to_batches()


def test_versions_are_written_whole_and_the_last_few_stay(ledger):
    """Every commit is a file of its own; old ones go."""
    assert [ledger.version(), ledger.members()] == [0, 0]
    for base in range(STORED_VERSIONS + 3):
        assert ledger.commit(rows(*[f"p{n}@example.com" for n in range(base)]), base) == base + 1
    assert sorted(path.name for path in ledger.path.iterdir()) == [
        f"{n:08d}.parquet" for n in range(4, STORED_VERSIONS + 4)
    ]


def test_a_lost_race_is_an_error(ledger):
    """A writer that read a version that is no longer the newest must read again; the winner's version stays."""
    ledger.commit(rows("winner@example.com"), 0)
    with pytest.raises(RetryableError, match="Another run"):
        ledger.commit(rows("loser@example.com"), 0)
    assert pq.read_table(ledger.file(1)).column("email").to_pylist() == ["winner@example.com"]
    assert [path.name for path in ledger.path.iterdir()] == ["00000001.parquet"]


def test_of_many_at_once_one_wins(ledger):
    """The number of a version is taken by exactly one."""
    won = []

    def compete(number):
        with contextlib.suppress(RetryableError):
            won.append(ledger.commit(rows(f"p{number}@example.com"), 0))

    threads = [threading.Thread(target=compete, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [won, ledger.version()] == [[1], 1]


def test_a_crash_while_writing_leaves_the_old_version(ledger):
    """Half a version is none."""
    ledger.commit(rows("a@example.com"), 0)

    def broken():
        yield from rows("b@example.com")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        ledger.commit(broken(), 1)
    assert [ledger.version(), len(list(ledger.path.iterdir()))] == [1, 1]


def test_ledgers_are_kept_apart_by_vendor_account_and_audience(tmp_path):
    """Whatever an id holds, it is one folder below the vendor's."""
    path = Ledger.of(tmp_path, "plain", TARGET).path
    assert path.relative_to(tmp_path).parts == ("ledgers", "plain", "7", "42")


@pytest.fixture
def run(tmp_path):
    """Commit what a run has settled: `run([emails], [results])` returns the ledger's version and rows."""
    ledger = Ledger.of(tmp_path, "plain", TARGET)

    def go(emails, *answers, run_id="run 1", finished=False):
        folder = RunFolder.open(tmp_path / "runs" / run_id)
        with cleaned(written(tmp_path / "in.parquet", {"email": emails})) as (sql, result):
            upserts = plan.upsert_sql(ITEM, against_ledger=False)
            planned = plan.write_plan_rows(sql, upserts, PLAIN.limits, folder.path, result)
        recorder = record.BatchRecorder(folder)
        for batch, answer in zip(list(record.remaining(folder, planned.batches)), answers, strict=False):
            recorder.record_sending([batch])
            for more in recorder.record_reply(batch, answer):
                recorder.record_reply(more, BatchResult())
        sql = shared()
        origin = LedgerCommit("2026-01-02T03:04:05+01:00", run_id, len(emails), finished=finished)
        version = update_ledger.update_ledger(
            sql, ledger, RunFolder(folder.path), update_ledger.PlanBatches(planned.batches), origin
        )
        if not version:
            return 0, []
        rows = sql.rows(
            f"select email, contact_id, run from {sql.scan([ledger.file(version)])} where state = 'member'"
            " order by email"
        )
        return version, rows

    return go


def test_what_was_delivered_is_written_with_its_contact_ids(run):
    """Rejected rows, and batches without a result, stay out."""
    refusal = RowRejection(1, Reason.BOUNCED, "207", "")
    version, rows = run(
        [f"{name}@example.com" for name in "abcdefgh"], BatchResult((refusal,), (), {0: "77"}), JobId("job")
    )
    assert (version, rows) == (1, [("a@example.com", "77", "run 1"), ("c@example.com", None, "run 1")])


def test_rows_that_were_sent_again_count_by_their_own_result(run):
    """A row that the vendor asked for once more is in when its second batch is."""
    assert run(["a@example.com", "b@example.com"], BatchResult(retry=(1,)))[1] == [
        ("a@example.com", None, "run 1"),
        ("b@example.com", None, "run 1"),
    ]


def test_results_are_looked_up_a_stretch_at_a_time(run, monkeypatch):
    """Each range of rows gets the results of its own batches, and those of parts that were sent again."""
    monkeypatch.setattr(update_ledger, "MAX_ROWS_PER_STEP", 3)
    emails = [f"{name}@example.com" for name in "abcdefgh"]
    answers = [
        BatchResult((RowRejection(0, Reason.BOUNCED, "207", ""),), (), {1: "b7", 2: "c7"}),
        BatchResult((RowRejection(2, Reason.BOUNCED, "207", ""),), (1,), {0: "d7"}),
        BatchResult(contact_ids={0: "g7", 1: "h7"}),
    ]
    expected = [("b", "b7"), ("c", "c7"), ("d", "d7"), ("e", None), ("g", "g7"), ("h", "h7")]
    assert [(f"{name}@example.com", contact, "run 1") for name, contact in expected] == run(emails, *answers)[1]


def test_a_later_run_keeps_what_it_does_not_touch(run):
    """People of an earlier run stay, with their contact ids; those who are sent again carry the later run's name."""
    run(["a@example.com", "b@example.com"], BatchResult(contact_ids={0: "1", 1: "2"}))
    version, rows = run(["b@example.com", "c@example.com"], BatchResult(), run_id="run 2")
    assert (version, rows) == (
        2,
        [("a@example.com", "1", "run 1"), ("b@example.com", "2", "run 2"), ("c@example.com", None, "run 2")],
    )


def test_nothing_settled_makes_no_version(run):
    """A run that has no result for any person and did not finish leaves the ledger as it was."""
    assert run(["a@example.com"], JobId("job")) == (0, [])


def test_a_finished_run_moves_the_time_of_the_ledger_on(run, tmp_path):
    """A finished run makes a version also when no row was delivered: an older snapshot must be detected."""
    refused = BatchResult((RowRejection(0, Reason.BOUNCED, "207", ""),))
    assert run(["a@example.com"], refused, finished=True) == (1, [])
    facts = Ledger.of(tmp_path, "plain", TARGET).facts()
    last = {"as_of": "2026-01-02T03:04:05+01:00", "run": "run 1"}
    of_export = {**last, "mapping_fingerprint": "", "profiles": {"": 1}}
    of_all = {"exports": {"": of_export}, "sharer_bits": {"": 1}, "members": "0"}
    assert {**last, **of_all, "export_name": "", "by": "run 1", "finished": True} == facts


def test_an_unfinished_run_leaves_the_time_of_the_ledger(run, tmp_path):
    """Rows that a broken run delivered are known, and the ledger's time stays that of the last finished one."""
    run(["a@example.com"], BatchResult(), finished=True)
    run(["b@example.com"], BatchResult(), run_id="run 2")
    assert Ledger.of(tmp_path, "plain", TARGET).facts()["run"] == "run 1"


def test_committing_twice_changes_nothing_but_the_number(run, tmp_path):
    """A crash between ledger and report makes the next try commit again."""
    first = run([batch_of(1).emails[0]], BatchResult())
    again = run([batch_of(1).emails[0]], BatchResult())
    assert (first[0], again[0], first[1]) == (1, 2, again[1])


def test_members_are_counted_whatever_stands_beside_them():
    """The states are counted as one text, so neither one state nor two neighbours may look like a member."""
    states = [MEMBER, REMOVED, REMOVING, LEFT, NOT_ADDED, None]
    batches = [
        pa.record_batch({"state": pa.array(order, pa.string())}).slice(1)
        for order in itertools.product(states, repeat=3)
    ]
    counted = MemberCount([*batches, batches[0].slice(0, 0)])
    assert len(batches) + 1 == len(list(counted))
    rows = [state for batch in batches for state in batch.column("state").to_pylist()]
    assert rows.count(MEMBER) + rows.count(REMOVING) == counted.members


def test_every_segment_of_a_mapped_task_keeps_its_row_count():
    """Airflow maps a task over 1,024 values by default; each run compares with the last run of its own segment."""
    facts: dict[str, Any] = {}
    for number in range(1024):
        facts = facts_of(LedgerCommit("2026-01-01", "run", number, segment_part=str(number)), facts)
    assert facts["exports"][""]["profiles"] == {str(number): number for number in range(1024)}

"""Results of batches, recorded so that another process can continue at any point."""

from __future__ import annotations

import itertools

import pyarrow as pa
import pytest
from core.factories import batch_of, limited

from airflow_provider_segexport.errors import BatchRejected, FatalError
from airflow_provider_segexport.model import BatchResult, JobId, JobState, Reason, RowRejection
from airflow_provider_segexport.stages import record
from airflow_provider_segexport.stages.plan import SCHEMA
from airflow_provider_segexport.stages.send import InFlight, SendCallbacks, Stopped, send
from airflow_provider_segexport.storage.files import ArrowFileWriter
from airflow_provider_segexport.storage.journal import Journal, State
from airflow_provider_segexport.storage.run_folder import RunFolder

LIMITS = limited(max_concurrency=1, max_jobs=9).limits


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


def planned(folder, *sizes):
    """A plan of batches of these sizes; their names."""
    batches = [batch_of(size, start=sum(sizes[:n])) for n, size in enumerate(sizes)]
    with ArrowFileWriter(folder.path / "upserts.arrow", SCHEMA) as out:
        for batch in batches:
            columns = {
                "row": batch.rows,
                "email": batch.emails,
                "row_hash": batch.rows,
                "item": [f"{item}," for item in batch.items],
            }
            out.write(pa.table(columns).cast(SCHEMA).to_batches()[0])
    return tuple(batch.id for batch in batches)


def go(folder, names, upsert, poll=None, collect=None):
    """Run what is left to do, as the conductor does."""
    recorder = record.BatchRecorder(folder)
    calls = SendCallbacks(upsert, poll, collect, recorder.record_sending, recorder.record_reply)
    in_flight = InFlight(record.remaining(folder, names))
    return send(in_flight, calls, LIMITS, pause=lambda _: True, stop=recorder.abort_error)


def tally(folder):
    return record.count_rows(Journal(folder.path).states())


def bad_rows(*bad):
    """A vendor that refuses a whole batch for one bad row, and remembers its calls."""
    calls, accepted = [], []

    def upsert(batch):
        calls.append(len(batch))
        if set(bad) & set(batch.rows):
            raise BatchRejected("400", "Failed to deserialize")
        accepted.extend(batch.rows)
        return BatchResult()

    return upsert, calls, accepted


def test_a_refused_batch_is_halved_until_the_bad_rows_stand_alone(folder):
    """The others are delivered, each once; the bad ones have the vendor's words."""
    names = planned(folder, 16, 5)
    upsert, calls, accepted = bad_rows(3, 12, 20)
    go(folder, names, upsert)
    assert sorted(accepted) == [row for row in range(21) if row not in {3, 12, 20}]
    assert tally(folder) == (18, 3)
    assert len(calls) < 2 * (3 * 5 + 2)
    rows = [row for part in folder.result_files() for row in pa.parquet.read_table(part).to_pylist()]
    assert {(row["row"], row["reason"], row["code"]) for row in rows} == {
        (bad, "rejected_by_vendor", "400") for bad in (3, 12, 20)
    }


def test_one_bad_row_in_a_thousand_costs_few_calls(folder):
    """Ten halvings, and the good halves."""
    upsert, calls, _ = bad_rows(777)
    go(folder, planned(folder, 1000), upsert)
    assert (len(calls), tally(folder)) == (21, (999, 1))


def test_half_of_the_rows_bad_is_no_storm_yet(folder):
    """Acceptances between the refusals show that it is the rows, and the export goes on to the end."""
    upsert, _, accepted = bad_rows(*range(0, 64, 2))
    go(folder, planned(folder, 64), upsert)
    assert (sorted(accepted), tally(folder)) == (list(range(1, 64, 2)), (32, 32))


def test_a_vendor_that_refuses_everything_is_left_alone(folder):
    """Refusals in a row, also after thousands were taken, are no bad rows: halving on would be a storm of calls."""
    upsert, calls, accepted = bad_rows(*range(100, 2000))
    with pytest.raises(Stopped, match=r"rejected 40 batches in a row.*check field mapping"):
        go(folder, planned(folder, 100, 1000, 900), upsert)
    assert (len(accepted), len(calls)) == (100, 1 + record.MAX_BATCH_REJECTIONS_IN_A_ROW)


def test_rows_that_the_vendor_asks_for_again(folder):
    """They go out as a batch of the next generation, and give up with a reason after a few."""
    sent = []

    def upsert(batch):
        sent.append((list(batch.rows), batch.attempt))
        return BatchResult(retry=(len(batch) - 1,))

    go(folder, planned(folder, 3), upsert)
    assert sent == [([0, 1, 2], 0), ([2], 1), ([2], 2), ([2], 3)]
    assert tally(folder) == (2, 1)
    (part,) = folder.result_files()
    (row,) = pa.parquet.read_table(part).to_pylist()
    assert (row["row"], row["reason"]) == (2, "job_failed")


def test_rows_refused_one_by_one(folder):
    """Accepted, refused and to be sent again make up the batch."""
    refusal = RowRejection(0, Reason.UNSUBSCRIBED, "206", "Is Unsubscribed")
    answers = iter([BatchResult(rejected=(refusal,), retry=(2,)), BatchResult()])
    go(folder, planned(folder, 4), lambda _: next(answers))
    assert tally(folder) == (3, 1)


def test_a_result_may_say_stop(folder):
    """It is written down first; the batches after it are not attempted."""
    with pytest.raises(Stopped, match="contact limit") as caught:
        go(
            folder,
            planned(folder, 2, 2),
            lambda _: BatchResult(rejected=(), abort_reason="The contact limit is reached."),
        )
    assert isinstance(caught.value.error, FatalError)
    assert tally(folder) == (2, 0)


def test_every_prefix_of_a_journal_can_be_gone_on_from(tmp_path):
    """Wherever a run was cut, the next one does the rest, and every row ends with one result."""
    full = story(RunFolder(tmp_path / "full"))
    for cut in range(len(full) + 1):
        folder = RunFolder(tmp_path / str(cut))
        planned(folder, 4, 3, 2)
        (folder.path / "journal.jsonl").write_text("".join(full[:cut]))
        story(RunFolder(folder.path))
        assert tally(folder) == (8, 1)


def story(folder):
    """A bad row, rows asked for again, jobs: to the end. The lines of the journal."""
    names = planned(folder, 4, 3, 2)
    jobs = {}
    numbers = itertools.count()

    def upsert(batch):
        if 1 in batch.rows and len(batch) > 1:
            raise BatchRejected("400", "")
        ticket = JobId(f"{batch.id} {next(numbers)}")
        jobs[ticket.id] = batch
        return ticket

    def collect(batch, _ticket):
        if batch.rows == [1]:
            return BatchResult(rejected=(RowRejection(0, Reason.INVALID_EMAIL, "1", ""),))
        return BatchResult(retry=(0,)) if 4 in batch.rows and not batch.attempt else BatchResult(contact_ids={0: "7"})

    go(folder, names, upsert, lambda tickets: dict.fromkeys(tickets, JobState.FINISHED), collect)
    return (folder.path / "journal.jsonl").read_text().splitlines(keepends=True)


def test_settled_batches_are_not_read_again(folder):
    """A resumed run opens just the batches that it needs."""
    names = planned(folder, 2, 2, 2)
    recorder = record.BatchRecorder(folder)
    first, _, three = record.remaining(folder, names)
    recorder.record_reply(first, BatchResult())
    recorder.record_reply(three, JobId("9"))
    read = []
    original = folder.batch
    folder.batch = lambda rows, number, name: read.append(number) or original(rows, number, name)
    assert [entry if isinstance(entry, tuple) else entry.rows for entry in record.remaining(folder, names)] == [
        [2, 3],
        (three, "9"),
    ]
    assert read == [1, 2]
    assert folder.journal.states()[first.id].state is State.SETTLED

"""Columns that become Python values late, and files of which only some columns are read."""

from __future__ import annotations

import resource
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.factories import batch_of

from airflow_provider_segexport.stages.plan import SCHEMA
from airflow_provider_segexport.storage.files import ArrowFileWriter, ArrowReader, LazyBatch, write_parquet
from airflow_provider_segexport.storage.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    batch = batch_of(3)
    with ArrowFileWriter(tmp_path / "upserts.arrow", SCHEMA) as out:
        columns = {
            "row": batch.rows,
            "email": batch.emails,
            "row_hash": [7, 8, 9],
            "item": [f"{item}," for item in batch.items],
        }
        for cut in (slice(0, 2), slice(2, 3)):
            out.write(pa.table({name: column[cut] for name, column in columns.items()}).cast(SCHEMA).to_batches()[0])
    return RunFolder(tmp_path)


def test_a_planned_batch_is_like_one_of_lists(folder):
    """Its columns are sequences, equal to lists of the same values."""
    rows = folder.upserts()
    batch, expected = folder.batch(rows, 0, batch_of(2).id), batch_of(2)
    rows.close()
    assert batch == expected
    assert (len(batch), batch.rows[1], list(batch.emails[:1])) == (2, 1, ["p0@example.com"])
    assert batch.halves() == expected.halves()
    assert bytes(batch.joined_items()) == ",".join(expected.items).encode()


def test_a_batch_that_was_let_go_is_read_again(folder):
    """Also when the reader it came from is closed by then, and as often as it is let go."""
    rows = folder.upserts()
    batch = folder.batch(rows, 1, "b")
    for closes in (False, True):
        batch.release()
        if closes:
            rows.close()
        assert ([2], ["p2@example.com"], 1) == (list(batch.rows), list(batch.emails), len(batch))
        assert bytes(batch.joined_items()) == batch.items[0].encode()


class Slow:
    """A reader in the middle of its work, until it may go on."""

    def __init__(self, reader: pa.RecordBatchFileReader) -> None:
        self.reader, self.reading, self.go = reader, threading.Event(), threading.Event()

    def get_batch(self, number: int) -> pa.RecordBatch:
        self.reading.set()
        assert self.go.wait(10)
        return self.reader.get_batch(number)


def test_a_reader_that_is_closed_while_another_thread_reads(folder):
    """A task that stops closes the plan while a thread still reads a batch in it: closing waits for that."""
    rows = folder.upserts()
    batch = folder.batch(rows, 0, "b")
    batch.release()
    columns = ("row", "email")
    slow = rows._readers[columns] = Slow(rows._of(columns))
    with ThreadPoolExecutor(2) as threads:
        emails = threads.submit(lambda: list(batch.emails))
        assert slow.reading.wait(10)
        closing = threads.submit(rows.close)
        assert not wait([closing], 0.05).done
        slow.go.set()
        assert ["p0@example.com", "p1@example.com"] == emails.result(10)
        closing.result(10)


def test_letting_go_while_another_thread_reads():
    """A reader gets the content at the time of its call."""
    batch = pa.RecordBatch.from_pydict({"item": ["a"]})
    stored = LazyBatch(lambda _: (stored.release(), batch)[1], ("item",))
    assert (["a"], 1) == (stored.values("item"), stored.rows)


def test_results_need_no_bodies(folder):
    """A batch's emails are read without its items, which are most of it; and the other way round."""
    read = []
    rows = folder.upserts()
    plain = rows.batch
    rows.batch = lambda number, columns: (read.append(columns), plain(number, columns))[1]
    batch = folder.batch(rows, 0, "b")
    assert (2, bytes(batch.joined_items())) == (len(batch), ",".join(batch_of(2).items).encode())
    assert [("item",)] == read
    batch.release()
    assert (["p0@example.com", "p1@example.com"], [0, 1], 2) == (list(batch.emails), list(batch.rows), len(batch))
    assert [("item",), ("row", "email")] == read
    rows.close()


@pytest.mark.parametrize("indexes", [[0, 1, 2], [2, 0, 1], [1], [0, 1], []])
def test_some_entries_of_a_column(indexes):
    """All of them in order are the column itself: to pick none costs nothing."""
    column = pa.array(["a", "b", "c"])
    stored = LazyBatch(lambda _: pa.RecordBatch.from_arrays([column], ["email"]), ("email",))
    taken = stored.take("email", indexes)
    assert [column[index].as_py() for index in indexes] == taken.to_pylist()
    assert (indexes == [0, 1, 2]) == (taken.buffers()[2].address == column.buffers()[2].address)


def test_some_columns_of_a_file(folder):
    """The others are not even unpacked; their order in the file is the order in the batch."""
    reader = ArrowReader(folder.path / "upserts.arrow", ["row", "row_hash"])
    batches = [batch.to_pydict() for batch in reader]
    reader.close()
    assert batches == [{"row": [0, 1], "row_hash": [7, 8]}, {"row": [2], "row_hash": [9]}]


def test_a_file_keeps_its_own_types(tmp_path):
    """Also where a zone goes by another name."""
    moments = pa.array([1_767_225_600_000_000, None], pa.timestamp("us", tz="Etc/UTC"))
    batch = pa.RecordBatch.from_arrays([moments, pa.array([1, 2], pa.int32())], ["at", "number"])
    schema = pa.schema([("at", pa.timestamp("us", tz="UTC")), ("number", pa.int64())])
    assert write_parquet(tmp_path / "x.parquet", [batch], schema) == 2
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.schema.equals(schema)
    assert table.to_pydict() == batch.cast(schema).to_pydict()


def test_addresses_have_no_dictionary(tmp_path):
    """One of a million different values is made and given up; a column of few values keeps its own."""
    table = pa.table({"email": ["a@example.com", "b@example.com"], "reason": ["bounced", "bounced"]})
    write_parquet(tmp_path / "x.parquet", table.to_batches(), table.schema)
    group = pq.ParquetFile(tmp_path / "x.parquet").metadata.row_group(0)
    assert [group.column(number).has_dictionary_page for number in range(2)] == [False, True]


def test_a_full_disk_leaves_no_incomplete_file(tmp_path):
    """Writing fails, and closing the Arrow file fails again; the part that was written holds addresses."""
    rows = [{"email": f"{secrets.token_hex(20)}@example.com"} for _ in range(1000)]
    batch = pa.RecordBatch.from_pylist(rows, pa.schema([("email", pa.string())]))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError), ArrowFileWriter(tmp_path / "upserts.arrow", batch.schema) as out:  # noqa: PT011, PT012
            for _ in range(5):
                out.write(batch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [] == list(tmp_path.iterdir())

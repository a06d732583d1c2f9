"""Rows cut into the vendor's batches, frozen and named by their content."""

from __future__ import annotations

import json
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
from core.factories import PLAIN, TARGET, cleaned, limited, written
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_segexport.export.row_sql import row_sql
from airflow_provider_segexport.model import batch_id
from airflow_provider_segexport.stages import plan
from airflow_provider_segexport.storage.batching import ENVELOPE_BYTES, planned_batch_id
from airflow_provider_segexport.storage.batching import cut_batches as cut_stream
from airflow_provider_segexport.storage.files import ArrowReader
from airflow_provider_segexport.vendors.base import MappedFields

ITEM = row_sql(PLAIN.item_template(MappedFields(("email",)), TARGET))


def stream(items, cuts=()):
    """Record batches of items, cut at the given places."""
    table = pa.table(
        {"row": pa.array(range(len(items)), pa.int64()), "item": pa.array([f"{item}," for item in items], pa.string())}
    )
    ends = [0, *sorted(min(cut, len(items)) for cut in cuts), len(items)]
    return [table.slice(a, b - a).combine_chunks().to_batches()[0] for a, b in pairwise(ends) if b > a]


def cut(items, *, rows=1000, bytes_=10_000, cuts=()):
    too_large = []
    limits = limited(batch_rows=rows, batch_bytes=bytes_ + ENVELOPE_BYTES).limits
    batches = [batch.column("item").to_pylist() for batch in cut_stream(stream(items, cuts), limits, too_large)]
    return [[item.removesuffix(",") for item in batch] for batch in batches], too_large


def test_batches_are_full_by_rows():
    """Every batch but the last is as full as the vendor takes it, however the rows arrive."""
    items = [str(n) for n in range(10)]
    expected = [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9"]]
    assert cut(items, rows=4) == cut(items, rows=4, cuts=(1, 2, 3, 7)) == (expected, [])


def test_batches_are_full_by_bytes():
    """Bytes count in UTF-8, with a comma for each item."""
    assert cut(["xxxx"] * 5, bytes_=10) == ([["xxxx", "xxxx"], ["xxxx", "xxxx"], ["xxxx"]], [])
    assert cut(["éé"] * 5, bytes_=10) == ([["éé", "éé"], ["éé", "éé"], ["éé"]], [])
    assert cut(["x" * 9, "y", "z" * 9], bytes_=10) == ([["x" * 9], ["y"], ["z" * 9]], [])


def test_a_row_larger_than_a_batch_is_set_aside():
    """No call could carry it; its neighbours go."""
    assert cut(["a", "x" * 11, "b", "y" * 10, "c"], bytes_=10) == ([["a", "b", "c"]], [1, 3])


def test_nothing_to_send_is_no_batch():
    """An empty stream, or one of rows that are too large, makes no call."""
    assert [cut([]), cut(["x" * 99], bytes_=10)] == [([], []), ([], [0])]


SIZES = st.lists(st.integers(1, 25), max_size=60)


@settings(max_examples=100, deadline=None)
@given(SIZES, st.integers(1, 9), st.integers(2, 30), st.lists(st.integers(0, 60), max_size=5))
def test_batches_hold_every_row_once_and_in_order(sizes, rows, bytes_, cuts):
    """Together the batches are the input; each is within the limits, and not one row more would have fitted."""
    items = [chr(97 + n % 26) * size for n, size in enumerate(sizes)]
    batches, too_large = cut(items, rows=rows, bytes_=bytes_, cuts=cuts)
    assert too_large == [n for n, item in enumerate(items) if len(item) + 1 > bytes_]
    assert sum(batches, []) == [item for item in items if len(item) + 1 <= bytes_]  # noqa: RUF017 - short lists
    weights = [sum(len(item) + 1 for item in batch) for batch in batches]
    assert all(len(batch) <= rows and weight <= bytes_ for batch, weight in zip(batches, weights, strict=True))
    for (batch, after), weight in zip(pairwise(batches), weights, strict=False):
        assert len(batch) == rows or weight + len(after[0]) + 1 > bytes_


def test_the_name_of_a_batch_never_changes():
    """A run that is resumed by a newer version must know its batches again."""
    items = ['{"email":"jane@example.com"}', '{"email":"joe@example.com","name":"Zoë"}']
    assert batch_id(items) == "23dbcfdf31347d5cafb27987"
    assert batch_id(items, attempt=2) == "23dbcfdf31347d5cafb27987-2"


def frozen(tmp_path, emails, vendor=PLAIN, ledger=None):
    """A plan of addresses: what it holds, and its rows."""
    with cleaned(written(tmp_path / "in.parquet", {"email": emails})) as (sql, result):
        if ledger is not None:
            sql.table(
                "ledger_hashes", pa.table(ledger, schema=pa.schema([("email", pa.string()), ("row_hash", pa.uint64())]))
            )
        upserts = plan.upsert_sql(ITEM, against_ledger=ledger is not None)
        planned = plan.write_plan_rows(sql, upserts, vendor.limits, tmp_path / "run", result)
    rows = ArrowReader(tmp_path / "run" / "upserts.arrow")
    batches = [batch.to_pylist() for batch in rows]
    rows.close()
    return planned, batches


def planned_id(rows):
    return planned_batch_id(pa.RecordBatch.from_pylist(rows, plan.SCHEMA))


def test_a_batch_is_its_people_and_their_content():
    """Two batches of a plan never share an id, also if all people have the same values."""
    people = [
        ["a@example.com", "b@example.com"],
        ["a@example.com", "c@example.com"],
        ["b@example.com", "a@example.com"],
        ["a@example.co", "mb@example.com"],
        ["a@example.com"],
    ]
    ids = {planned_id([{"email": email, "row_hash": 1} for email in emails]) for emails in people}
    assert len(ids) == len(people)
    assert planned_id([{"email": email, "row_hash": 2} for email in people[0]]) not in ids


def test_a_plan_counts_every_row(tmp_path):
    """Rows to be sent and rows set aside are all rows."""
    planned, batches = frozen(
        tmp_path, ["d@example.com", "c@example.com", "nobody", "b@example.com", "a@example.com", None]
    )
    assert [[row["row"] for row in batch] for batch in batches] == [[0, 1, 3], [4]]
    assert (planned.profiles, planned.upsert_rows, planned.unchanged) == (6, 4, 0)
    assert planned.not_sent == {"rejected": {"invalid_email": 1, "no_email": 1}}
    assert planned.batches == tuple(map(planned_id, batches))
    aside = pq.read_table(tmp_path / "run" / "not_sent.parquet").to_pylist()
    assert [(row["row"], row["email"], row["reason"]) for row in aside] == [
        (2, "nobody", "invalid_email"),
        (5, None, "no_email"),
    ]


def test_the_hash_of_a_row_never_changes(tmp_path):
    """A stored hash is compared months later, on another machine and by another version."""
    _, ((row,),) = frozen(tmp_path, ["jane@example.com"])
    assert row["item"] == '{"email":"jane@example.com"},'
    assert row["row_hash"] == 2369058483414128062


def test_what_the_ledger_holds_unchanged_is_not_sent(tmp_path):
    """New people and changed rows go, in order; the others are counted."""
    _, ((a, b, c),) = frozen(tmp_path / "full", ["a@example.com", "b@example.com", "c@example.com"])
    ledger_rows = {
        "email": [b["email"], c["email"], "gone@example.com"],
        "row_hash": [b["row_hash"], c["row_hash"] ^ 1, 5],
    }
    planned, (batch,) = frozen(
        tmp_path / "upsert", ["a@example.com", "b@example.com", "c@example.com"], ledger=ledger_rows
    )
    assert [row["email"] for row in batch] == [a["email"], c["email"]]
    assert (planned.upsert_rows, planned.unchanged) == (2, 1)


def test_order_holds_against_a_large_ledger(tmp_path):
    """A ledger many times the segment's size does not turn the order of rows."""
    people = [f"p{n}@example.com" for n in range(3000)]
    ledger_rows = {"email": [f"p{n}@example.com" for n in range(60_000, 0, -1)], "row_hash": [1] * 60_000}
    _, batches = frozen(tmp_path, people, limited(batch_rows=5000), ledger_rows)
    assert [row["email"] for batch in batches for row in batch] == people


def test_a_row_no_batch_can_hold_is_rejected_with_its_reason(tmp_path):
    """It is in the plan's `not_sent`, like every row that is not sent."""
    vendor = limited(batch_bytes=ENVELOPE_BYTES + 40)
    long = "x" * 40 + "@example.com"
    planned, batches = frozen(tmp_path, ["a@example.com", long, "b@example.com"], vendor)
    assert [len(batch) for batch in batches] == [1, 1]
    assert planned.not_sent == {"rejected": {"row_too_large": 1}}


def test_two_plans_of_one_segment_are_the_same(tmp_path):
    """A plan is made of nothing but its input."""
    people = [f"O'person{n}@bücher.de" if n % 2 else f"p{n}@example.com" for n in range(300)]
    (batch, rows), (two, other) = frozen(tmp_path / "1", people), frozen(tmp_path / "2", people)
    assert (batch, json.dumps(rows)) == (two, json.dumps(other))

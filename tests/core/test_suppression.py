"""Suppression lists: whatever form an entry has, its person is found; the rest is counted and named by its row."""

from __future__ import annotations

import errno
import hashlib
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.factories import shared, written
from core.suppression_lists import CODED, KINDS, PLAIN, UNICODE, digest, listed, people_of_segment

from airflow_provider_segexport.email_address import validate
from airflow_provider_segexport.errors import InvalidSegment, RetryableError
from airflow_provider_segexport.segment_files import suppression_files
from airflow_provider_segexport.stages import suppression
from airflow_provider_segexport.storage.duckdb_engine import engine
from airflow_provider_segexport.storage.paths import local_path

__all__ = ["listed"]


ADDRESSES = [
    PLAIN,
    PLAIN.upper(),
    "jane@example.com\r",
    "jane@example.com\n",
    "\tjane@example.com",
    "\ufeffJane@example.com",
    "\u00a0jane@example.com\u200b",
    "mailto:Jane@example.com",
    "Jane Doe <jane@Example.com>",
    '"Doe, Jane" <jane@example.com>\r\n',
    UNICODE,
    "JANE@BÜCHER.DE\r",
    "jane@bu\u0308cher.de",
    CODED.upper(),
    "O'Brien@Example.com ",
]


@pytest.mark.parametrize("entry", ADDRESSES, ids=ascii)
def test_an_entry_is_read_as_the_segment_s_addresses_are(listed, entry):
    """One definition: what a segment's row would be sent as, an entry suppresses."""
    tally, people = listed({"email": [entry]})
    assert {validate(entry).email} == people
    assert (1, 1, 1) == (tally.read, tally.understood, tally.matched)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([PLAIN], pa.large_string()),
        pa.array([PLAIN]).dictionary_encode(),
        pa.array([PLAIN.encode()]),
        *[
            pytest.param(
                pa.array([PLAIN if pa.types.is_string_view(kind) else PLAIN.encode()], kind),
                id=str(kind),
                marks=pytest.mark.skipif(
                    int(pa.__version__.partition(".")[0]) < 19, reason="pyarrow 18 cannot write this type"
                ),
            )
            for kind in (pa.string_view(), pa.binary_view())
        ],
    ],
    ids=lambda column: str(column.type)[:20],
)
def test_any_type_of_text_is_read(listed, column):
    """Writers choose between several."""
    assert {PLAIN} == listed({"email": column})[1]


NOT_UNDERSTOOD = [
    "n/a",
    "jane",
    "example.com",
    "@example.com",
    "*@example.com",
    "%@example.com",
    "jane*@example.com",
    "jane@example.com, joe@example.com",
    "joe@example.com <jane@example.com>",
    "jane@example.com;",
    hashlib.sha512(PLAIN.encode()).hexdigest(),
    digest("sha256", PLAIN).hex()[:-1],
    digest("sha256", PLAIN).hex() + "0",
    f"md5:{digest('sha256', PLAIN).hex()}",
    f"sha256:{digest('md5', PLAIN).hex()}",
    "g" * 64,
    "4b7e1d1e-6a4c-4f57-9d4a-4f5c6b7d8e9f",
    "mailto:",
    "\u0301",
]


@pytest.mark.parametrize("entry", NOT_UNDERSTOOD, ids=ascii)
def test_what_is_not_understood_is_counted_and_named_by_its_row(listed, entry):
    """Its value stays out of every message."""
    tally, people = listed({"email": [PLAIN, None, entry, "joe@example.com"]})
    assert {PLAIN, "joe@example.com"} == people
    assert (4, 1, 2, 1) == (tally.read, tally.blank, tally.understood, tally.not_understood)
    assert (("stop.parquet", 2),) == tally.examples
    assert (1, 3) == tally.unclear
    assert "stop: 1 of 4 entries" in tally.message()
    assert "stop.parquet, row 2" in tally.message()
    assert entry not in tally.message()


def test_bytes_that_are_no_text_are_an_entry_that_is_not_understood(listed):
    """One broken entry does not make the others unreadable."""
    broken = pa.array([b"\xff\xfe@x.de", PLAIN.encode()], pa.binary()).view(pa.string())
    tally, people = listed({"email": broken})
    assert ({PLAIN}, 1) == (people, tally.not_understood)


@pytest.mark.parametrize("entry", [None, "", " ", "\r\n", "\ufeff", "\u200b\u00a0", "\x00"], ids=ascii)
def test_an_entry_without_a_value_is_blank(listed, entry):
    """It is counted, and suppresses no person; a list of nothing else is no list."""
    tally, _ = listed({"email": pa.array([entry, PLAIN], pa.string())})
    assert (2, 1, 1, (0, 1)) == (tally.read, tally.blank, tally.understood, tally.unclear)
    tally, _ = listed({"email": pa.array([entry] * 3, pa.string())})
    assert (3, (3, 3)) == (tally.blank, tally.unclear)
    assert "all of 3 entries are empty" in tally.message()


def test_an_empty_list_is_understood(listed):
    """No person has opted out yet."""
    tally, people = listed({"email": pa.array([], pa.string())})
    assert (0, (0, 0), set()) == (tally.read, tally.unclear, people)
    tally, people = listed({"email": pa.nulls(0)})
    assert (0, (0, 0), set()) == (tally.read, tally.unclear, people)


def test_an_address_outside_ascii_is_understood_and_matches_no_other_person(listed):
    """No row of it is ever sent; lower-casing it would suppress another person, or none."""
    people = ["ilker@example.com", "kate@example.com"]
    tally, suppressed = listed(
        {"email": ["\u0130lker@example.com", "\u212aate@example.com", "josé@example.com"]}, people
    )
    assert (set(), 3, 0) == (suppressed, tally.understood, tally.matched)


def test_the_only_column_may_have_any_name(listed):
    """A DataFrame's index does not count."""
    assert {PLAIN} == listed({"who": [PLAIN], "__index_level_0__": [0]})[1]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"a": ["x"], "b": ["y"]},
            r"stop.parquet has the columns 'a', 'b', and none of them is recognised. To fix: name",
        ),
        ({f"c{n}": ["x"] for n in range(20_000)}, r"'c9' and 19990 more, and none"),
        ({"email": ["x"], "Email": ["y"]}, r"'email', 'Email', which are ambiguous"),
        ({"email": ["x"], "e-mail ": ["y"]}, "which are ambiguous"),
        ({"customer_id": [1, 2]}, "Column 'customer_id' of the suppression file stop.parquet is int64, which cannot"),
        ({"blocked": [True]}, "Column 'blocked' .* is bool, which cannot hold addresses"),
        ({"email": [{"value": "x"}]}, "Column 'email' .* is struct"),
        ({"email": [["x"]]}, "Column 'email' .* is list"),
        ({"email": [1.5]}, "Column 'email' .* is double"),
        ({"email": ["x"], "sha256": [1]}, "Column 'sha256' .* is int64"),
        ({}, "has the columns none"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_file_whose_address_column_is_ambiguous_is_an_error(listed, columns, message):
    """It names the columns that there are, and what to do."""
    with pytest.raises(InvalidSegment, match=message):
        listed(columns)


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    """It is named, and never passed over."""
    for content in (b"", b"no parquet", b"PAR1" + b"\x00" * 20 + b"PAR1"):
        (tmp_path / "broken.parquet").write_bytes(content)
        path = local_path(str(tmp_path / "broken.parquet"))
        with pytest.raises(
            InvalidSegment,
            match="suppression file broken is not a readable Parquet file",
        ):
            suppression.read(shared(), [("stop", [(path, "broken")])])
    with pytest.raises(InvalidSegment, match="suppression file none does not exist"):
        suppression.read(shared(), [("stop", [(local_path(str(tmp_path / "none.parquet")), "none")])])


def test_a_store_that_fails_for_a_moment_is_tried_again(tmp_path, monkeypatch):
    """Only real damage is final."""
    path = written(tmp_path / "stop.parquet", {"email": [PLAIN]})

    def fail(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(type(path), "open", fail)
    with pytest.raises(RetryableError, match="The suppression file stop could not be read"):
        suppression.read(shared(), [("stop", [(local_path(str(path)), "stop")])])


def test_a_list_that_is_replaced_while_it_is_read_is_tried_again(tmp_path, monkeypatch):
    """Its entries would be those of two lists."""
    monkeypatch.setattr(suppression_files, "BATCH_ROWS", 1)
    path = written(tmp_path / "stop.parquet", {"email": [PLAIN, "x@example.com"]})
    entries = suppression_files.read_entries(local_path(str(path)), "stop")
    next(entries)
    written(tmp_path / "new.parquet", {"email": ["y@example.com"]}).replace(path)
    with pytest.raises(RetryableError, match="The suppression file stop was replaced"):
        list(entries)


def test_each_list_is_counted_by_itself_over_all_its_files(tmp_path, monkeypatch):
    """Whatever the size of a batch; a person in two lists is matched in both."""
    monkeypatch.setattr(suppression_files, "BATCH_ROWS", 2)
    people_of_segment([PLAIN, "joe@example.com"])
    contents = {
        "1": [PLAIN, "x", None, "y", PLAIN],
        "2": ["a@b.de", "z", "z", "z", "z"],
        "3": ["joe@example.com", PLAIN],
    }
    paths = {name: local_path(str(written(tmp_path / name, {"email": emails}))) for name, emails in contents.items()}
    lists = [("a", [(paths["1"], "1"), (paths["2"], "2")]), ("b", [(paths["3"], "3")])]
    first, second = suppression.match(shared(), suppression.read(shared(), lists))
    assert (10, 1, 3, 6, 2) == (first.read, first.blank, first.understood, first.not_understood, first.matched)
    assert (("1", 1), ("1", 3), ("2", 1), ("2", 2), ("2", 3)) == first.examples
    assert "(rows from 0: 1, row 1, 3; 2, row 1, 2, 3, ...)" in first.message()
    assert (2, 0, 2, 0, 2) == (second.read, second.blank, second.understood, second.not_understood, second.matched)


def test_an_entry_suppresses_exactly_what_a_segment_would_send(listed):
    """Fuzzed: an entry and a row with the same text always mean the same person, plain or hashed."""
    random = Random(3)
    around = ["", " ", "\r", "\ufeff", "\u200b", "mailto:", "<", ">", "\u00a0", "é", "\u212a", "\u0130", "'", "A <"]
    texts = [
        random.choice(around)
        + "".join(random.choice((sign, sign.upper())) for sign in f"{random.choice(['joe', 'o.b', 'k'])}{n % 40}")
        + random.choice(["@", "@", "@", " @"])
        + random.choice(["Example.com", "bücher.de", "BÜCHER.de", "xn--bcher-kva.de", "x.test"])
        + random.choice(around)
        for n in range(1_500)
    ]
    people = sorted({email for text in texts if (email := validate(text).email)})
    assert len(people) > 100
    tally, suppressed = listed({"email": texts}, people)
    assert set(people) == suppressed
    assert sum(validate(text).email is not None for text in texts) == tally.matched
    for kind in KINDS:
        _, suppressed = listed({"email": [digest(kind, email).hex() for email in people]}, people)
        assert set(people) == suppressed


@pytest.mark.parametrize("kind", ["email", *KINDS])
def test_an_entry_that_a_list_holds_very_often_needs_no_memory_for_each_time(kind):
    """A list of hashes holds that of an empty address for each person without one."""
    often, once = ("", PLAIN) if kind == "email" else (digest(kind, "").hex(), digest(kind, PLAIN).hex())
    with engine("20MB") as sql:
        sql.table("valid_email_rows", pa.table({"row": [0, 1], "email": [PLAIN, "joe@example.com"]}))
        sql.run(
            f"""create or replace table suppression_entries as select 0 as list, 0 as file, range as row,
            '{kind}' as kind, case when range = 7 then '{once}' else '{often}' end as key from range(800_000)"""
        )
        (tally,) = suppression.match(sql, [suppression.Tally("stop")])
        assert [(PLAIN,)] == sql.rows("from suppressed_emails")
    assert 1 == tally.matched


def test_a_list_is_read_with_the_memory_of_a_batch(tmp_path):
    """Rows come in batches from every row group, numbered through."""
    path = tmp_path / "stop.parquet"
    pq.write_table(pa.table({"email": [f"p{n}@example.com" for n in range(1_000)]}), path, row_group_size=10)
    tables = [table for _, table in suppression_files.read_entries(local_path(str(path)), "stop")]
    assert list(range(1_000)) == [row for table in tables for row in table.column("row").to_pylist()]


@pytest.mark.parametrize(("length", "rows"), [(5_000, 40_000), (200_000, 1_000)])
@pytest.mark.parametrize("kind", ["string", "large_binary", "dictionary"])
def test_a_long_text_that_a_file_holds_once_does_not_need_memory_for_each_row(tmp_path, length, rows, kind):
    """A page of a few hundred bytes may hold a hundred thousand long entries, which are not copied together."""
    values = pa.DictionaryArray.from_arrays([0] * rows + [1], ["x" * length, PLAIN])
    kinds = {"string": pa.string(), "large_binary": pa.large_binary(), "dictionary": values.type}
    schema = pa.schema({"email": kinds[kind]})
    path = tmp_path / "stop.parquet"
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows + 1, 500):
            part = values.slice(first, 500)
            column = part if kind == "dictionary" else pa.array(part.to_pylist(), schema.field("email").type)
            writer.write_table(pa.table({"email": column}), row_group_size=rows + 1)
    before, largest, read = pa.total_allocated_bytes(), 0, 0
    for _, table in suppression_files.read_entries(local_path(str(path)), "stop"):
        read += table.num_rows
        largest = max(largest, pa.total_allocated_bytes() - before)
    assert rows + 1 == read
    assert largest < 120 << 20

"""Rows that the warehouse's own columns withhold before anything is sent."""

from __future__ import annotations

import pyarrow as pa
import pytest
from core.factories import PLAIN, inspected, matching_of, outcomes, shared, written

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.stages import clean, consent, map_fields, suppression
from airflow_provider_segexport.storage.paths import local_path
from airflow_provider_segexport.storage.plan import FieldMapping

EMAILS = ["a@example.com", "B@example.com", "c@example.com", "nobody", "a@example.com"]


@pytest.fixture
def segment(tmp_path):
    """Clean a segment with a column of consent; the engine and its files."""

    def go(agreed, emails=EMAILS):
        mapping = FieldMapping({"email": "email"})
        path = written(tmp_path / "in.parquet", {"email": emails, "agreed": agreed})
        files = inspected(path, wanted=[*map_fields.required_columns(PLAIN, mapping), "agreed"])
        clean.clean(shared(), files, matching_of(files, mapping))
        return shared(), files

    return go


@pytest.fixture
def listed(tmp_path):
    """Read a suppression list of these entries, and match it."""

    def go(*entries):
        path = local_path(str(written(tmp_path / "stop.parquet", {"email": list(entries)})))
        suppression.match(shared(), suppression.read(shared(), [("stop", [(path, "stop.parquet")])]))

    return go


def withheld(sql):
    return {row: reason for row, (outcome, reason, _) in outcomes(sql).items() if outcome == "withheld"}


@pytest.mark.parametrize(
    ("agreed", "refusing"),
    [
        ([True, True, True, True, True], []),
        ([True, False, None, False, True], [1, 2]),
        (["yes", "YES ", "no", "yes", "1"], [2]),
        (pa.array([1, 0, 1, 1, 1], pa.int32()), [1]),
        (["on", "maybe", "", "y", "true"], [1, 2]),
    ],
)
def test_only_a_yes_lets_a_row_out(segment, agreed, refusing):
    """Everything else, and nothing at all, is no; a row without an address keeps its reason."""
    sql, files = segment(agreed)
    consent.withhold_without_consent(sql, files, "agreed")
    assert dict.fromkeys(refusing, "no_consent") | {4: "duplicate"} == withheld(sql)


def test_one_no_among_the_rows_of_an_address_is_a_no(segment):
    """One row without consent withholds all rows of the address, the repeated ones too."""
    sql, files = segment([True, True, True, True, False])
    counts = consent.withhold_without_consent(sql, files, "agreed")
    assert {"yes": 4, "no": 1, "empty": 0, "unclear": 0} == counts
    assert {0: "no_consent", 4: "no_consent"} == withheld(sql)


def test_consent_and_suppression_come_before_any_other_reason(segment, listed):
    """A row that is also rejected or repeated says what counts: its person must not be mailed."""
    sql, files = segment([True, False, True, True, True])
    sql.run("insert into not_sent values (1, 'rejected', 'invalid_value', 'x'), (2, 'rejected', 'value_too_long', 'y')")
    consent.withhold_without_consent(sql, files, "agreed")
    listed("a@example.com", "b@example.com", EMAILS[2])
    assert 3 == consent.withhold_suppressed(sql)
    assert {
        0: "on_suppression_list",
        1: "no_consent",
        2: "on_suppression_list",
        4: "on_suppression_list",
    } == withheld(sql)
    assert sql.single_row("select count(*), count(distinct row) from not_sent") == (5, 5)


def test_a_column_that_cannot_say_yes_is_refused(segment):
    """A date is no consent."""
    sql, files = segment(pa.array([1] * 5, pa.date32()))
    with pytest.raises(
        InvalidSegment, match=r"consent column 'agreed' is date32\[day\], and should be boolean, text or a"
    ):
        consent.withhold_without_consent(sql, files, "agreed")


PEOPLE = [f"p{n}@example.com" for n in range(8)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["yes\r", "TRUE\n", "\ufeffy", "\u00a0on\u200b", "1.0", "T", " 1 ", "true"], {"yes": 8}),
        (["no\r", "FALSE\n", "\ufeffn", "off", "0.0", "F", "0", "n"], {"no": 8}),
        (["", " ", None, "\ufeff", "\r\n", "\u200b", "\x00", "\t"], {"empty": 8}),
        (["maybe", "yes please", "2", "-", "null", "ja", "tru", "1.5"], {"unclear": 8}),
        ([1.0, 0.0, None, 2.0, 0.5, -1.0, 1.0, float("nan")], {"yes": 2, "no": 1, "empty": 1, "unclear": 4}),
        ([True, False, None, True, True, True, True, True], {"yes": 6, "no": 1, "empty": 1}),
        (pa.array([1, 0, None, 2, 1, 1, 1, 255], pa.uint8()), {"yes": 4, "no": 1, "empty": 1, "unclear": 2}),
        (pa.nulls(8), {"empty": 8}),
        (pa.array(["yes\n", "no", None, "x"] * 2).dictionary_encode(), {"yes": 2, "no": 2, "empty": 2, "unclear": 2}),
    ],
    ids=str,
)
def test_every_answer_is_counted_as_what_it_says(segment, values, expected):
    """Only a yes lets a row out; a value that is neither yes nor no withholds as well, and is counted apart."""
    sql, files = segment(values, PEOPLE)
    counts = consent.withhold_without_consent(sql, files, "agreed")
    assert {"yes": 0, "no": 0, "empty": 0, "unclear": 0} | expected == counts
    assert 8 - counts["yes"] == len(withheld(sql))


@pytest.mark.parametrize("answer", ["x" * 16_000_000, " " * 16_000_000 + "yes"], ids=["letters", "blanks"])
def test_an_answer_of_16_mb_withholds_its_row_alone(segment, answer):
    """It is unclear, and needs no memory beside what its page needs."""
    sql, files = segment(["yes", answer], EMAILS[:2])
    counts = consent.withhold_without_consent(sql, files, "agreed")
    assert {"yes": 1, "no": 0, "empty": 0, "unclear": 1} == counts
    assert {1: "no_consent"} == withheld(sql)


def test_the_people_of_suppression_lists_are_withheld(segment, listed):
    """Every row of theirs is."""
    sql, _ = segment([True] * 5)
    listed(" A@Example.com", "c@example.com")
    assert 3 == consent.withhold_suppressed(sql)
    assert {0: "on_suppression_list", 2: "on_suppression_list", 4: "on_suppression_list"} == withheld(sql)

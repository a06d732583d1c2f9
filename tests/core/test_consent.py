"""Who is withheld before anything is sent, by the warehouse's own word."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pytest
from core.made import PLAIN, inspected, matching_of, outcomes, shared, written

from airflow_provider_segexport.errors import BadSegment
from airflow_provider_segexport.ports.places import local
from airflow_provider_segexport.segment import Asked
from airflow_provider_segexport.stages import clean, consent, match

EMAILS = ["a@example.com", "B@example.com", "c@example.com", "nobody", "a@example.com"]


@pytest.fixture
def segment(tmp_path):
    """Clean a segment with a column of consent; the engine and its files."""

    def go(agreed, emails=EMAILS):
        asked = Asked({"email": "email"})
        path = written(tmp_path / "in.parquet", {"email": emails, "agreed": agreed})
        files = inspected(path, wanted=[*match.names(PLAIN, asked), "agreed"])
        clean.clean(shared(), files, matching_of(files, asked))
        return shared(), files

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
    assert 2 == consent.withhold_without_consent(sql, files, "agreed")
    assert {0: "no_consent", 4: "no_consent"} == withheld(sql)


def test_consent_and_suppression_come_before_any_other_reason(segment, tmp_path):
    """A row that is also rejected or repeated says what counts: its person must not be mailed."""
    sql, files = segment([True, False, True, True, True])
    sql.run("insert into aside values (1, 'rejected', 'invalid_value', 'x'), (2, 'rejected', 'value_too_long', 'y')")
    consent.withhold_without_consent(sql, files, "agreed")
    place = local(str(written(tmp_path / "stop.parquet", {"email": ["a@example.com", "b@example.com", EMAILS[2]]})))
    assert 3 == consent.withhold_suppressed(sql, [(place, "stop.parquet")])
    assert {
        0: "suppressed_here",
        1: "no_consent",
        2: "suppressed_here",
        4: "suppressed_here",
    } == withheld(sql)
    assert sql.one("select count(*), count(distinct row) from aside") == (5, 5)


def test_a_column_that_cannot_say_yes_is_refused(segment):
    """A date is no consent."""
    sql, files = segment([1.5] * 5)
    with pytest.raises(BadSegment, match="consent column 'agreed' is double, and should be boolean, text or integer"):
        consent.withhold_without_consent(sql, files, "agreed")


def sha256(email):
    return hashlib.sha256(email.encode()).hexdigest()


@pytest.mark.parametrize("column", ["email", "Email", "sha"])
@pytest.mark.parametrize(
    "listed", [[" A@Example.com", None], [sha256("a@example.com")], [sha256("a@example.com").upper(), "x@example.com"]]
)
def test_a_suppression_file_withholds(segment, tmp_path, column, listed):
    """Addresses in any case, or their SHA-256; the column is `email`, or the only one there is."""
    sql, _ = segment([True] * 5)
    place = local(str(written(tmp_path / "stop.parquet", {column: listed})))
    consent.withhold_suppressed(sql, [(place, "stop.parquet")])
    assert {0: "suppressed_here", 4: "suppressed_here"} == withheld(sql)


def test_several_files_are_united(segment, tmp_path):
    """Who stands in any of them is withheld."""
    sql, _ = segment([True] * 5)
    files = [
        (local(str(written(tmp_path / f"{n}.parquet", {"email": [who]}))), f"{n}.parquet")
        for n, who in enumerate(("b@example.com", sha256("c@example.com")))
    ]
    assert 2 == consent.withhold_suppressed(sql, files)


def test_a_suppression_file_without_an_email_column_is_refused(segment, tmp_path):
    """It is named, with what it has."""
    sql, _ = segment([True] * 5)
    place = local(str(written(tmp_path / "stop.parquet", {"a": ["x"], "b": ["y"]})))
    with pytest.raises(BadSegment, match=r"suppression file stop.parquet has the columns a, b, and should have"):
        consent.withhold_suppressed(sql, [(place, "stop.parquet")])
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"no parquet")
    with pytest.raises(BadSegment, match="cannot be read as Parquet"):
        consent.withhold_suppressed(sql, [(local(str(broken)), "broken.parquet")])

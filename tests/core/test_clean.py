"""Which rows are sent and which are set aside: every row in exactly one of the two."""

from __future__ import annotations

import pyarrow as pa
import pytest
from core.factories import cleaned, outcomes, values, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_segexport.null_words import NULL_WORDS
from airflow_provider_segexport.stages import clean


def test_an_address_is_trimmed_and_in_lower_case(tmp_path):
    """Characters around an address copied from a document are removed; those inside it stay, and are validated."""
    texts = [" Jane@Example.COM\t", "\u00a0joe@example.com\u200b", "\ufeffann@example.com\r\n"]
    with cleaned(written(tmp_path / "x.parquet", {"email": texts})) as (sql, _):
        assert values(sql, "email") == ["jane@example.com", "joe@example.com", "ann@example.com"]


def test_rows_without_an_address(tmp_path):
    """Null, empty and blank are no address."""
    with cleaned(written(tmp_path / "x.parquet", {"email": [None, "", " \t\u200b", "a@example.com"]})) as (sql, _):
        assert outcomes(sql) == dict.fromkeys(range(3), ("rejected", "no_email", "email"))


def test_addresses_that_cannot_be_sent(tmp_path):
    """Bad syntax and a local part outside ASCII are two reasons."""
    texts = ["nobody", "jané@example.com", "x" * 10_000 + "@example.com", "a\x00b@example.com"]
    with cleaned(written(tmp_path / "x.parquet", {"email": texts})) as (sql, _):
        reasons = [reason for _, (_, reason, _) in sorted(outcomes(sql).items())]
    assert reasons == ["invalid_email", "non_ascii_email", "invalid_email", "invalid_email"]


def test_the_first_row_of_a_duplicate_wins(tmp_path):
    """Case, spaces and the form of a domain do not make two people; the others are counted, over all files."""
    first = written(
        tmp_path / "1.parquet", {"email": ["jane@bücher.de", "JOE@example.com", "x"], "first": ["1", "2", "3"]}
    )
    two = written(
        tmp_path / "2.parquet",
        {"email": ["joe@example.com ", "JANE@xn--bcher-kva.de", "x"], "first": ["4", "5", "6"]},
    )
    with cleaned(first, two, fields={"first_name": "first"}) as (sql, _):
        assert values(sql, "first_name") == ["1", "2"]
        assert outcomes(sql) == {
            2: ("rejected", "invalid_email", "email"),
            3: ("withheld", "duplicate", "email"),
            4: ("withheld", "duplicate", "email"),
            5: ("rejected", "invalid_email", "email"),
        }


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_duplicates_are_found_in_several_turns(tmp_path, monkeypatch, at_once):
    """The hashes of ten million addresses are not all held at once; that there are no two alike is detected as well."""
    monkeypatch.setattr(clean, "MAX_HASHES_IN_MEMORY", at_once)
    emails = [f"{name}@example.com" for name in "abcabdaefa"]
    with cleaned(written(tmp_path / "1.parquet", {"email": emails})) as (sql, _):
        assert values(sql, "row") == [0, 1, 2, 5, 7, 8]
        assert outcomes(sql) == dict.fromkeys([3, 4, 6, 9], ("withheld", "duplicate", "email"))
    with cleaned(written(tmp_path / "1.parquet", {"email": sorted(set(emails))})) as (sql, _):
        assert (len(values(sql, "row")), outcomes(sql)) == (6, {})


def test_a_value_that_is_too_long_rejects_its_row(tmp_path):
    """Cutting it would change what it says; the length counts after trimming, in characters."""
    texts = ["x" * 11, "é" * 10, "  " + "y" * 10 + "  ", "z" * 10_000]
    people = {"email": [f"{n}@example.com" for n in "abcd"], "sex": texts}
    with cleaned(written(tmp_path / "x.parquet", people), fields={"gender": "sex"}) as (sql, result):
        assert outcomes(sql) == dict.fromkeys((0, 3), ("rejected", "value_too_long", "gender"))
        assert values(sql, "gender") == ["é" * 10, "y" * 10]
        assert result.warnings == {}


def test_a_value_that_does_not_fit_is_left_out_where_that_is_the_rule(tmp_path):
    """The row goes without it, and the report counts by field and why."""
    people = {"email": ["a@example.com", "b@example.com"], "tel": ["+" + "4" * 15, "+49 30 123"], "born": ["?", None]}
    fields = {"phone": "tel", "birthdate": "born"}
    with cleaned(written(tmp_path / "x.parquet", people), fields=fields) as (sql, result):
        assert outcomes(sql) == {}
        assert values(sql, "phone") == [None, "+4930123"]
        assert result.warnings["phone"] == {"left_out_value_too_long": 1}


def test_control_characters_become_spaces(tmp_path):
    """They would break a message, and some vendors refuse them; the report counts the values changed."""
    texts = ["Ann\x00\x07 Lee", "Bob\nRay", "\tCarl\x7f", "D"]
    people = {"email": [f"{n}@example.com" for n in "abcd"], "first": texts}
    with cleaned(written(tmp_path / "x.parquet", people), fields={"first_name": "first"}) as (sql, result):
        assert values(sql, "first_name") == ["Ann  Lee", "Bob Ray", "Carl", "D"]
        assert result.warnings == {"name": {"control_characters_replaced": 3}}


def test_texts_of_null_are_sent_and_counted(tmp_path):
    """A program wrote `None` in place of null, as Airflow's SqlToS3Operator does; a person may be called so, too."""
    texts = [*NULL_WORDS, None, "", "Nan", "none", "None of it", " None", "Ann", "None"]
    people = {"email": [f"p{n}@example.com" for n in range(len(texts))], "first": texts, "sex": [None] * len(texts)}
    people["email"][-1] = "no address"
    with cleaned(written(tmp_path / "x.parquet", people), fields={"first_name": "first", "gender": "sex"}) as (
        sql,
        result,
    ):
        assert values(sql, "first_name")[: len(NULL_WORDS)] == list(NULL_WORDS)
        assert result.warnings == {"name": {"null_as_text": len(NULL_WORDS)}}


def test_a_row_with_two_faults_has_one_reason(tmp_path):
    """No row is counted twice."""
    people = {"email": ["a@example.com", "a@example.com", "nobody"], "sex": ["x" * 11] * 3, "note": ["y" * 31] * 3}
    with cleaned(written(tmp_path / "x.parquet", people), fields={"gender": "sex"}, note="note") as (sql, _):
        assert sorted(row for (row,) in sql.rows("select row from not_sent")) == [0, 1, 2]
        assert values(sql, "row") == []


def test_an_export_of_addresses_alone(tmp_path):
    """Nothing but the email may be matched."""
    with cleaned(written(tmp_path / "x.parquet", {"email": ["a@example.com"], "rest": [1]})) as (sql, result):
        assert [values(sql, "email"), result.warnings, result.profiles] == [["a@example.com"], {}, 1]


def test_a_column_name_is_no_sql(tmp_path):
    """Column names come from files: quotes and semicolons in them are letters."""
    name = """a"; drop table keys; --'"""
    path = written(tmp_path / "x.parquet", {name: ["a@example.com"], "x'y": ["Ann"]})
    with cleaned(path, fields={"email": name, "first_name": "x'y"}) as (sql, _):
        assert [values(sql, "email"), values(sql, "first_name")] == [["a@example.com"], ["Ann"]]


EMAILS = st.sampled_from(
    [
        None,
        "",
        "a@example.com",
        "A@example.com ",
        "b@example.com",
        "b'@bücher.de",
        "B'@XN--BCHER-KVA.DE",
        "no",
        "é@x.de",
    ]
)
TEXTS = st.one_of(st.none(), st.sampled_from(["", "x", "y" * 11, "a\x00b", "z" * 31]), st.text(max_size=12))
NUMBERS = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, -0.0, 5.0, 1e20]))
ROWS = st.lists(st.tuples(EMAILS, TEXTS, TEXTS, NUMBERS), min_size=1, max_size=40)


@pytest.fixture
def paths(tmp_path):
    return [tmp_path / "1.parquet", tmp_path / "2.parquet"]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, at=st.integers(0, 40))
def test_every_row_is_clean_or_set_aside(paths, rows, at):
    """The law of conservation, and the order of rows, for any table."""
    email, sex, note, points = (list(column) for column in zip(*rows, strict=True))
    table = pa.table({"email": email, "sex": sex, "note": note, "points": pa.array(points, pa.float64())})
    table = table.cast(
        pa.schema([("email", pa.string()), ("sex", pa.string()), ("note", pa.string()), ("points", pa.float64())])
    )
    for path, part in zip(paths, (table.slice(0, at), table.slice(at)), strict=True):
        written(path, part)
    with cleaned(*paths, fields={"gender": "sex"}, note="note", points="points") as (sql, _):
        clean_rows = values(sql, "row")
        aside = [row for (row,) in sql.rows("select row from not_sent")]
        emails = values(sql, "email")
    assert sorted(clean_rows + aside) == list(range(len(rows)))
    assert clean_rows == sorted(clean_rows)
    assert len(emails) == len(set(emails))

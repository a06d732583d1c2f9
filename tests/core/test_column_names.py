"""No name of a user's column changes how rows are read or numbered."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest
from core.factories import cleaned, inspected, shared, values, written

import airflow_provider_segexport
from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.stages import clean, consent

ENGINE_NAMES = ("file_index", "file_row_number", "filename", "row", "rowid", "row_number", "columns", "c0", "c1", "C0")
AWKWARD_NAMES = (
    'a"b',
    "a'b",
    "a.b",
    "a{}b",
    "{0}",
    "select",
    "",
    " ",
    "\N{SNOWMAN}",
    "x" * 500,
    "key=value",
    "%s",
    "$1",
)


def internal_names():
    """Every name that the SQL of this package gives to something, found in its sources."""
    folder = Path(airflow_provider_segexport.__file__).parent
    names = set(ENGINE_NAMES)
    for path in [
        *folder.glob("*.py"),
        *folder.glob("stages/*.py"),
        *folder.glob("ports/*.py"),
        *folder.glob("export/*.py"),
    ]:
        text = path.read_text()
        names |= set(re.findall(r"\b(?:as|from|join|table|view|select|by|using \() ?([a-z_][a-z_0-9]{1,30})\b", text))
    return sorted(names)


CONTENTS = {"integer": [7, 7, 7], "null": pa.nulls(3), "text": ["x", "y", "z"], "list": [[1], [2], [3]]}


@pytest.mark.parametrize("content", CONTENTS)
def test_unmapped_columns_of_any_name_are_harmless(tmp_path, content):
    """Names that the engine or our SQL use, in any case and type, change neither the rows nor their numbers."""
    for number in range(2):
        emails = [f"{number}{row}@example.com" for row in range(3)]
        columns = {"email": pa.array(emails), "agreed": pa.array([True, False, True])}
        for name in (*internal_names(), *AWKWARD_NAMES):
            columns |= {key: pa.array(CONTENTS[content]) for key in (name, name.upper()) if key.lower() != "email"}
        names = list({key.lower(): key for key in columns}.values()) if number else list(columns)
        names = [name for name in names if name.lower() not in {"email", "agreed"}] + ["email", "agreed"]
        written(tmp_path / f"{number}.parquet", pa.table([columns[name] for name in names], names=names))
    with cleaned(tmp_path) as (sql, _):
        assert [(0, "00@example.com"), (1, "01@example.com"), (2, "02@example.com"), (3, "10@example.com")] == sql.rows(
            "select row, email from clean_rows"
        )[:4]
        files = inspected(tmp_path, wanted=["email", "agreed"])
        assert 2 == consent.withhold_without_consent(sql, files, "agreed")["no"]
        assert [1, 4] == [row for (row,) in sql.rows("select row from not_sent order by row")]


@pytest.mark.parametrize("name", [name for name in (*ENGINE_NAMES, *AWKWARD_NAMES) if name])
def test_mapped_columns_of_any_name_are_read(tmp_path, name):
    """Such a column can be mapped, as a field and as the column of consent."""
    columns = {"email": ["a@example.com", "b@example.com"], name: ["yes", "no"], "file_row_number_": [5, 6]}
    with cleaned(written(tmp_path / "x.parquet", columns), fields={"first_name": name}) as (sql, _):
        assert [(0, "yes"), (1, "no")] == sql.rows("select row, first_name from clean_rows")
        consent.withhold_without_consent(sql, inspected(tmp_path / "x.parquet", wanted=["email", name]), name)
        assert [(1,)] == sql.rows("select row from not_sent")


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["email", "x", "x", "x_1"], "x_1"),
        (["email", "x", "X", "x", "x_2"], "x_2"),
        (["email", "x", "x", "x_1", "x_1_1"], "x_1_1"),
        (["email", "", "C1"], "C1"),
    ],
)
def test_a_name_that_the_engine_gives_to_a_namesake_is_ambiguous(tmp_path, names, wanted):
    """The engine renames namesakes, and would read one of them in place of the mapped column."""
    arrays = [pa.array([f"{number}@example.com"]) for number in range(len(names))]
    path = written(tmp_path / "x.parquet", pa.table(arrays, names=names))
    with pytest.raises(InvalidSegment, match="ambiguous"):
        inspected(path, wanted=["email", wanted])


@pytest.mark.parametrize(
    "names", [["email", "x", "x", "y_1"], ["email", "x", "X", "x_5"], ["", "email", "c5"], ["email", "a", "a", "", "b"]]
)
def test_namesakes_that_cannot_be_meant_are_harmless(tmp_path, names):
    """Columns that are not mapped may share a name or have none."""
    arrays = [pa.array([f"p{number}@example.com"]) for number in range(len(names))]
    path = written(tmp_path / "x.parquet", pa.table(arrays, names=names))
    with cleaned(path, fields={"first_name": names[-1]}) as (sql, _):
        assert [f"p{names.index('email')}@example.com"] == values(sql, "email")
        assert [f"p{len(names) - 1}@example.com"] == values(sql, "first_name")


def test_twenty_thousand_columns_are_cheap(tmp_path):
    """Only mapped columns are bound, so a wide file costs little more than its footer."""
    columns = {f"k{number}": pa.array([1]) for number in range(20_000)} | {"email": pa.array(["a@example.com"])}
    path = written(tmp_path / "x.parquet", columns)
    files = inspected(path)
    rows = clean.relation(shared(), files, [clean.Read("email", "email")])
    assert [(0, "a@example.com")] == shared().rows(f"select * from {rows}")
    assert 1_000 > len(rows)
    with pytest.raises(InvalidSegment) as caught:
        inspected(path, wanted=["e_mail"])
    assert "'email'" in str(caught.value)
    assert 1_000 > len(str(caught.value))


@pytest.mark.parametrize("name", ["\ufeffemail", " email", "Email", "e\u200bmail", "email\n", "email\xa0"])
def test_a_name_that_only_looks_right_is_shown_as_it_is(tmp_path, name):
    """The error shows what the eye does not see."""
    path = written(tmp_path / "x.parquet", {name: ["a@example.com"], "other": [1]})
    with pytest.raises(InvalidSegment) as caught:
        inspected(path)
    assert repr(name) in str(caught.value)
    assert "exact name" in str(caught.value)
    assert "other" not in str(caught.value)


def test_two_spellings_of_one_letter_are_shown_in_ascii(tmp_path):
    """MacOS and some editors write é as two characters."""
    path = written(tmp_path / "x.parquet", {"email": ["a@example.com"], "pre\u0301nom": ["Zo"]})
    with pytest.raises(InvalidSegment) as caught:
        inspected(path, wanted=["email", "pr\xe9nom"])
    assert r"no column 'pr\xe9nom'" in str(caught.value)
    assert r"It has 'pre\u0301nom'" in str(caught.value)


def test_the_nearest_names_are_shown(tmp_path):
    """If there are many columns, the message lists those most like the missing ones, each name cut."""
    columns = {f"attribute_{number}": [1] for number in range(500)} | {"custmer_tier": [1], "y" * 5_000: [1]}
    path = written(tmp_path / "x.parquet", columns)
    with pytest.raises(InvalidSegment) as caught:
        inspected(path, wanted=["customer_tier", "y" * 4_000])
    assert "'custmer_tier'" in str(caught.value)
    assert "502 columns" in str(caught.value)
    assert 1_500 > len(str(caught.value))


def test_no_columns_and_no_rows(tmp_path):
    """A file without columns lacks the mapped one; a file without rows is read."""
    with pytest.raises(InvalidSegment, match="Its columns: none"):
        inspected(written(tmp_path / "none.parquet", pa.table({})))
    with cleaned(written(tmp_path / "x.parquet", {"email": pa.array([], pa.string())})) as (sql, result):
        assert [] == values(sql, "email")
        assert 0 == result.profiles


def test_nested_columns_beside_flat_ones(tmp_path):
    """A struct's field is no column, and a column named like its path is."""
    table = pa.table({"p": [{"email": "no@example.com"}], "p.email": ["yes@example.com"], "email": ["a@example.com"]})
    path = written(tmp_path / "x.parquet", table)
    with cleaned(path, fields={"first_name": "p.email"}) as (sql, _):
        assert [("a@example.com", "yes@example.com")] == sql.rows("select email, first_name from clean_rows")

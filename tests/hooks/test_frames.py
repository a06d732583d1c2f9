"""Data frames in memory are sent like files: any kind of frame, with any other columns in it."""

from __future__ import annotations

import decimal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import dataset

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.hooks import arguments, frames
from airflow_provider_segexport.hooks.left_out import LEFT_OUT

EMAILS = [f"person{n}@example.com" for n in range(3)]
GIVEN = {"field_mapping": {"email": "email", "first_name": "name"}, "custom_fields": None, "consent_column": None}


class Stream:
    """Nothing but the protocol: as Polars, or a library that is not made yet."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def table(**more):
    return pa.table({"email": EMAILS, "name": ["Ann", None, "Bea"], **more})


class SubclassFrame(pd.DataFrame):
    """As a GeoDataFrame, whose geometries have no Arrow type."""


def views_by_number(*values):
    """A column that Arrow casts to no other."""
    numbers = pa.array([None if value is None else n for n, value in enumerate(values)], pa.uint32())
    return pa.DictionaryArray.from_arrays(numbers, pa.array([value or "" for value in values], pa.string_view()))


def polars_frame(name="String", chunks=1):
    """A Polars frame; a column of Python objects, which has no Arrow type, is in it too."""
    pl = pytest.importorskip("polars")
    content = {"email": EMAILS, "name": ["Ann", None, "Bea"]}
    frame = pl.DataFrame(
        content, schema_overrides={"name": pl.Enum(["Ann", "Bea"]) if name == "Enum" else getattr(pl, name)}
    )
    frame = frame.with_columns(pl.Series("n", [object()] * 3, dtype=pl.Object))
    return pl.concat([frame[n : n + 1] for n in range(3)], rechunk=False) if chunks > 1 else frame


KINDS = {
    "pandas": lambda: pd.DataFrame({"email": EMAILS, "name": ["Ann", None, "Bea"], "n": [1, "x", b"y"]}),
    "subclass of pandas": lambda: SubclassFrame({"email": EMAILS, "name": ["Ann", None, "Bea"], "n": [1, "x", b"y"]}),
    "table": lambda: table(n=[[1], [2], None]),
    "reader": lambda: table(n=[1, 2, 3]).to_reader(1),
    "batch": lambda: table().to_batches()[0],
    "relation": lambda: duckdb.connect().from_arrow(table(n=[1, 2, 3])),
    "protocol alone": lambda: Stream(table(n=[1, 2, 3])),
    "views": lambda: table().cast(pa.schema([("email", pa.string_view()), ("name", pa.string_view())])),
    "batch of views": lambda: KINDS["views"]().to_batches()[0],
    "reader of views": lambda: KINDS["views"]().to_reader(),
    "dictionary of views": lambda: table().set_column(1, "name", views_by_number("Ann", None, "Bea")),
    "polars": polars_frame,
    "polars categories": lambda: polars_frame(name="Categorical"),
    "polars lazy": lambda: polars_frame(name="Enum").lazy(),
    "polars in chunks": lambda: polars_frame(chunks=3),
    "no rows": lambda: table().slice(0, 0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_frame_is_read(kind):
    """The mapped columns are written, and no other; an unmapped one of mixed types breaks nothing."""
    with frames.as_file({**GIVEN, "segment": KINDS[kind]()}) as (given, content):
        written = pq.read_table(given["segment"])
    assert ["email", "name"] == written.column_names
    assert (EMAILS if kind != "no rows" else []) == written.column("email").to_pylist()
    assert (["Ann", None, "Bea"] if kind != "no rows" else []) == written.column("name").to_pylist()
    assert content


def test_paths_pass_through():
    """They are no frames."""
    with frames.as_file({**GIVEN, "segment": ["/a", "/b"]}) as (given, content):
        assert (["/a", "/b"], "") == (given["segment"], content)


def test_rows_without_the_arrow_protocol_are_refused_with_what_gives_it(tmp_path):
    """A dataset of PyArrow is such, as a frame of Dask is. A suppression list takes no rows at all."""
    pq.write_table(table(), tmp_path / "x.parquet")
    rows = dataset.dataset(tmp_path / "x.parquet")
    with frames.as_file({**GIVEN, "segment": rows}) as (given, _):
        with pytest.raises(
            InvalidSegment, match=r"is of type FileSystemDataset\. To fix: .*scanner\(\)\.to_reader\(\)"
        ):
            arguments.segment(given["segment"])
        with pytest.raises(InvalidSegment, match=r"`suppression_list` is of type .* Write rows to Parquet first\."):
            arguments.paths(given["segment"])
    with frames.as_file({**GIVEN, "segment": rows.scanner().to_reader()}) as (given, _):
        assert pq.read_table(given["segment"]).column("email").to_pylist() == EMAILS


def test_the_same_rows_have_the_same_mark():
    """A retry finds its plan by it; other rows have another."""

    def mark(frame):
        with frames.as_file({**GIVEN, "segment": frame}) as (_, content):
            return content

    assert mark(table()) == mark(table())
    assert mark(table()) != mark(table().slice(1))


def test_a_mapped_column_of_several_types_is_text():
    """As a phone number is that one system holds as a number and another as text."""
    values = [
        "+49 170 1234567",
        491701234567,
        3.5,
        12.0,
        True,
        None,
        float("nan"),
        pd.NA,
        pd.NaT,
        decimal.Decimal("7.10"),
    ]
    expected = ["+49 170 1234567", "491701234567", "3.5", "12", "true", None, None, None, None, "7.10"]
    frame = pd.DataFrame({"email": [f"p{n}@example.com" for n in range(len(values))], "name": values})
    with frames.as_file({**GIVEN, "segment": frame}) as (given, _):
        assert expected == pq.read_table(given["segment"]).column("name").to_pylist()


def test_values_of_numpy_and_odd_decimals_are_text_among_others():
    """A time in nanoseconds is no integer, and no such value ends the run with an error of another library."""
    day = np.datetime64("2026-01-02")
    values = [day, day.astype("M8[ns]"), np.datetime64("NaT"), decimal.Decimal("NaN"), decimal.Decimal("sNaN"), "x"]
    frame = pd.DataFrame({"email": [f"p{n}@example.com" for n in range(6)], "name": pd.Series(values, dtype=object)})
    with frames.as_file({**GIVEN, "segment": frame}) as (given, _):
        expected = ["2026-01-02", "2026-01-02T00:00:00", None, None, None, "x"]
        assert expected == pq.read_table(given["segment"]).column("name").to_pylist()
    for odd in (decimal.Decimal("Infinity"), day):
        frame = pd.DataFrame({"email": EMAILS, "name": pd.Series([odd, None, odd], dtype=object)})
        with frames.as_file({**GIVEN, "segment": frame}) as (given, _):
            assert pq.read_table(given["segment"]).column("name").null_count == 1


def test_a_column_whose_name_is_a_number_is_read():
    """The field mapping names it as text."""
    frame = pd.DataFrame({0: EMAILS, 1: ["Ann", None, "Bob"]})
    with frames.as_file({**GIVEN, "field_mapping": {"email": "0", "first_name": "1"}, "segment": frame}) as (given, _):
        assert pq.read_table(given["segment"]).column("1").to_pylist() == ["Ann", None, "Bob"]


def test_a_lazy_query_that_fails_is_an_error_without_its_values():
    """Polars quotes the value that it could not convert."""
    pl = pytest.importorskip("polars")
    frame = (
        pl.DataFrame({"email": EMAILS, "name": ["1", "secret", "3"]}).lazy().with_columns(pl.col("name").cast(pl.Int8))
    )
    with (
        pytest.raises(InvalidSegment, match=r"query of the LazyFrame failed \(InvalidOperationError\)") as caught,
        frames.as_file({**GIVEN, "segment": frame}),
    ):
        pass
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", [b"x", [1], {"a": 1}, object(), np.array([1, 2])])
def test_a_mapped_column_that_is_no_text_is_refused_without_its_values(value):
    """The column and the type are named, and how to mend it."""
    frame = pd.DataFrame({"email": EMAILS, "name": ["+49 170 1234567", value, 7]})
    with (
        pytest.raises(InvalidSegment, match="Column 'name' of the DataFrame contains a value of type") as caught,
        frames.as_file({**GIVEN, "segment": frame}),
    ):
        pass
    assert "1234567" not in str(caught.value)


@pytest.mark.parametrize("values", [["Ann", "B\ud83d", None], ["Ann", "B\udc80", 7]])
def test_text_that_is_not_unicode_is_refused_without_its_values(values):
    """Half of an emoji, from JSON or a text that was cut. The message names the column, and how to mend it."""
    frame = pd.DataFrame({"email": EMAILS, "name": pd.Series(values, dtype=object)})
    with (
        pytest.raises(
            InvalidSegment, match=r"Column 'name' of the DataFrame contains text that is not Unicode"
        ) as caught,
        frames.as_file({**GIVEN, "segment": frame}),
    ):
        pass
    assert "Ann" not in str(caught.value)
    assert "To fix" in str(caught.value)
    mended = frame.assign(
        name=frame["name"].astype(object).map(lambda value: str(value).encode("utf-8", "replace").decode())
    )
    with frames.as_file({**GIVEN, "segment": mended}) as (given, _):
        assert pq.read_table(given["segment"]).column("name").to_pylist()[1] == "B?"


@pytest.mark.parametrize(
    "kind", [lambda: pd.DataFrame({f"c{n}": [1] for n in range(2_000)}), lambda: table(mail=[1, 2, 3])]
)
def test_a_missing_column_is_named_with_the_nearest(kind):
    """Not with all of them."""
    given = {**GIVEN, "field_mapping": {"email": "emaill"}, "segment": kind()}
    with pytest.raises(InvalidSegment, match="has no column 'emaill'") as caught, frames.as_file(given):
        pass
    assert len(str(caught.value)) < 500


def test_a_column_that_is_there_twice_is_refused():
    """Which one is meant is not guessed."""
    twice = pd.DataFrame([["a@example.com", "Ann", "Bea"]], columns=["email", "name", "name"])
    for frame in (twice, Stream(pa.table([EMAILS, EMAILS, EMAILS], names=["email", "name", "name"]))):
        with pytest.raises(InvalidSegment, match="column 'name' 2 times"), frames.as_file({**GIVEN, "segment": frame}):
            pass


def test_a_column_of_the_consent_and_of_custom_fields_is_read():
    """Each column that an export reads, and each once."""
    given = {**GIVEN, "segment": table(ok=[True, False, None], tier=[1, 2, 3])}
    given |= {"custom_fields": '{"TIER": "tier", "TIER2": "tier"}', "consent_column": "ok"}
    with frames.as_file(given) as (arguments, _):
        assert ["email", "name", "tier", "ok"] == pq.read_table(arguments["segment"]).column_names


def test_the_columns_of_a_proof_are_read():
    """A fixed text is no column; `column:` and a name is one."""
    frame = table(ok=[True] * 3, at=["2026-01-01"] * 3, words=["Yes"] * 3, ip=["::1"] * 3)
    given = {
        **GIVEN,
        "segment": frame,
        "consent_column": "ok",
        "consented_at_column": "at",
        "consent_ip_column": " ip ",
    }
    for text, more in (("I agree", []), (" column: words", ["words"]), (LEFT_OUT, [])):
        with frames.as_file({**given, "consent_text": text, "consent_source_column": LEFT_OUT}) as (arguments, _):
            assert ["email", "name", "ok", "at", "ip", *more] == pq.read_table(arguments["segment"]).column_names


def test_a_stream_that_breaks_is_an_error_without_its_values():
    """A library's message may quote a row."""

    def batches():
        yield table().to_batches()[0]
        raise pa.ArrowInvalid("Could not convert '+49 170 1234567'")

    reader = pa.RecordBatchReader.from_batches(table().schema, batches())
    given = {**GIVEN, "segment": reader}
    with pytest.raises(InvalidSegment, match="cannot be read as columns") as caught, frames.as_file(given):
        pass
    assert "1234567" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_single_column_is_refused(library):
    """As an upstream task returns that has selected `frame["email"]`."""
    series = pytest.importorskip(library).Series
    column = series(EMAILS, name="email") if library == "pandas" else series("email", EMAILS)
    with pytest.raises(InvalidSegment, match=r"A Series is a single column\. To fix: pass `series.to_frame\(\)`"):
        frames.write_frame(column, ["email"], None)


def test_a_mapped_column_that_is_the_index_is_named():
    """As `set_index` and `groupby` leave it."""
    frame = pd.DataFrame({"email": EMAILS, "name": EMAILS}).set_index("email")
    with pytest.raises(InvalidSegment, match=r"'email' as its index, .* `frame.reset_index\(\)`"):
        frames.write_frame(frame, ["email", "name"], None)

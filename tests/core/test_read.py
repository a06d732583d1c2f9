"""Finding a segment's files and proving that they can be read."""

from __future__ import annotations

import datetime as dt

import duckdb
import pyarrow as pa
import pytest
from core.factories import cleaned, inspected, values, written

from airflow_provider_segexport.errors import InvalidArgument, InvalidSegment
from airflow_provider_segexport.segment_files.parquet_files import find_files
from airflow_provider_segexport.stages import read
from airflow_provider_segexport.storage.paths import local_path


def names(*texts):
    return [path.name for path, _ in find_files(list(texts), local_path)]


def test_a_path_names_one_file(tmp_path):
    """A path to a file is that file, whatever it is called."""
    path = written(tmp_path / "people.data", {"email": ["a@example.com"]})
    assert names(str(path)) == ["people.data"]


@pytest.mark.parametrize("prefix", ["file://", "file:", "file://localhost", "FILE://", "File://LOCALHOST"])
@pytest.mark.parametrize("name", ["a.parquet", "*.parquet", ""])
def test_a_file_url_is_a_path(tmp_path, prefix, name):
    """A path or a pattern may be written as a URL in each form of RFC 8089."""
    written(tmp_path / "a.parquet", {"email": ["a@example.com"]})
    assert names(f"{prefix}{tmp_path}/{name}") == ["a.parquet"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("file://other.example/x/a.parquet", "machine 'other.example'"),
        ("file://data/*.parquet", "machine 'data'"),
        ("file://", "no path"),
        ("file://localhost", "no path"),
    ],
)
def test_a_file_url_of_another_machine_is_refused(text, problem):
    """It could be a file of the same name on this machine, with other people."""
    with pytest.raises(InvalidArgument, match=rf"{problem}.*To fix: .*file:///folder/file"):
        names(text)


def test_a_folder_holds_its_files_in_a_stable_order(tmp_path):
    """Files come sorted by path, folders below are walked, and markers and halves are passed over."""
    for name in ("part-2.parquet", "part-1.parquet", "day=1/x.parquet", "z.pq"):
        written(tmp_path / name, {"email": ["a@example.com"]})
    for name in ("_SUCCESS", "_metadata.parquet", ".part-3.parquet.half", "part-1.parquet.crc"):
        (tmp_path / name).write_bytes(b"")
    written(tmp_path / "_staging" / "part-9.parquet", {"email": ["a@example.com"]})
    assert names(str(tmp_path)) == ["x.parquet", "part-1.parquet", "part-2.parquet", "z.pq"]


def test_a_glob_matches_files_and_folders(tmp_path):
    """A glob may end in files or in folders, and matches no marker."""
    for day in ("2026-01-01", "2026-01-02"):
        written(tmp_path / day / "gold.parquet", {"email": ["a@example.com"]})
        (tmp_path / day / "_SUCCESS").write_bytes(b"")
    names_of_files = ["gold.parquet", "gold.parquet"]
    assert [names(f"{tmp_path}/2026-*/*"), names(f"{tmp_path}/2026-*"), names(f"{tmp_path}/**/*.parquet")] == [
        names_of_files
    ] * 3


def test_several_segments_are_united_each_file_once(tmp_path):
    """A list is read in its own order, and a file named twice is read once."""
    file, two = (written(tmp_path / name, {"email": ["a@example.com"]}) for name in ("b.parquet", "a.parquet"))
    assert names(str(file), str(two), str(tmp_path)) == ["b.parquet", "a.parquet"]


@pytest.mark.parametrize("nothing", [[], "", "  ", ["", "x"]])
def test_no_segment_is_named(nothing):
    """An empty argument is refused in words."""
    with pytest.raises(InvalidSegment, match="No segment is named"):
        find_files(nothing, local_path)


def test_no_such_file(tmp_path):
    """The error for a path that does not exist asks the question that helps."""
    with pytest.raises(InvalidSegment, match=r"gone\.parquet does not exist.*check the path.*task that writes there"):
        names(str(tmp_path / "gone.parquet"))


def test_an_empty_folder(tmp_path):
    """A folder without a Parquet file is no segment."""
    (tmp_path / "_SUCCESS").write_bytes(b"")
    with pytest.raises(InvalidSegment, match="holds no Parquet file"):
        names(str(tmp_path))


def test_a_glob_without_a_match(tmp_path):
    """A glob that matches nothing is an error, also where its folder is not there."""
    for text in (f"{tmp_path}/*.parquet", f"{tmp_path}/no/*.parquet"):
        with pytest.raises(InvalidSegment, match="holds no Parquet file"):
            names(text)


@pytest.mark.parametrize("content", [b"", b"email\na@example.com\n", b"<html></html>" * 50, b"PAR1"])
def test_not_parquet(tmp_path, content):
    """Another format under a Parquet name is recognised before anything is sent."""
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    with pytest.raises(InvalidSegment, match="not a readable Parquet file"):
        inspected(path)


def test_truncated_parquet(tmp_path):
    """A file whose end is cut off cannot be read."""
    path = written(tmp_path / "x.parquet", {"email": ["a@example.com"] * 100})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InvalidSegment, match="not a readable Parquet file"):
        inspected(path)


def test_a_damaged_footer(tmp_path):
    """A footer of the right length that makes no sense is no opening error."""
    path = written(tmp_path / "x.parquet", {"email": ["a@example.com"] * 100})
    content = bytearray(path.read_bytes())
    content[-200:-8] = bytes(byte ^ 0x5A for byte in content[-200:-8])
    path.write_bytes(content)
    with pytest.raises(InvalidSegment, match="not a readable Parquet file"):
        inspected(path)


@pytest.mark.parametrize("mapped", ["email", "other"])
def test_a_type_that_the_bytes_cannot_have_is_named(tmp_path, mapped):
    """As fastparquet's text of a fixed length. The file is neither cut short nor in another character set."""
    path = written(tmp_path / "x.parquet", {"email": ["a@example.com"], "other": [1]})
    text = b"\x15\x0c\x25\x02\x18\x05email\x25\x00\x4c\x1c\x00\x00\x00"
    fixed = b"\x15\x0e\x15\x28\x15\x02\x18\x05email\x25\x00\x00"
    content = path.read_bytes()
    assert 1 == content.count(text)
    size = int.from_bytes(content[-8:-4], "little") - len(text) + len(fixed)
    path.write_bytes(content.replace(text, fixed)[:-8] + size.to_bytes(4, "little") + b"PAR1")
    with pytest.raises(InvalidSegment, match=r"a type that its bytes cannot have.*To fix: ") as caught:
        inspected(path, wanted=[mapped])
    assert "UTF-8" not in str(caught.value)


@pytest.mark.parametrize("codec", ["snappy", "zstd", "gzip", "none"])
def test_a_damaged_page(tmp_path, codec):
    """Damage in the middle of a file is found while planning, before anything is sent."""
    people = {"email": [f"person{n}@example.com" for n in range(5000)]}
    path = written(tmp_path / "x.parquet", people, compression=codec, use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[2000:2600] = bytes(byte ^ 0x5A for byte in content[2000:2600])
    path.write_bytes(content)
    files = inspected(path)
    message = r"rows of .*x\.parquet cannot be read"
    with (
        pytest.raises(InvalidSegment, match=message) as caught,
        read.translate_read_errors(files),
        cleaned(path) as (sql, _),
    ):
        values(sql, "email")
    assert caught.value.__cause__ is None


def test_text_that_is_not_utf8_is_not_quoted(tmp_path):
    """The engine quotes the value it stumbles over: it holds a person."""
    raw = pa.array([b"jane.secret\xff@example.com"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 1, raw.buffers())
    path = written(tmp_path / "x.parquet", pa.Table.from_arrays([text], names=["email"]))
    with pytest.raises(InvalidSegment) as caught, read.translate_read_errors(inspected(path)), cleaned(path):
        pass
    assert "jane" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_mistake_of_ours_is_not_blamed_on_the_file(tmp_path):
    """SQL that cannot be bound is a bug, and shows as one."""
    path = written(tmp_path / "x.parquet", {"email": ["a@example.com"]})
    message = "no_such_column"
    with (
        pytest.raises(duckdb.BinderException, match=message),
        read.translate_read_errors(inspected(path)),
        cleaned(path) as (sql, _),
    ):
        sql.rows("select no_such_column from clean_rows")


def test_files_with_different_types(tmp_path):
    """A matched column needs one type in all files; the error names both."""
    first = written(tmp_path / "1.parquet", {"email": ["a@example.com"], "points": [1]})
    two = written(tmp_path / "2.parquet", {"email": ["b@example.com"], "points": ["many"]})
    with pytest.raises(InvalidSegment, match=r"'points' is string in .*2\.parquet and int64 in .*1\.parquet"):
        inspected(first, two, wanted=["email", "points"])


def test_columns_that_are_not_matched_may_differ(tmp_path):
    """A column that the field mapping does not name is not read: its type in each file does not matter."""
    first = written(tmp_path / "1.parquet", {"email": ["a@example.com"], "rest": [1]})
    two = written(tmp_path / "2.parquet", {"rest": [{"deep": 1}], "email": ["b@example.com"]})
    with cleaned(first, two) as (sql, _):
        assert values(sql, "email") == ["a@example.com", "b@example.com"]


def test_a_column_of_nothing_fits_any_type(tmp_path):
    """A part in which a column holds only nulls has no type of its own, as pandas writes it."""
    empty = pa.table({"email": ["a@example.com"], "points": pa.array([None], pa.null())})
    first = written(tmp_path / "1.parquet", empty)
    two = written(tmp_path / "2.parquet", {"email": ["b@example.com"], "points": [5]})
    with cleaned(first, two, points="points") as (sql, _):
        assert values(sql, "custom_0") == [None, "5"]
    with cleaned(first, fields={"first_name": "points"}) as (sql, _):
        assert values(sql, "first_name") == [None]


def test_a_missing_column_lists_what_there_is(tmp_path):
    """The error names file and column, and the columns there are."""
    path = written(tmp_path / "x.parquet", {"mail": ["a@example.com"], "ltv": [1.0]})
    with pytest.raises(InvalidSegment, match=r"x\.parquet has no column 'email'.*Its columns: 'mail', 'ltv'\."):
        inspected(path)


@pytest.mark.parametrize("columns", [["email", "Email"], ["email", "email"]])
def test_columns_that_differ_by_case_only(tmp_path, columns):
    """The engine would pick one of them silently; a segment must not leave that to chance."""
    arrays = [pa.array(["a@example.com"]), pa.array(["b@example.com"])]
    path = written(tmp_path / "x.parquet", pa.Table.from_arrays(arrays, names=columns))
    with pytest.raises(InvalidSegment, match="more than one column"):
        inspected(path)


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.struct([("a", pa.int32())]), pa.binary(), pa.time32("s")])
def test_types_that_no_field_takes(kind):
    """A list, a struct, bytes and a time of day are no single value of a profile."""
    assert read.column_type(kind) is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (pa.string(), "text"),
        (pa.large_string(), "text"),
        (pa.dictionary(pa.int32(), pa.string()), "text"),
        (pa.uint64(), "integer"),
        (pa.float32(), "decimal"),
        (pa.decimal128(10, 2), "decimal"),
        (pa.bool_(), "boolean"),
        (pa.date32(), "date"),
        (pa.timestamp("ns", tz="Europe/Berlin"), "timestamp"),
    ],
)
def test_types_in_the_words_of_data_matching(kind, expected):
    """Six words cover what Parquet holds of a single value."""
    assert read.column_type(kind) == expected


def test_texts_of_every_encoding_are_read_alike(tmp_path):
    """Dictionary-encoded and large strings are text."""
    table = pa.table(
        {
            "email": pa.array(["a@example.com", "b@example.com"]).dictionary_encode(),
            "first": pa.array(["Ann", None], pa.large_string()),
        }
    )
    with cleaned(written(tmp_path / "x.parquet", table), fields={"first_name": "first"}) as (sql, _):
        assert values(sql, "email") == ["a@example.com", "b@example.com"]
        assert values(sql, "first_name") == ["Ann", None]


def test_rows_are_numbered_over_all_files(tmp_path):
    """A row's number counts over the files in reading order, empty ones included."""
    first = written(tmp_path / "1.parquet", {"email": ["a@example.com", "b@example.com"]})
    none = written(tmp_path / "2.parquet", {"email": pa.array([], pa.string())})
    two = written(tmp_path / "3.parquet", {"email": ["c@example.com"]})
    assert [file.first_row for file in inspected(first, none, two).files] == [0, 2, 2]
    with cleaned(first, none, two) as (sql, _):
        assert values(sql, "row") == [0, 1, 2]


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    """The system's own word for it is passed on."""
    path = written(tmp_path / "x.parquet", {"email": ["a@example.com"]})

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    files = find_files(str(path), local_path)
    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(InvalidSegment, match="cannot be opened: Permission denied"):
        read.read_schemas(files, ["email"])


def test_names_with_wildcards_in_them_are_read(tmp_path):
    """A file whose name holds what SQL takes for a pattern is that file."""
    path = written(tmp_path / "seg [1]" / "x.parquet", {"email": ["a@example.com"], "at": [dt.date(2026, 1, 1)]})
    with cleaned(path.parent.parent) as (sql, _):
        assert values(sql, "email") == ["a@example.com"]

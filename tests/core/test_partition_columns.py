"""`key=value` folders: no columns unless the user asks, and then text that never replaces a column of the file."""

from __future__ import annotations

import os

import pyarrow as pa
import pytest
from core.factories import shared, written
from core.segment_folders import Bucket, content

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.segment_files.parquet_files import find_files
from airflow_provider_segexport.segment_files.rows import Read, relation
from airflow_provider_segexport.stages import read
from airflow_provider_segexport.storage.paths import local_path


def inspected(root, wanted, resolve=local_path, *, partition_columns=True):
    return read.read_schemas(find_files(str(root), resolve), wanted, partition_columns=partition_columns)


def rows(files, *columns):
    reads = [Read(f"v{number}", column) for number, column in enumerate(columns)]
    return shared().rows(f"select * from {relation(shared(), files, reads)} order by row")


def test_a_column_that_only_the_path_has_is_text(tmp_path):
    """Decoded, null by Hive's word for it, each file with its own value, and numbered as ever."""
    for folder in ("country=DE", "country=a%2Fb%20c", "country=__HIVE_DEFAULT_PARTITION__", "country=", "country=007"):
        written(tmp_path / folder / "x.parquet", {"email": [f"{folder}@x.org", "z@x.org"]})
    files = inspected(tmp_path, ["email", "country"])
    assert files.columns == {"email": "text", "country": "text"}
    values = {email: value for _, email, value in rows(files, "email", "country") if email != "z@x.org"}
    assert values == {
        "country=DE@x.org": "DE",
        "country=a%2Fb%20c@x.org": "a/b c",
        "country=__HIVE_DEFAULT_PARTITION__@x.org": None,
        "country=@x.org": "",
        "country=007@x.org": "007",
    }
    assert [row for row, *_ in rows(files, "country")] == list(range(10))


def test_a_column_of_the_path_is_not_there_unless_asked_for(tmp_path):
    """Without the argument the file has no such column, and the error says which it has."""
    written(tmp_path / "country=DE" / "x.parquet", {"email": ["a@x.org"]})
    with pytest.raises(InvalidSegment, match="no column 'country'"):
        inspected(tmp_path, ["email", "country"], partition_columns=False)
    with pytest.raises(InvalidSegment, match="no column 'Country'"):
        inspected(tmp_path, ["email", "Country"])


@pytest.mark.parametrize("partition_columns", [True, False])
@pytest.mark.parametrize("value", ["no", None])
def test_the_column_of_the_file_wins(tmp_path, partition_columns, value):
    """Also where it is null, and also above the path that was named."""
    column = pa.array([value], pa.string())
    written(tmp_path / "newsletter=yes" / "sub" / "x.parquet", {"email": ["a@x.org"], "newsletter": column})
    for root in (tmp_path, tmp_path / "newsletter=yes" / "sub" / "x.parquet"):
        files = inspected(root, ["email", "newsletter"], partition_columns=partition_columns)
        assert rows(files, "email", "newsletter") == [(0, "a@x.org", value)]


def test_a_column_of_another_case_in_the_file_hides_the_folder(tmp_path):
    """The engine does not tell the two apart, so the file's column is the one that must be mapped."""
    written(tmp_path / "state=active" / "x.parquet", {"email": ["a@x.org"], "State": ["gone"]})
    with pytest.raises(InvalidSegment, match="no column 'state'"):
        inspected(tmp_path, ["email", "state"])


def test_some_files_have_the_column_and_others_only_the_path(tmp_path):
    """Text in both is one column; another type in the file is refused, naming both."""
    written(tmp_path / "tier=gold" / "a.parquet", {"email": ["a@x.org"]})
    written(tmp_path / "tier=gold" / "b.parquet", {"email": ["b@x.org"], "tier": ["silver"]})
    written(tmp_path / "tier=iron" / "c.parquet", {"email": ["c@x.org"]})
    files = inspected(tmp_path, ["email", "tier"])
    assert rows(files, "tier", "email") == [(0, "gold", "a@x.org"), (1, "silver", "b@x.org"), (2, "iron", "c@x.org")]
    written(tmp_path / "tier=gold" / "b.parquet", {"email": ["b@x.org"], "tier": [1]})
    with pytest.raises(InvalidSegment, match=r"'tier' is int64 in .*b\.parquet and string in .*a\.parquet"):
        inspected(tmp_path, ["email", "tier"])


def test_two_values_in_one_path_are_refused(tmp_path):
    """The same value twice is one; two are a mistake."""
    written(tmp_path / "k=1" / "k=1" / "x.parquet", {"email": ["a@x.org"]})
    assert rows(inspected(tmp_path, ["email", "k"]), "k") == [(0, "1")]
    written(tmp_path / "k=1" / "k=2" / "x.parquet", {"email": ["a@x.org"]})
    with pytest.raises(InvalidSegment, match=r"column 'k' two values\. To fix"):
        inspected(tmp_path, ["email", "k"])


@pytest.mark.parametrize("folder", [b"dt=caf\xe9", b"dt=%FF"])
def test_a_value_of_the_path_that_is_not_utf8_is_refused(tmp_path, folder):
    """It would be changed, or end the run with an error of the engine."""
    (tmp_path / os.fsdecode(folder)).mkdir()
    (tmp_path / os.fsdecode(folder) / "x.parquet").write_bytes(content("a@x.org"))
    with pytest.raises(InvalidSegment, match=r"the column 'dt' a value that is not UTF-8.*To fix"):
        inspected(tmp_path, ["email", "dt"])


def test_values_of_the_path_are_no_sql(tmp_path):
    """Quotes, braces and the engine's own names in a folder's value stay a value."""
    own = {"email": ["a@x.org"], "file_index": [7], "file_row_number": [9]}
    for value in ("it's", "{}", "file_index", "a=b", "%00", "größe"):
        written(tmp_path / f"k={value}" / "x.parquet", own)
    values = [value for _, value in rows(inspected(tmp_path, ["email", "k"]), "k")]
    assert sorted(values) == sorted(["it's", "{}", "file_index", "a=b", "\x00", "größe"])


def test_a_path_in_a_bucket_has_columns_too():
    """The bucket's own name is none of them."""
    from s3 import s3_server  # noqa: PLC0415 - brings moto

    with s3_server() as server:
        bucket = Bucket(f"http://127.0.0.1:{server.port}", "plain")
        bucket.put("day=1/x.parquet", content("a@x.org"))
        files = inspected(bucket.root, ["email", "day"], bucket.resolve)
        assert rows(files, "email", "day") == [(0, "a@x.org", "1")]

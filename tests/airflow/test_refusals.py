"""Bad segments, mappings and reports paths: the task ends before anything is sent, and its error says what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest
from airflow_fixtures import FIELD_MAPPING, people
from airflow_refusals import refused

pytestmark = pytest.mark.airflow


class TestSegment:
    """The files' content, checked before the vendor is called for more than its name."""

    def test_files(self, stage, tmp_path):
        """No file, an empty folder, something else than Parquet, half a file."""
        conn_id = stage.connection("dotdigital")
        path = Path(stage.segment(3))
        (tmp_path / "text.parquet").write_text("hello")
        (tmp_path / "half.parquet").write_bytes(path.read_bytes()[:-20])
        (tmp_path / "min_rows").mkdir()
        for name, message in {
            "nowhere.parquet": "does not exist",
            "min_rows": "holds no Parquet file",
            "text.parquet": "not a readable Parquet file",
            "half.parquet": "not a readable Parquet file",
            "none*.parquet": "holds no Parquet file",
        }.items():
            refused(stage, message, name, conn_id=conn_id, segment=str(tmp_path / name))

    def test_rows(self, stage):
        """No rows, and rows without a single address."""
        conn_id = stage.connection("dotdigital")
        stage.segment(people(3).head(0))
        refused(stage, "has no rows", conn_id=conn_id)
        stage.segment(3)
        refused(stage, "None of 3", "'first_name'", conn_id=conn_id, field_mapping={"email": "first_name"})

    def test_more_profiles_than_the_cap(self, stage):
        """The cap is named, and the two ways out."""
        stage.segment(11)
        refused(
            stage,
            "11 profiles",
            "11 profiles, more than `max_profiles` (10)",
            "`max_profiles`",
            conn_id=stage.connection("dotdigital"),
            max_profiles=10,
        )

    def test_columns(self, stage):
        """A missing column is answered with those there are; a list is no value."""
        conn_id = stage.connection("dotdigital")
        stage.segment(3)
        error = refused(stage, "'mail'", conn_id=conn_id, field_mapping={"email": "mail"})
        assert {"email", "first_name", "orders"} <= set(
            error.replace(",", " ").replace("'", " ").replace(".", " ").split()
        )
        stage.segment(pa.table({"email": ["a@example.com"], "tags": [["x", "y"]]}))
        refused(stage, "'tags'", conn_id=conn_id, field_mapping={"email": "email"}, custom_fields={"TAGS": "tags"})
        stage.segment(pa.table({"email": [1, 2]}))
        refused(stage, "'email' is int64", conn_id=conn_id, field_mapping={"email": "email"})

    def test_schema_that_differs_between_files(self, stage):
        """Files of one export need one type a column."""
        first = stage.segment(pa.table({"email": ["a@example.com"], "x": [1]}), "first")
        second = stage.segment(pa.table({"email": ["b@example.com"], "x": ["1"]}), "second")
        options = {"segment": [first, second], "field_mapping": {"email": "email"}, "custom_fields": {"X": "x"}}
        refused(stage, "'x'", "second.parquet", conn_id=stage.connection("dotdigital"), **options)


class TestMatching:
    """Field mapping against what the vendor takes."""

    def test_fields(self, stage):
        """No email, a field that the vendor does not have, a field that two columns feed."""
        stage.segment(3)
        conn_id = stage.connection("dotdigital")
        refused(stage, "no column for `email`", conn_id=conn_id, field_mapping={"first_name": "first_name"})
        refused(
            stage, "'shoe_size'", "first_name", conn_id=conn_id, field_mapping={**FIELD_MAPPING, "shoe_size": "orders"}
        )
        refused(stage, "Two fields", "FIRSTNAME", conn_id=conn_id, custom_fields={"FIRSTNAME": "tier"})
        refused(
            stage,
            "both feed 'Name'",
            conn_id=stage.connection("campaign_monitor"),
            field_mapping={**FIELD_MAPPING, "full_name": "tier"},
        )

    def test_custom_fields(self, stage):
        """One that the vendor lacks, and one that it could not even have."""
        stage.segment(3)
        conn_id = stage.connection("dotdigital")
        refused(stage, "'NEWFIELD'", "`create_custom_fields=True`", conn_id=conn_id, custom_fields={"NEWFIELD": "tier"})
        long = "X" * 21
        refused(stage, long, "1 to 20", conn_id=conn_id, custom_fields={long: "tier"}, create_custom_fields=True)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"field_mapping": "{{ 'email' }}"}, "`field_mapping` is not a mapping"),
            ({"custom_fields": "[1]"}, "`custom_fields` is not a mapping"),
            ({"mode": "mirrored"}, "`mode` is 'mirrored'"),
            ({"mode": "Mirror"}, "`mode` is 'Mirror'. To fix: pass 'upsert' or 'mirror' or 'full'"),
            ({"max_profiles": "many"}, "`max_profiles` is 'many'"),
            ({"max_profiles": "0"}, "`max_profiles` is 0"),
            ({"segment": "{{ '{{ ds }}' }}/x"}, "`segment` contains a template that was not rendered: '{{ ds }}/x'"),
            (
                {"suppression_list": ["a", "{{ '{% if x %}' }}"]},
                "`suppression_list` contains a template that was not rendered",
            ),
            ({"field_mapping": {"email": "{{ '{{ c }}' }}"}}, "`field_mapping` contains a template that was not"),
            ({"as_of": "yesterday"}, "`as_of` is 'yesterday'"),
            ({"segment": " "}, "`segment` was given but is empty"),
            ({"segment": []}, "`segment` was given but is empty"),
            ({"conn_id": ""}, "no Airflow connection ''"),
        ],
    )
    def test_arguments(self, stage, arguments, message):
        """An argument that cannot be read is named with what it should be."""
        stage.segment(3)
        refused(stage, message, **{"conn_id": stage.connection("dotdigital"), **arguments})


@pytest.mark.parametrize("where", ["nope://bucket/x", "gs://bucket/x", "s3://key:secret@/x"])
def test_reports_in_a_store_that_the_worker_cannot_open(stage, where):
    """A scheme without a file system here: nothing is asked of the vendor, and no other try is made."""
    stage.segment(3)
    scheme = where.partition(":")[0]
    text = refused(
        stage,
        f"`reports_path` begins with '{scheme}://'",
        "To fix: ",
        conn_id=stage.connection("dotdigital"),
        reports_path=where,
    )
    assert "secret" not in text
    assert not stage.sim.requests(vendor="dotdigital")


def not_a_folder(kind: str, path: Path) -> Path:
    """A path that can be no folder, as `kind` says."""
    match kind:
        case "a file":
            path.write_text("notes")
        case "below a file":
            path.write_text("notes")
            path /= "a/b"
        case "a pipe":
            os.mkfifo(path)
        case "a link to nothing":
            path.symlink_to(path.parent / "gone")
        case "a link to itself":
            path.symlink_to(path)
        case "a long name":
            path /= "x" * 256
        case "a long path":
            path = path.joinpath(*["y" * 200] * 21)
    return path


KINDS = ["a file", "below a file", "a pipe", "a link to nothing", "a link to itself", "a long name", "a long path"]


@pytest.mark.parametrize("kind", KINDS)
def test_reports_at_a_path_that_can_be_no_folder(stage, tmp_path, kind):
    """No retry changes that, so none is made; nothing is asked of the vendor."""
    stage.segment(3)
    path = not_a_folder(kind, tmp_path / "reports")
    expected = ("`reports_path` leads to", "Nothing was sent. To fix: set `reports_path` to a folder")
    refused(stage, *expected, conn_id=stage.connection("dotdigital"), reports_path=str(path), retries=3)
    assert not stage.sim.requests(vendor="dotdigital")


def test_reports_at_a_relative_path(stage):
    """The API server, and a retry on another worker, would look in another folder."""
    stage.segment(3)
    expected = ("`reports_path` is 'reports', a relative path", "To fix: set `reports_path` to an absolute path")
    refused(stage, *expected, conn_id=stage.connection("dotdigital"), reports_path="reports", retries=3)


def test_a_state_root_whose_name_is_not_utf8(stage):
    """Reports and histories name run folders in JSON, so the option is refused before any call."""
    stage.segment(3)
    stage.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", f"{stage.folder}/caf\udce9")
    messages = ("`[segexport] state_path` is '", "caf\\udce9'", "bytes that are not UTF-8", "To fix: ")
    refused(stage, *messages, conn_id=stage.connection("dotdigital"))
    assert not stage.sim.requests(vendor="dotdigital")


def test_a_state_root_that_the_worker_cannot_open(stage):
    """The option is named."""
    stage.segment(3)
    stage.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", "nope://bucket/x")
    refused(stage, "`[segexport] state_path` begins with 'nope://'", "To fix: ", conn_id=stage.connection("dotdigital"))


@pytest.mark.parametrize("argument", ["segment", "suppression_list"])
@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.parquet",
        "gs://bucket/a",
        "s3://bucket/a",
        "s3://no_connection@bucket/a",
        "wasbs://c@account/x",
        "github://owner/a",
        "nonsense://a",
        "memory2://bucket/a?b",
    ],
)
def test_a_store_that_this_worker_cannot_open(stage, argument, url):
    """As on the first day, without the store's Airflow provider: no retry helps, and the error says what does."""
    stage.segment(3)
    messages = (f"begins with '{url.partition('://')[0]}://'", "this worker cannot open that store", "amazon[s3fs]")
    refused(stage, *messages, conn_id=stage.connection("dotdigital"), **{argument: url})

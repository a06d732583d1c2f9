"""Which profiles are in which segment, where the files lie, and which day a run is for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unification import data_files
from unification.data_files import data_root, newest_segment, profiles_path, write_atomically
from unification.days import as_of, day_of_run
from unification.extracts import extracts
from unification.segments import DEFINITIONS, members, write_segment
from unification.unify import PROFILE, to_table, unify

DAY = date(2026, 11, 22)
NOW = pd.Timestamp(DAY)


@pytest.fixture(scope="module")
def profiles() -> pa.Table:
    return to_table(unify({name: table.to_pandas(date_as_object=False) for name, table in extracts(5000, DAY).items()}))


def is_in(segment: str, **values: object) -> bool:
    profile = {
        "lifetime_value": 0.0,
        "orders": 0,
        "last_order_at": pd.NaT,
        "newsletter": False,
        "updated_at": NOW - pd.Timedelta(days=1),
    }
    return bool(DEFINITIONS[segment](pd.DataFrame([profile | values]), NOW).item())


def ago(days: int, seconds: int = 0) -> pd.Timestamp:
    return NOW - pd.Timedelta(days=days, seconds=seconds)


@pytest.mark.parametrize(
    ("spent", "last_order", "expected"),
    [
        (250.0, ago(365), True),
        (249.99, ago(1), False),
        (250.0, ago(365, 1), False),
        (9999.0, pd.NaT, False),
    ],
)
def test_high_value(spent, last_order, expected):
    """In: people that have spent 250 or more and ordered in the last 365 days."""
    assert is_in("high_value", lifetime_value=spent, orders=1, last_order_at=last_order) is expected


@pytest.mark.parametrize(
    ("consent", "heard_of", "expected"), [(True, ago(120), True), (True, ago(120, 1), False), (False, ago(1), False)]
)
def test_newsletter_active(consent, heard_of, expected):
    """In: people that agreed to the newsletter and were active in the last 120 days."""
    assert is_in("newsletter_active", newsletter=consent, updated_at=heard_of) is expected


@pytest.mark.parametrize(
    ("orders", "last_order", "expected"),
    [(1, ago(270, 1), True), (1, ago(270), False), (0, pd.NaT, False)],
)
def test_lapsed(orders, last_order, expected):
    """In: people that have ordered, but not in the last 270 days."""
    assert is_in("lapsed", orders=orders, last_order_at=last_order) is expected


@pytest.mark.parametrize("segment", DEFINITIONS)
def test_segments_are_neither_tiny_nor_everyone(profiles, segment):
    """Each segment takes in between 10 and 40 % of the profiles."""
    assert 0.10 <= members(profiles, segment, DAY).num_rows / profiles.num_rows <= 0.40


def test_segments_overlap_and_hold_bad_addresses(profiles):
    """A segment includes people without an address, and some people are in two segments."""
    high, active = members(profiles, "high_value", DAY), members(profiles, "newsletter_active", DAY)
    assert high["email"].null_count > 0
    assert set(high["profile_id"].to_pylist()) & set(active["profile_id"].to_pylist())


def test_a_segment_is_written_where_its_day_says(profiles, tmp_path):
    """The segment's folder holds one part with the profile's columns, and the note has all that a reader needs."""
    path = write_atomically(profiles, profiles_path(str(tmp_path), DAY))
    note = write_segment("lapsed", path, str(tmp_path), DAY)
    folder = tmp_path / "segments" / "lapsed" / "2026-11-22"
    assert note == {
        "rows": members(profiles, "lapsed", DAY).num_rows,
        "path": str(folder),
        "day": "2026-11-22",
        "as_of": "2026-11-22T00:00:00+00:00",
    }
    assert [file.name for file in folder.iterdir()] == ["part-0.parquet"]
    assert pq.read_schema(folder / "part-0.parquet").equals(PROFILE)
    assert pq.read_metadata(folder / "part-0.parquet").num_rows == note["rows"]


def test_a_reader_never_sees_half_a_file(profiles, tmp_path, monkeypatch):
    """While a file is written it lies beside its place, under a name that readers of a folder pass over."""
    target, seen = tmp_path / "day" / "part-0.parquet", []

    def write(table: pa.Table, sink: object, **kwargs: object) -> None:
        seen.extend(file.name for file in target.parent.iterdir())

    monkeypatch.setattr(data_files.pq, "write_table", write)
    write_atomically(profiles, str(target))
    assert [name.startswith(".part-0.parquet.") for name in seen] == [True]
    assert [file.name for file in target.parent.iterdir()] == ["part-0.parquet"]


def test_a_failed_write_leaves_what_was_there(profiles, tmp_path, monkeypatch):
    """When writing breaks off, the file of the last run is whole and nothing else is left."""
    target = tmp_path / "part-0.parquet"
    write_atomically(profiles, str(target))
    before = target.read_bytes()

    def break_off(table: pa.Table, sink: object, **kwargs: object) -> None:
        sink.write(b"PAR1")
        raise OSError("no space left")

    monkeypatch.setattr(data_files.pq, "write_table", break_off)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(profiles, str(target))
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


def test_object_storage_is_written_once(profiles, tmp_path, monkeypatch):
    """Where there is no renaming, the file is uploaded straight to its place."""
    monkeypatch.setattr(data_files, "_open_path", lambda target: tmp_path / target.rpartition("/")[2])
    assert write_atomically(profiles, "s3://conn@bucket/day/part-0.parquet") == "s3://conn@bucket/day/part-0.parquet"
    assert [file.name for file in tmp_path.iterdir()] == ["part-0.parquet"]


def test_the_newest_segment_is_the_latest_day_that_is_complete(profiles, tmp_path):
    """Days without a finished part do not count, and a segment that was never written has no newest day."""
    root = str(tmp_path)
    assert newest_segment(root, "lapsed") is None
    for day in ("2026-11-02", "2026-11-10"):
        write_atomically(profiles, f"{root}/segments/lapsed/{day}/part-0.parquet")
    (tmp_path / "segments" / "lapsed" / "2026-11-11").mkdir()
    assert newest_segment(root, "lapsed") == f"{root}/segments/lapsed/2026-11-10"


@pytest.mark.parametrize(
    ("environment", "root"),
    [
        ({"SEGEXPORT_DEMO_ROOT": "/data/demo/"}, "/data/demo"),
        ({"SEGEXPORT_DEMO_ROOT": "file:///data/demo"}, "/data/demo"),
        ({"SEGEXPORT_DEMO_ROOT": "s3://conn@bucket/demo"}, "s3://conn@bucket/demo"),
        ({"AIRFLOW_HOME": "/srv/airflow"}, "/srv/airflow/segexport-demo"),
        ({}, str(Path("~/airflow/segexport-demo").expanduser())),
    ],
)
def test_the_data_root_is_what_the_environment_says(monkeypatch, environment, root):
    """SEGEXPORT_DEMO_ROOT, or else a folder under AIRFLOW_HOME."""
    for name in ("SEGEXPORT_DEMO_ROOT", "AIRFLOW_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert data_root() == root


LATE = datetime(2026, 11, 22, 23, 30, tzinfo=timezone(-timedelta(hours=5)))


@pytest.mark.parametrize(
    ("partition", "requested_day", "day"),
    [
        ("2026-11-10", None, date(2026, 11, 10)),
        ("2026-11-10", "2026-11-10", date(2026, 11, 10)),
        (None, "2026-11-11", date(2026, 11, 11)),
        (None, None, date(2026, 11, 23)),
    ],
)
def test_a_run_is_for_its_partition_or_the_day_asked_for_or_today(partition, requested_day, day):
    """Without either, the day is the one on which the run was due, in UTC."""
    assert day_of_run(partition, requested_day, LATE) == day


def test_a_partition_cannot_be_run_for_another_day():
    """A backfill with a day in its parameters would write every partition to one folder: refused."""
    with pytest.raises(ValueError, match="partition 2026-11-10"):
        day_of_run("2026-11-10", "2026-11-11", LATE)


def test_data_stands_for_the_beginning_of_its_day():
    """A later day is a later moment, and a rerun of a day is the same moment."""
    assert as_of(DAY) == datetime(2026, 11, 22, tzinfo=UTC)

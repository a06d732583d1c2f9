"""The `as_of` of an export's segment, in every kind of run that Airflow has."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from airflow.sdk import Asset, PartitionedAssetTimetable
from airflow.utils.types import DagRunType
from airflow_fixtures import RUN_AFTER, export_dag
from airflow_home import IS_3_2

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.hooks.as_of import as_of, check_not_future, run_time
from airflow_provider_segexport.hooks.partition_keys import key_time

pytestmark = pytest.mark.airflow

DAY = datetime(2026, 2, 1, tzinfo=UTC)
BEFORE = DAY - timedelta(days=1)
WEEK = DAY - timedelta(days=7)
SCHEDULED, BACKFILL = {"run_type": DagRunType.SCHEDULED}, {"run_type": DagRunType.BACKFILL_JOB}
KINDS = {
    # Airflow 3.2 gives a task the key alone.
    "partition with a date": (
        {"partition_key": "eu-2026-01-31", "partition_date": BEFORE},
        None if IS_3_2 else BEFORE,
    ),
    "partition whose key has a date in it": ({"partition_key": "2026-01-31|eu"}, BEFORE),
    "partition whose key is a month": ({"partition_key": "2026-02"}, DAY),
    "partition whose key is a date": ({"partition_key": "2026-01-31"}, BEFORE),
    "partition of something else": ({"partition_key": "eu"}, None),
    "schedule": ({"logical_date": BEFORE, "data_interval": (BEFORE, DAY), **SCHEDULED}, DAY),
    "backfill": (
        {"logical_date": WEEK, "data_interval": (WEEK, WEEK + timedelta(days=1)), **BACKFILL},
        WEEK + timedelta(days=1),
    ),
    "by hand with a date": ({"logical_date": DAY, "data_interval": (DAY, DAY)}, DAY),
    "by hand or by an asset": ({}, RUN_AFTER),
}


@pytest.mark.parametrize("kind", KINDS)
def test_default(stage, kind):
    """Partition date, else the data interval's end, else the logical date, else the run's time."""
    about, expected = KINDS[kind]
    stage.segment(2)
    schedule = PartitionedAssetTimetable(assets=Asset("refreshed")) if "partition_key" in about else "@daily"
    dag = export_dag(
        f"as_of_{'partition' in kind}", stage.folder, conn_id=stage.connection("dotdigital"), schedule=schedule
    )
    run = stage.begin(dag, run_id=kind.replace(" ", "_"), **about)
    if expected is None:
        assert "failed" == run.go(dag)
        assert f"The partition key {about['partition_key']!r} holds no date, month, quarter or week" in run.error
        assert stage.nothing_was_sent()
        return
    assert "success" == run.go(dag)
    assert expected.isoformat() == run.summary()["as_of"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-02", DAY),
        ("2026-W06", datetime(2026, 2, 2, tzinfo=UTC)),
        ("2026-01-31T02:00:00", datetime(2026, 1, 31, 2, tzinfo=UTC)),
        (" 2026-01-31T02:00:00+02:00 ", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T02:00:00Z", datetime(2026, 1, 31, 2, tzinfo=UTC)),
        (datetime(2026, 1, 31), datetime(2026, 1, 31, tzinfo=UTC)),  # noqa: DTZ001 - what a DAG file may hold
        (datetime(2026, 1, 31, 2, tzinfo=timezone(timedelta(hours=2))), datetime(2026, 1, 31, tzinfo=UTC)),
        (date(2026, 1, 31), datetime(2026, 1, 31, tzinfo=UTC)),
        (20260131, datetime(2026, 1, 31, tzinfo=UTC)),
        (20260131020000, datetime(2026, 1, 31, 2, tzinfo=UTC)),
        (1769817600, datetime(2026, 1, 31, tzinfo=UTC)),
        ("1769817600000", datetime(2026, 1, 31, tzinfo=UTC)),
        ("1612010112300", datetime(2021, 1, 30, 12, 35, 12, 300_000, tzinfo=UTC)),
        (pd.Timestamp("2026-01-31 02:00:00.000000001"), datetime(2026, 1, 31, 2, tzinfo=UTC)),
        (np.datetime64("2026-01-31"), datetime(2026, 1, 31, tzinfo=UTC)),
    ],
)
def test_what_the_task_was_given_wins(given, expected):
    """A time, a day, or either as text; without a zone it is UTC."""
    context = {"logical_date": DAY, "dag_run": SimpleNamespace(run_after=RUN_AFTER)}
    assert expected == as_of(context, given)


@pytest.mark.parametrize("given", [202603, True, 20261399, 30011231, float("inf"), "nan", b"2026-01-31", [2026]])
def test_what_is_no_time_is_refused(given):
    """It is never ignored, and the run's time not taken instead."""
    with pytest.raises(InvalidSegment, match="which is no time"):
        as_of({"dag_run": SimpleNamespace(run_after=RUN_AFTER)}, given)


@pytest.mark.parametrize(
    "given",
    [
        10**400,
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=14))),
    ],
)
def test_what_no_time_in_utc_can_hold_is_refused(given):
    with pytest.raises(InvalidSegment, match="which is no time"):
        as_of({}, given)


@pytest.mark.parametrize(
    "given", ["last monday", *(f"2026-03-02T05:00:00{offset}" for offset in ("+25:00", "-15:00", "+00:60", "+0099"))]
)
def test_a_text_that_is_no_time(given):
    """The error shows what a time looks like. No time zone has the offsets that Python reads beyond 14 hours."""
    with pytest.raises(InvalidSegment, match="which is no time"):
        as_of({}, given)


@pytest.mark.parametrize(
    ("key", "day", "others"),
    [
        ("2026-03-02", (2026, 3, 2), ()),
        ("2026-03-02|eu", (2026, 3, 2), ("eu",)),
        ("eu|2026-03-02|gold", (2026, 3, 2), ("eu", "gold")),
        ("2026-01", (2026, 1, 1), ()),
        ("2026-12|eu", (2026, 12, 1), ("eu",)),
        ("2025-Q4", (2025, 10, 1), ()),
        ("eu|2026-Q1", (2026, 1, 1), ("eu",)),
        ("2026-W07", (2026, 2, 9), ()),
        ("2026-W53|eu", (2026, 12, 28), ("eu",)),
        ("2026-02-09 (W07)", (2026, 2, 9), ()),
        ("region=eu/day=2026-03-02", (2026, 3, 2), ("region=eu",)),
        ("20260302", (2026, 3, 2), ()),
        ("2026-01|2026-03-02", (2026, 1, 1), ("2026-03-02",)),
        ("2026-03-02|05", (2026, 3, 2), ("05",)),
        ("2026-03-02,2359", (2026, 3, 2), ("2359",)),
        ("20260302/20250101", (2026, 3, 2), ("20250101",)),
        ("2026-03-02;05:30", (2026, 3, 2), ("05:30",)),
        ("2026-03-02T05:00|2", (2026, 3, 2, 5), ("2",)),
        ("eu|20260302T0500Z", (2026, 3, 2, 5), ("eu",)),
    ],
)
def test_a_partition_key_is_read_by_its_dimensions(key, day, others):
    """The first dimension that is a time counts, from its period's start; the others are kept apart."""
    assert (datetime(*day, tzinfo=UTC), others) == key_time(key)


@pytest.mark.parametrize(
    "key",
    [
        *("", "eu", "2026", "2026-13", "2026-Q5", "2026-W54", "2026-02-30", "30011231", "a|b|", 7),
        *("2026-03-02-05", "2026-03-02x05", "2026-03-02_05:30", "20260302-20250101", "2026-03-02\t05"),
    ],
)
def test_a_partition_key_without_a_time(key):
    """Nothing is made up from it."""
    assert None is key_time(key)


def test_a_task_that_takes_a_run_back_needs_no_time_in_the_key():
    """It describes no segment."""
    run = SimpleNamespace(partition_key="eu", partition_date=None, run_after=RUN_AFTER)
    assert RUN_AFTER == run_time({"dag_run": run})
    with pytest.raises(InvalidSegment, match="pass `as_of`"):
        as_of({"dag_run": run}, None)
    assert DAY == as_of({"dag_run": run}, DAY)


@pytest.mark.parametrize("ahead", [timedelta(days=3), timedelta(days=40), timedelta(days=365 * 70)])
@pytest.mark.parametrize("source", ["argument", "logical date", "partition key"])
def test_a_time_in_the_future_stops_the_run(stage, ahead, source):
    """A slip such as 2062 for 2026 would make each later run an older one, for years."""
    day = datetime.now(UTC) + ahead
    options = {
        "argument": ({"as_of": day.isoformat()}, {}),
        "logical date": ({}, {"logical_date": day, "data_interval": (day, day)}),
        "partition key": ({}, {"partition_key": (day + timedelta(days=1)).date().isoformat()}),
    }
    arguments, run_facts = options[source]
    stage.segment(3)
    dag = export_dag(
        f"ahead_{source}_{ahead.days}".replace(" ", "_"),
        stage.folder,
        conn_id=stage.connection("dotdigital"),
        schedule=PartitionedAssetTimetable(assets=Asset("days")) if source == "partition key" else None,
        **arguments,
    )
    run = stage.begin(dag, **run_facts)
    run.go(dag)
    assert "which is in the future" in run.error
    assert stage.nothing_was_sent()


def test_a_day_that_has_begun_elsewhere_is_no_future():
    now = datetime(2026, 1, 1, 23, tzinfo=UTC)
    for ahead in (timedelta(0), timedelta(hours=14), timedelta(days=2), -timedelta(days=9000)):
        assert now + ahead == check_not_future(now + ahead, now)

"""Which time an export's segment stands for, in every kind of run that Airflow has."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from airflow.sdk import Asset, PartitionedAssetTimetable
from airflow.utils.types import DagRunType
from airflow_home import IS_3_2
from airflow_stage import RUN_AFTER, export_dag

from airflow_provider_segexport.errors import BadSegment
from airflow_provider_segexport.operators.as_of import as_of

pytestmark = pytest.mark.airflow

DAY = datetime(2026, 2, 1, tzinfo=UTC)
BEFORE = DAY - timedelta(days=1)
WEEK = DAY - timedelta(days=7)
SCHEDULED, BACKFILL = {"run_type": DagRunType.SCHEDULED}, {"run_type": DagRunType.BACKFILL_JOB}
KINDS = {
    # Airflow 3.2 tells a task the key alone.
    "partition with a date": (
        {"partition_key": "eu-2026-01-31", "partition_date": BEFORE},
        RUN_AFTER if IS_3_2 else BEFORE,
    ),
    "partition whose key is a date": ({"partition_key": "2026-01-31"}, BEFORE),
    "partition of something else": ({"partition_key": "eu"}, RUN_AFTER),
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
    assert "success" == run.go(dag)
    assert expected.isoformat() == run.summary()["as_of"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T02:00:00", datetime(2026, 1, 31, 2, tzinfo=UTC)),
        (" 2026-01-31T02:00:00+02:00 ", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T02:00:00Z", datetime(2026, 1, 31, 2, tzinfo=UTC)),
        (datetime(2026, 1, 31), datetime(2026, 1, 31, tzinfo=UTC)),  # noqa: DTZ001 - what a DAG file may hold
        (datetime(2026, 1, 31, 2, tzinfo=timezone(timedelta(hours=2))), datetime(2026, 1, 31, tzinfo=UTC)),
        (date(2026, 1, 31), datetime(2026, 1, 31, tzinfo=UTC)),
    ],
)
def test_what_the_task_was_given_wins(given, expected):
    """A time, a day, or either as text; without a zone it is UTC."""
    context = {"logical_date": DAY, "dag_run": SimpleNamespace(run_after=RUN_AFTER)}
    assert expected == as_of(context, given)


def test_a_text_that_is_no_time():
    """The error shows what a time looks like."""
    with pytest.raises(BadSegment, match="should be a time such as"):
        as_of({}, "last monday")

"""Refreshes the segments every night: raw extracts, one profile for each person, segments as Parquet and assets.

The extracts are generated (``unification.extracts``); with real sources, replace the task ``land_extracts``. The rules
of unification are in ``unification.unify``, the definitions of the segments in ``unification.segments``. Data is below
``SEGEXPORT_DEMO_ROOT``, or below AIRFLOW_HOME if that is not set.

Each run is for one day, its partition. The asset events of the segments have that day as their partition key, also in a
manual run. So a DAG with a ``PartitionedAssetTimetable`` runs once for each refreshed day.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from airflow.sdk import CronPartitionTimetable, Param, dag, get_current_context, task

from unification.assets import SEGMENT_ASSETS


@task(multiple_outputs=False)
def land_extracts() -> dict[str, Any]:
    """Write the extracts of CRM, web shop and newsletter at the beginning of the day."""
    # Airflow parses this file repeatedly, so tasks import heavy modules.
    from unification.data_files import data_root  # noqa: PLC0415
    from unification.days import day_of_run  # noqa: PLC0415
    from unification.extracts import extracts, write_extracts  # noqa: PLC0415

    context = get_current_context()
    params, run = context["params"], context["dag_run"]
    day = day_of_run(run.partition_key, params["day"], run.run_after)
    root = data_root()
    paths = write_extracts(extracts(params["profiles"], day), root, day)
    return {"day": day.isoformat(), "root": root, "paths": paths}


@task(multiple_outputs=False)
def unify_profiles(landed: dict[str, Any]) -> dict[str, Any]:
    """Merge the records of all sources into one profile for each person."""
    from unification.data_files import profiles_path, write_atomically  # noqa: PLC0415
    from unification.normalise import read_extract  # noqa: PLC0415
    from unification.unify import to_table, unify  # noqa: PLC0415

    day, root = landed["day"], landed["root"]
    profiles = to_table(unify({source: read_extract(path) for source, path in landed["paths"].items()}))
    path = write_atomically(profiles, profiles_path(root, date.fromisoformat(day)))
    return {"day": day, "root": root, "path": path, "rows": profiles.num_rows}


@task(multiple_outputs=False)
def refresh_segment(segment: str, profiles: dict[str, Any]) -> dict[str, Any]:
    """Write the profiles of the segment, and publish their path in the asset event."""
    from unification.segments import write_segment  # noqa: PLC0415

    day = profiles["day"]
    written = write_segment(segment, profiles["path"], profiles["root"], date.fromisoformat(day))
    context = get_current_context()
    event = context["outlet_events"][SEGMENT_ASSETS[segment]]
    event.extra = written
    # Airflow adds the partition of a partitioned run itself. For other runs, Airflow 3.2 cannot add one.
    if not context["dag_run"].partition_key and hasattr(event, "add_partitions"):
        event.add_partitions(day)
    return written


@dag(
    dag_id="unification_refresh",
    dag_display_name="Unification refresh",
    schedule=CronPartitionTimetable("0 2 * * *", timezone="UTC", key_format="%Y-%m-%d"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 1, "retry_delay": timedelta(seconds=30)},
    doc_md=__doc__,
    tags=["segexport", "example"],
    params={
        "profiles": Param(
            int(os.environ.get("SEGEXPORT_DEMO_PROFILES", "100000")),
            type="integer",
            minimum=100,
            title="Profiles",
            description="Number of people in the generated extracts. A million takes a minute and 2 GB.",
        ),
        "day": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Day",
            description="For manual runs: the day to refresh. Empty means the partition's day, or today.",
        ),
    },
)
def unification_refresh() -> None:
    """Extract, unify, and write segments; XComs hold only paths and counts."""
    profiles: Any = unify_profiles(cast("Any", land_extracts()))  # XComArg
    for name, asset in SEGMENT_ASSETS.items():
        refresh_segment.override(task_id=f"segment_{name}", outlets=[asset])(name, profiles)


unification_refresh()

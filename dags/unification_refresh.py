"""Every night: raw extracts -> one profile a person -> segments as Parquet, each segment an asset.

The extracts are made up (``unification.extracts``); with real sources, ``land_extracts`` is the task to
replace. The rules of unification stand in ``unification.unify``, the segments' definitions in
``unification.segments``. Data lies under ``SEGEXPORT_DEMO_ROOT``; where that is not set, under AIRFLOW_HOME.

Each run is for one day, its partition. The segments' events carry that day as their partition key, also from
a manual run, so that a DAG scheduled by ``PartitionedAssetTimetable`` runs once for each day refreshed.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from airflow.sdk import CronPartitionTimetable, Param, dag, get_current_context, task

from unification.assets import SEGMENT_ASSETS


@task(multiple_outputs=False)
def land_extracts() -> dict[str, Any]:
    """Write what the CRM, the web shop and the newsletter know when the day begins."""
    # Airflow parses this file over and over: what is heavy is imported when a task runs.
    from unification.days import day_of_run  # noqa: PLC0415
    from unification.extracts import extracts, write_extracts  # noqa: PLC0415
    from unification.landing import data_root  # noqa: PLC0415

    context = get_current_context()
    params, run = context["params"], context["dag_run"]
    day = day_of_run(run.partition_key, params["day"], run.run_after)
    root = data_root()
    paths = write_extracts(extracts(params["profiles"], day), root, day)
    return {"day": day.isoformat(), "root": root, "paths": paths}


@task(multiple_outputs=False)
def unify_profiles(landed: dict[str, Any]) -> dict[str, Any]:
    """Make one profile of all that the sources know of a person."""
    from unification.landing import land, profiles_path  # noqa: PLC0415
    from unification.shape import read_extract  # noqa: PLC0415
    from unification.unify import to_table, unify  # noqa: PLC0415

    day, root = landed["day"], landed["root"]
    profiles = to_table(unify({source: read_extract(path) for source, path in landed["paths"].items()}))
    path = land(profiles, profiles_path(root, date.fromisoformat(day)))
    return {"day": day, "root": root, "path": path, "rows": profiles.num_rows}


@task(multiple_outputs=False)
def refresh_segment(segment: str, profiles: dict[str, Any]) -> dict[str, Any]:
    """Write the profiles that belong to the segment, and tell its readers where."""
    from unification.segments import write_segment  # noqa: PLC0415

    day = profiles["day"]
    written = write_segment(segment, profiles["path"], profiles["root"], date.fromisoformat(day))
    context = get_current_context()
    event = context["outlet_events"][SEGMENT_ASSETS[segment]]
    event.extra = written
    # A run with a partition gives its events that partition by itself; without one, Airflow 3.2 cannot name any.
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
            description="How many persons the made-up extracts hold. A million takes a minute and 2 GB.",
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
    """Three tasks deep; only paths and counts go from task to task."""
    profiles: Any = unify_profiles(cast("Any", land_extracts()))  # a task's result to come
    for name, asset in SEGMENT_ASSETS.items():
        refresh_segment.override(task_id=f"segment_{name}", outlets=[asset])(name, profiles)


unification_refresh()

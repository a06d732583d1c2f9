"""Pairs of DAGs: one refreshes a segment for a day, its partition; one exports it for each day that was refreshed.

From day to day people join, leave and change. Each pair has an audience of its own.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import (
    DAG,
    Asset,
    CronPartitionTimetable,
    IdentityMapper,
    PartitionedAssetTimetable,
    get_current_context,
    task,
)

from airflow_provider_segexport.operators.segment_export import SegmentExportOperator

DATA = Path(os.environ["LIVE_DATA"])
FIRST = datetime(2026, 2, 1, tzinfo=UTC)
PAIRS = {"forward": (0, False), "backward": (1, False), "held_up": (2, True)}

for name, (number, latest_only) in PAIRS.items():
    segment = Asset(f"segment_{name}", uri=f"segexport://live/{name}")

    with DAG(
        f"refresh_{name}",
        schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", key_format="%Y-%m-%d"),
        start_date=FIRST,
        end_date=FIRST + timedelta(days=10),
        catchup=False,
        is_paused_upon_creation=False,
    ):

        @task(outlets=[segment])
        def refresh(name: str) -> None:
            """Persons 10 a day to 10 a day + 30; who stays is called after the day."""
            import pyarrow as pa
            import pyarrow.parquet as pq

            key = get_current_context()["partition_key"]
            start = 10 * int(key[-2:])
            (DATA / name).mkdir(parents=True, exist_ok=True)
            emails = [f"person{n}@example.com" for n in range(start, start + 30)]
            pq.write_table(
                pa.table({"email": emails, "first_name": [f"of {key}"] * 30}), DATA / name / f"{key}.parquet"
            )

        refresh(name)

    with DAG(
        f"export_{name}",
        schedule=PartitionedAssetTimetable(assets=segment, default_partition_mapper=IdentityMapper()),
        start_date=FIRST,
        max_active_runs=1,
        is_paused_upon_creation=False,
    ):
        export = SegmentExportOperator(
            task_id="export",
            conn_id="campaign_monitor_default",
            audience=f"{{{{ var.value.campaign_monitor_{number} }}}}",
            segment=f"{DATA}/{name}/{{{{ partition_key }}}}.parquet",
            field_mapping={"email": "email", "first_name": "first_name"},
            mode="mirror",
            guards={"max_removals_share": None},  # a third leaves every day
            latest_only=latest_only,
            retries=2,
            retry_delay=timedelta(seconds=1),
        )
        if name == "held_up":

            @task
            def hold() -> None:
                """Block the run, so that the runs of later days wait."""
                while not (DATA / "go").exists():
                    time.sleep(0.5)

            hold() >> export

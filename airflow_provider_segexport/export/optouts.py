"""Tells the warehouse who has opted out at the vendor: `answers, the vendor's lists -> optouts.parquet`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.export.order import Job
from airflow_provider_segexport.model import OPTED_OUT, Target
from airflow_provider_segexport.ports.engine import Engine, engine
from airflow_provider_segexport.ports.ledger import Ledger
from airflow_provider_segexport.ports.run_folder import RunFolder
from airflow_provider_segexport.ports.standing import Standing
from airflow_provider_segexport.ports.tables import write_parquet
from airflow_provider_segexport.stages import readback

SCHEMA = pa.schema(
    [
        ("email", pa.string()),
        ("reason", pa.string()),
        ("since", pa.string()),
        ("seen_at", pa.string()),
        ("source", pa.string()),
    ]
)
OVERLAP_S = 2 * 86_400.0
"""The vendors' lists are asked by days, in zones of their own: the last two are read again."""


def collect(job: Job, target: Target) -> int:
    """Write who has opted out, of those whom this provider knows; returns how many.

    The vendor's own lists are read only where the export asks for it: what answers have told costs no call.
    """
    folder, world = job.world.folder, job.world
    ledger = Ledger.of(world.root, job.vendor.name, target)
    began = world.clock()
    with engine() as sql:
        told = readback.OptOuts(sql)
        sql.run("create or replace table known (email varchar)")
        if job.order.optouts and job.vendor.optouts is not None:
            since = max(0.0, Standing.of(ledger.place).optouts_at - OVERLAP_S)
            job.drive(job.vendor.optouts(target, since, told))
            _known(sql, job, ledger)
        words = ", ".join(f"'{reason}'" for reason in sorted(OPTED_OUT))
        parts = folder.parts()
        answers = "select '' as email, '' as reason where false"
        if parts:
            answers = f"select email, reason from {sql.scan(parts)} where reason in ({words})"
        aside = f"select email, reason from {sql.scan([folder.place / 'aside.parquet'])} where reason in ({words})"
        seen = datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds")
        rows = f"""select email, any_value(reason) as reason, max(since) as since, '{seen}' as seen_at,
                min(source) as source from (
                select email, reason, '' as since, 'answer' as source from ({answers} union all {aside})
                union all select l.email, l.reason, l.since, 'list' from listed l
                semi join known k on k.email = l.email)
            group by email order by email"""
        count = write_parquet(folder.place / "optouts.parquet", sql.stream(rows), SCHEMA)
    if job.order.optouts:
        replace(Standing.of(ledger.place), optouts_at=began).write(ledger.place)
    return count


def written(folder: RunFolder) -> dict[str, Any] | None:
    """Where this run's opt-outs are, and how many; None where it came to none yet."""
    place = folder.place / "optouts.parquet"
    if not place.exists():
        return None
    with place.open("rb") as file:
        return {"path": str(place), "count": int(pq.ParquetFile(file).metadata.num_rows)}


def _known(sql: Engine, job: Job, ledger: Ledger) -> None:
    """`known(email)`: the ledger's people and this run's. Nobody else's opt-out is brought into the warehouse."""
    version = ledger.version()
    sources = [] if not version else [f"select email from {sql.scan([ledger.file(version)])}"]
    schema = pa.schema([("email", pa.string())])
    reader = job.world.folder.upserts(["email"])
    try:
        sql.table("sending", pa.RecordBatchReader.from_batches(schema, iter(reader)))
    finally:
        reader.close()
    sql.run("create or replace table known as " + " union ".join([*sources, "select email from sending"]))

"""Tells the warehouse who has opted out at the vendor: `answers, the vendor's lists -> optouts.parquet`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.export.config import ExportContext
from airflow_provider_segexport.model import OPTED_OUT, Audience, Reason
from airflow_provider_segexport.stages import readback
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.duckdb_engine import Engine, engine
from airflow_provider_segexport.storage.files import write_parquet
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.run_folder import RunFolder

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


def collect(context: ExportContext, audience: Audience) -> int:
    """Write the opt-outs of people whom this provider knows; returns how many.

    Every opt-out that the run has seen is among them, of rows that were sent or set aside and of people who were to be
    taken out. The vendor's own lists are read only where the export asks for it.
    """
    folder, environment = context.environment.run_folder, context.environment
    ledger = context.ledger(audience)
    began = environment.clock()
    with engine() as sql:
        told = readback.OptOuts(sql)
        sql.run("create or replace table known (email varchar)")
        if context.config.fetch_optouts and context.vendor.list_optouts is not None:
            _known(sql, context, ledger)
            since = max(0.0, AudienceState.of(ledger.path).optouts_at.get(context.config.export_name, 0.0) - OVERLAP_S)
            if sql.one("select count(*) from sending anti join held using (email)") != (0,):
                since = 0.0  # people who come in for the first time may have opted out at any time before
            context.run_operation(context.vendor.list_optouts(audience, since, told))
        words = ", ".join(f"'{reason}'" for reason in sorted(OPTED_OUT))
        seen_in = [folder.path / "not_sent.parquet", folder.path / "leavers_not_sent.parquet"]
        sources = [[place] for place in seen_in if place.exists()]
        sources += [parts for parts in (folder.result_files(), folder.removals.result_files()) if parts]
        seen_by_run = " union all ".join(
            f"select email, reason from {sql.scan(places)} where reason in ({words})" for places in sources
        )
        seen = datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds")
        wider = f"max(reason) filter (reason <> '{Reason.LEFT_AUDIENCE}')"
        rows = f"""select email, coalesce({wider}, any_value(reason)) as reason,
                max(since) as since, '{seen}' as seen_at,
                min(source) as source from (
                select email, reason, '' as since, 'answer' as source from ({seen_by_run})
                union all select l.email, l.reason, l.since, 'list' from listed l
                semi join known k on k.email = l.email)
            group by email order by email"""
        count = write_parquet(folder.path / "optouts.parquet", sql.stream(rows), SCHEMA)
    if context.config.fetch_optouts:
        AudienceState.of(ledger.path).read_optouts(context.config.export_name, began).write(ledger.path, ledger.fence)
    return count


def written(folder: RunFolder) -> dict[str, Any] | None:
    """Where this run's opt-outs are, and how many; None where it came to none yet."""
    place = folder.path / "optouts.parquet"
    if not place.exists():
        return None
    with place.open("rb") as file:
        return {"path": str(place), "count": int(pq.ParquetFile(file).metadata.num_rows)}


def _known(sql: Engine, context: ExportContext, ledger: Ledger) -> None:
    """`known(email)`: the ledger's people, `held`, and this run's, `sending`. No other opt-out enters the warehouse."""
    version = ledger.version()
    held = f"select email from {sql.scan([ledger.file(version)])}" if version else "select '' as email where false"
    sql.run(f"create or replace view held as {held}")
    schema = pa.schema([("email", pa.string())])
    reader = context.environment.run_folder.upserts(["email"])
    try:
        sql.table("sending", pa.RecordBatchReader.from_batches(schema, iter(reader)))
    finally:
        reader.close()
    sql.run("create or replace table known as select email from held union select email from sending")

"""Collects opt-outs recorded at the vendor for the warehouse: `batch results, vendor lists -> optouts.parquet`."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.export.config import ExportContext
from airflow_provider_segexport.model import OPTED_OUT, Audience, Reason
from airflow_provider_segexport.stages import readback
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.duckdb_engine import Engine, engine
from airflow_provider_segexport.storage.files import write_parquet
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_schema import MAYBE_MEMBER
from airflow_provider_segexport.storage.local_copies import is_written, readable
from airflow_provider_segexport.storage.opening import open_file
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.tables import LISTED_OPTOUTS

log = logging.getLogger(__name__)

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
"""Seconds before the last reading that are read again, because vendors filter lists by day in their own time zones."""

NO_PEOPLE = "(select '' as email, '' as state, null::timestamptz as added_at where false)"


def collect(context: ExportContext, audience: Audience) -> int:
    """Write the opt-outs of people in the ledger or in this run's plan, and return their number.

    They include every opt-out in the results of this run: of rows that were sent or not sent, and of people to remove.
    The vendor's own lists are read only if `fetch_optouts` is set.
    """
    folder, environment = context.environment.run_folder, context.environment
    ledger = context.ledger(audience)
    started = environment.clock()
    with engine() as sql:
        pages = readback.OptOuts(sql)
        sql.run("create or replace table known_emails (email varchar)")
        if context.config.fetch_optouts and context.vendor.list_optouts is not None:
            _create_known_emails(sql, context, ledger)
            read_at = AudienceState.of(ledger.path).optouts_at.get(context.config.export_name, 0.0)
            context.run_operation(context.vendor.list_optouts(audience, _since(sql, read_at, started), pages))
        reasons = ", ".join(f"'{reason}'" for reason in sorted(OPTED_OUT))
        not_sent = [folder.path / "not_sent.parquet", folder.path / "leavers_not_sent.parquet"]
        sources = [[path] for path in not_sent if is_written(path)]
        sources += [paths for paths in (folder.result_files(), folder.removals.result_files()) if paths]
        run_optouts = " union all ".join(
            f"select email, reason from {sql.scan(paths)} where reason in ({reasons})" for paths in sources
        )
        seen_at = datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds")
        account_wide = f"max(reason) filter (reason <> '{Reason.LEFT_AUDIENCE}')"
        rows = f"""select email, coalesce({account_wide}, any_value(reason)) as reason,
                max(since) as since, '{seen_at}' as seen_at,
                min(source) as source from (
                select email, reason, '' as since, 'answer' as source from ({run_optouts})
                union all select l.email, l.reason, l.since, 'list' from {LISTED_OPTOUTS} l
                semi join known_emails k on k.email = l.email)
            group by email order by email"""
        return write_parquet(folder.path / "optouts.parquet", sql.stream(rows), SCHEMA)


def note_reading(context: ExportContext, ledger: Ledger, at: float) -> None:
    """Record in the audience's state that the vendor's lists were read, after the report that names the opt-outs.

    If it cannot be recorded, the next run reads more of the lists.

    Args:
        context: the run.
        ledger: the audience's ledger.
        at: when the run ended, epoch seconds; people that the run has added were added before.
    """
    try:
        AudienceState.of(ledger.path).read_optouts(context.config.export_name, at).write(ledger.path, ledger.fence)
    except (OSError, SegexportError) as error:
        log.warning("Recording when opt-outs were read failed (error=%s)", type(error).__name__)


def written(folder: RunFolder) -> dict[str, Any] | None:
    """Return `path` and `count` of this run's opt-outs; None if they are not collected yet."""
    path = folder.path / "optouts.parquet"
    if not is_written(path):
        return None
    with open_file(readable(path)) as file:
        return {"path": str(path), "count": int(pq.ParquetFile(file).metadata.num_rows)}


def _since(sql: Engine, read_at: float, now: float) -> float:
    """Return the epoch seconds since which opt-outs are read; 0 if a person may have opted out at any time before.

    That is a person that this run sends, or that the ledger holds as a member, and that no export had added at the last
    reading.

    Args:
        sql: holds `run_emails` and `ledger_people`.
        read_at: when this export read the lists last; 0 if it has not.
        now: epoch seconds. If the last reading is later, a clock was wrong.
    """
    if not 0 < read_at <= now:
        return 0.0
    added_before = f"select email from ledger_people where added_at <= make_timestamptz({int(read_at * 1e6)})"
    people = f"select email from run_emails union all select email from ledger_people where state in {MAYBE_MEMBER}"
    count = sql.single_row(f"select count(*) from ({people}) anti join ({added_before}) using (email)")[0]
    return 0.0 if count else max(0.0, read_at - OVERLAP_S)


def _create_known_emails(sql: Engine, context: ExportContext, ledger: Ledger) -> None:
    """Create `ledger_people(email, state, added_at)`, `run_emails`, and `known_emails`, the people of both.

    Only opt-outs of these people are written.
    """
    ledger = ledger.pinned()
    version = ledger.version()
    rows = sql.scan([ledger.file(version)]) if version else NO_PEOPLE
    sql.run(f"create or replace view ledger_people as select email, state, added_at from {rows}")
    schema = pa.schema([("email", pa.string())])
    reader = context.environment.run_folder.upserts(["email"])
    try:
        sql.table("run_emails", pa.RecordBatchReader.from_batches(schema, iter(reader)))
    finally:
        reader.close()
    sql.run(
        "create or replace table known_emails as select email from ledger_people union select email from run_emails"
    )

"""Collects opt-outs recorded at the vendor for the warehouse: `batch results, vendor lists -> optouts.parquet`."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.errors import DamagedState, SegexportError
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
            since = _since(sql, ledger, context.config.export_name, started)
            context.run_operation(context.vendor.list_optouts(audience, since, pages))
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


def note_reading(context: ExportContext, ledger: Ledger, at: float, version: int) -> None:
    """Record in the audience's state that the vendor's lists were read, after the report that names the opt-outs.

    If it cannot be recorded, the next run reads more of the lists.

    Args:
        context: the run.
        ledger: the audience's ledger.
        at: when the run ended, epoch seconds.
        version: the version of the ledger that the run wrote.
    """
    try:
        state = AudienceState.of(ledger.path).read_optouts(context.config.export_name, at, version)
        state.write(ledger.path, ledger.fence)
    except (OSError, SegexportError) as error:
        log.warning("Recording when opt-outs were read failed (error=%s)", type(error).__name__)


def written(folder: RunFolder) -> dict[str, Any] | None:
    """Return `path` and `count` of this run's opt-outs; None if they are not collected yet."""
    path = folder.path / "optouts.parquet"
    if not is_written(path):
        return None
    with open_file(readable(path)) as file:
        return {"path": str(path), "count": int(pq.ParquetFile(file).metadata.num_rows)}


def _since(sql: Engine, ledger: Ledger, export: str, now: float) -> float:
    """Return the epoch seconds since which opt-outs are read; 0 if a person may have opted out at any time before.

    That is a person that this run sends, or that an export has added, and that no export had added at the last reading.
    Versions of the ledger are compared and not times, because the clocks of two workers may differ.

    Args:
        sql: holds `run_emails` and `ledger_people`.
        ledger: the audience's ledger.
        export: name of the export.
        now: epoch seconds. If the last reading is later, a clock was wrong.
    """
    state = AudienceState.of(ledger.path)
    read_at, version = state.optouts_at.get(export, 0.0), state.optouts_version.get(export, 0)
    if not (0 < read_at <= now and version in ledger.versions()):
        return 0.0
    try:
        ledger.check(version)
    except DamagedState:
        return 0.0
    is_added = f"(state in {MAYBE_MEMBER} or added_at is not null)"
    added_before = f"select email from {sql.scan([ledger.file(version)])} where {is_added}"
    people = f"select email from run_emails union all select email from ledger_people where {is_added}"
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

"""Decide which rows a run sends, and write them: `CLEAN_ROWS -> upserts.arrow, not_sent.parquet, Plan`.

One record batch of `upserts.arrow` is one batch at the vendor, so a resumed run reads only the batches that it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import pyarrow as pa

from airflow_provider_segexport.model import Outcome, Reason
from airflow_provider_segexport.storage.arrow import int_array, string_array
from airflow_provider_segexport.storage.batching import cut_batches, planned_batch_id
from airflow_provider_segexport.storage.duckdb_engine import Engine
from airflow_provider_segexport.storage.files import ArrowFileWriter, write_parquet
from airflow_provider_segexport.storage.ledger_schema import counts_attempts
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.plan import CleanResult, Plan, RowSql
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.tables import (
    CLEAN_ROWS,
    EMAIL_KEYS,
    LAST_REJECTIONS,
    LEDGER_HASHES,
    LEDGER_MEMBERS,
    NOT_SENT,
    REMOVED_EMAILS,
    add_not_sent,
)
from airflow_provider_segexport.vendors.base import Limits

SCHEMA = pa.schema([("row", pa.int64()), ("email", pa.string()), ("row_hash", pa.uint64()), ("item", pa.string())])

NOT_SENT_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("email", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("field", pa.string()),
    ]
)

MAX_ATTEMPTS = 3
"""Maximum times that a rejected row is sent unchanged in `ledger_schema.ATTEMPTS_DAYS`."""

# The addresses of the few rows are selected first. A direct join with all addresses takes 40 MiB and twice the time.
NOT_SENT_SQL = f"""select n.row, k.email, n.outcome, n.reason, n.field
    from {NOT_SENT} n join (select row, email from {EMAIL_KEYS} semi join {NOT_SENT} using (row)) k using (row)
    order by n.row"""


def upsert_sql(encoded: RowSql, *, against_ledger: bool) -> str:
    """Return SQL of the rows to send. Rows that the ledger holds unchanged are left out before their JSON is built.

    Args:
        encoded: SQL of a row's JSON and hash.
        against_ledger: leave out rows that the ledger holds with the same content.
    """
    rows = f"select *, {encoded.hash} as row_hash from {encoded.rows}"
    if against_ledger:
        rows = f"""select c.* from ({rows}) c left join {LEDGER_HASHES} l on l.email = c.email
            where l.row_hash is distinct from c.row_hash"""
    return f"select row, email, row_hash, {encoded.item} as item from ({rows})"


def withhold_recently_rejected(engine: Engine, encoded: RowSql, now: float) -> int:
    """Withhold rows that were rejected `MAX_ATTEMPTS` times with the same content; return their number.

    Args:
        engine: holds `encoded.rows`, `NOT_SENT`, `LAST_REJECTIONS` and `LEDGER_HASHES`.
        encoded: SQL of a row's hash. A row whose content has changed since the rejection is sent, and a row that was
            delivered as it is counts as unchanged.
        now: epoch seconds.
    """
    if not _find_retry_exhausted(engine, now):
        return 0
    engine.run(
        f"""create or replace table held_rows as
        select c.row from (
            select row, email, {encoded.hash} as row_hash from {encoded.rows} c
            semi join retry_exhausted r on r.email = c.email) c
        join retry_exhausted r on r.email = c.email left join last_delivered d on d.email = c.email
        where c.row_hash = r.rejected_hash and c.row_hash is distinct from d.row_hash"""
    )
    add_not_sent(engine, "held_rows", Outcome.WITHHELD, Reason.REJECTED_RECENTLY)
    return int(engine.single_row("select count(*) from held_rows")[0])


def _find_retry_exhausted(engine: Engine, now: float) -> bool:
    """Create `retry_exhausted(email, rejected_hash)` and `last_delivered(email, row_hash)`.

    Returns:
        Whether `retry_exhausted` has a row.
    """
    engine.run(
        f"""create or replace table retry_exhausted as select email, rejected_hash from {LAST_REJECTIONS}
        where attempts >= {MAX_ATTEMPTS}
            and {counts_attempts("first_rejected_at", f"make_timestamptz({int(now * 1e6)})")}"""
    )
    engine.run(
        f"""create or replace table last_delivered as
        select email, row_hash from {LEDGER_HASHES} semi join retry_exhausted using (email)"""
    )
    return bool(engine.single_row("select count(*) from retry_exhausted")[0])


def write_returning(
    engine: Engine, path: StoragePath, erased: Sequence[str] = (), removed: str = REMOVED_EMAILS
) -> int:
    """Write the numbers of rows whose people an export or an erasure removed to a file; return how many.

    Args:
        engine: holds `CLEAN_ROWS`, `removed` and, with `erased`, `LEDGER_MEMBERS`.
        path: the file.
        erased: SHA-256 of the addresses of people that an erasure removed. People who have been added since are left
            out.
        removed: name of a table with the column `email`: people that an export removed.
    """
    rows = f"select c.row from {CLEAN_ROWS} c semi join {removed} r on r.email = c.email"
    if erased:
        engine.table("erased_hashes", pa.table({"email_sha256": string_array(erased)}))
        rows += f""" union
            select c.row from (select row, email from {CLEAN_ROWS} anti join {LEDGER_MEMBERS} using (email)) c
            semi join erased_hashes e on e.email_sha256 = sha256(c.email)"""
    return write_parquet(path, engine.stream(rows), pa.schema([("row", pa.int64())]))


def count_known(engine: Engine, folder: RunFolder) -> int:
    """Count the plan's people that the ledger has as members. The join hashes the plan, usually the smaller side."""
    with closing(folder.upserts(["email"])) as rows:
        schema = pa.schema([SCHEMA.field("email")])
        engine.table("planned_emails", pa.RecordBatchReader.from_batches(schema, iter(rows)))
    sql = f"select count(*) from {LEDGER_HASHES} l semi join planned_emails p on p.email = l.email"
    return int(engine.single_row(sql)[0])


def write_plan_rows(engine: Engine, sql: str, limits: Limits, path: StoragePath, cleaned: CleanResult) -> Plan:
    """Write the rows to send, in batches, and the rows that are not sent.

    The files are part of a plan only after the caller has written `plan.json`.

    Args:
        engine: holds `NOT_SENT` and `EMAIL_KEYS`.
        sql: SQL of the rows to send (`upsert_sql`).
        limits: the vendor's maximum rows and bytes of a batch.
        path: the run folder.
        cleaned: counts of the cleaning.
    """
    names: list[str] = []
    rows = size = 0
    too_large: list[int] = []
    with ArrowFileWriter(path / "upserts.arrow", SCHEMA) as out:
        for batch in cut_batches(engine.stream(sql), limits, too_large):
            names.append(planned_batch_id(batch))
            rows += batch.num_rows
            size += batch.column("item").nbytes
            out.write(batch)
    if too_large:
        engine.table("too_large_rows", pa.table({"row": int_array(too_large)}))
        add_not_sent(engine, "too_large_rows", Outcome.REJECTED, Reason.ROW_TOO_LARGE)
    write_parquet(path / "not_sent.parquet", engine.stream(NOT_SENT_SQL), NOT_SENT_SCHEMA)
    not_sent: dict[str, dict[str, int]] = {}
    counts = f"select outcome, reason, count(*) from {NOT_SENT} group by all order by all"
    for outcome, reason, count in engine.rows(counts):
        not_sent.setdefault(outcome, {})[reason] = count
    withheld_or_rejected = sum(sum(reasons.values()) for reasons in not_sent.values())
    return Plan(
        profiles=cleaned.profiles,
        upsert_rows=rows,
        unchanged=cleaned.profiles - withheld_or_rejected - rows,
        batches=tuple(names),
        bytes=size,
        not_sent=not_sent,
        warnings=cleaned.warnings,
    )

"""Decides and freezes what this run will do: `clean rows -> upserts.arrow, not_sent.parquet, plan.json`.

One record batch of `upserts.arrow` is one batch at the vendor, so that a resumed run reads just those that it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import pyarrow as pa

from airflow_provider_segexport.model import Outcome, Reason
from airflow_provider_segexport.storage.arrow import int_array, string_array
from airflow_provider_segexport.storage.batching import batch_id_of, cut
from airflow_provider_segexport.storage.duckdb_engine import Engine, quoted
from airflow_provider_segexport.storage.files import ArrowFileWriter, write_parquet
from airflow_provider_segexport.storage.ledger import TRIES_DAYS
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.plan import CleanResult, Plan, RowSql
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.vendors.base import Limits

SCHEMA = pa.schema([("row", pa.int64()), ("email", pa.string()), ("row_hash", pa.uint64()), ("item", pa.string())])


def upsert_sql(encoded: RowSql, *, against_ledger: bool, again: Sequence[str] = ()) -> str:
    """SQL of the rows to send. The JSON of a row that is unchanged since the ledger is not even made.

    Args:
        encoded: what is sent of a row.
        against_ledger: leave out rows that the ledger holds with the same content.
        again: columns whose values the vendor has lost; a row with a value in one of them is sent all the same.
    """
    rows = f"select *, {encoded.hash} as row_hash from clean"
    if against_ledger:
        lost = "".join(f" or c.{quoted(name)} is not null" for name in again)
        rows = f"""select c.* from ({rows}) c left join ledger l on l.email = c.email
            where l.row_hash is distinct from c.row_hash{lost}"""
    return f"select row, email, row_hash, {encoded.item} as item from ({rows})"


MOST_TRIES = 3
"""A row that was rejected is tried again as it is at most so often in `ledger.TRIES_DAYS`."""


def withhold_recently_rejected(engine: Engine, encoded: RowSql, now: float) -> int:
    """Set aside rows that were rejected as they are, often enough of late; returns how many.

    Args:
        engine: holds `clean` and what the ledger tells, `ledger` and
            `refusals(email, rejected_hash, attempts, first_rejected_at)`.
        encoded: what is sent of a row; one whose content has changed is tried, and one that was delivered is unchanged.
        now: epoch seconds.
    """
    engine.run(
        f"""create or replace table waiting as
        select c.row from (
            select row, email, {encoded.hash} as row_hash from clean semi join often on often.email = clean.email) c
        join often r on r.email = c.email left join delivered d on d.email = c.email
        where c.row_hash = r.rejected_hash and c.row_hash is distinct from d.row_hash"""
        if _retry_exhausted(engine, now)
        else "create or replace table waiting (row bigint)"
    )
    engine.run("insert into aside select row, ?, ?, '' from waiting", [Outcome.WITHHELD, Reason.REJECTED_RECENTLY])
    return int(engine.one("select count(*) from waiting")[0])


def _retry_exhausted(engine: Engine, now: float) -> bool:
    """`often`: whom the ledger tells to have been rejected as often as is allowed, not long ago."""
    engine.run(
        f"""create or replace table often as select email, rejected_hash from refusals
        where attempts >= {MOST_TRIES}
            and first_rejected_at > make_timestamptz({int(now * 1e6)}) - interval {TRIES_DAYS} days"""
    )
    engine.run("create or replace table delivered as select email, row_hash from ledger semi join often using (email)")
    return bool(engine.one("select count(*) from often")[0])


def write_returning(engine: Engine, path: StoragePath, erased: Sequence[str] = ()) -> int:
    """Write which rows are of people whom an export or an erasure took out; returns how many.

    Args:
        engine: holds `clean`, `removed` and, with `erased`, `ledger_in`.
        path: of the file.
        erased: SHA-256 of the addresses of people whom an erasure took out. A person who is in again is none of them.
    """
    rows = "select c.row from clean c semi join removed r on r.email = c.email"
    if erased:
        engine.table("erased", pa.table({"mark": string_array(erased)}))
        rows += """ union select c.row from (select row, email from clean anti join ledger_in using (email)) c
            semi join erased e on e.mark = sha256(c.email)"""
    return write_parquet(path, engine.stream(rows), pa.schema([("row", pa.int64())]))


def count_known(engine: Engine, folder: RunFolder) -> int:
    """How many of the plan's people the ledger has as in. The plan is hashed, which is mostly the small side."""
    with closing(folder.upserts(["email"])) as rows:
        schema = pa.schema([SCHEMA.field("email")])
        engine.table("planned", pa.RecordBatchReader.from_batches(schema, iter(rows)))
    return int(engine.one("select count(*) from ledger l semi join planned p on p.email = l.email")[0])


def write_plan_rows(engine: Engine, sql: str, limits: Limits, path: StoragePath, cleaned: CleanResult) -> Plan:
    """Write the plan's rows. They count once `plan.json`, which the caller writes last, is there."""
    names: list[str] = []
    sent = size = 0
    too_large: list[int] = []
    with ArrowFileWriter(path / "upserts.arrow", SCHEMA) as out:
        for batch in cut(engine.stream(sql), limits, too_large):
            names.append(batch_id_of(batch))
            sent += batch.num_rows
            size += batch.column("item").nbytes
            out.write(batch)
    if too_large:
        engine.table("too_large", pa.table({"row": int_array(too_large)}))
        engine.run("insert into aside select row, ?, ?, '' from too_large", [Outcome.REJECTED, Reason.ROW_TOO_LARGE])
    write_parquet(path / "not_sent.parquet", engine.stream(ASIDE_ROWS), ASIDE)
    aside: dict[str, dict[str, int]] = {}
    for outcome, reason, count in engine.rows("select outcome, reason, count(*) from aside group by all order by all"):
        aside.setdefault(outcome, {})[reason] = count
    set_aside = sum(sum(reasons.values()) for reasons in aside.values())
    return Plan(
        profiles=cleaned.profiles,
        upsert_rows=sent,
        unchanged=cleaned.profiles - set_aside - sent,
        batches=tuple(names),
        bytes=size,
        not_sent=aside,
        warnings=cleaned.warnings,
    )


ASIDE = pa.schema(
    [
        ("row", pa.int64()),
        ("email", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("field", pa.string()),
    ]
)


# The addresses of the few first: joined to all of them at once, DuckDB takes 40 MiB and twice the time.
ASIDE_ROWS = """select a.row, k.email, a.outcome, a.reason, a.field
    from aside a join (select row, email from keys semi join aside using (row)) k using (row) order by a.row"""

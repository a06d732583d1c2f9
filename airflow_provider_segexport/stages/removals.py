"""Find the people that this run may remove: `ledger, segment -> leavers, leavers_not_sent`.

Only people that the ledger says an export added are ever removed. A row that cannot be sent this time (an invalid
value, a recent rejection) is still in the segment, so its person has not left. A person who is withheld for missing
consent or by a suppression list has left.

This stage owns `leavers(email, sharers_mask)`, the people to remove, `leavers_not_sent(email, outcome,
reason)`, and the changes that the run makes in the ledger: `sharers_changed(email, sharers_mask, row_hash)`,
`bars_changed(email, barred)` and `existing_members(email)`.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from airflow_provider_segexport.model import WITHDRAWN, WITHHELD_HERE, BatchKind, Reason
from airflow_provider_segexport.storage.batching import cut_batches, planned_batch_id
from airflow_provider_segexport.storage.duckdb_engine import Engine, hashed, listed
from airflow_provider_segexport.storage.files import ArrowFileWriter, write_parquet
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.plan import RowSql
from airflow_provider_segexport.storage.tables import (
    AUDIENCE_MEMBERS,
    BARRED_EMAILS,
    CLEAN_ROWS,
    LEDGER_MEMBERS,
    LEFT_ON_THEIR_OWN,
    NOT_SENT,
    SUPPRESSED_MEMBERS,
    VALID_EMAIL_ROWS,
)
from airflow_provider_segexport.vendors.base import Limits

SCHEMA = pa.schema([("row", pa.int64()), ("email", pa.string()), ("row_hash", pa.uint64()), ("item", pa.string())])
SHARERS_SCHEMA = pa.schema([("email", pa.string()), ("sharers_mask", pa.uint64()), ("row_hash", pa.uint64())])
BARS_SCHEMA = pa.schema([("email", pa.string()), ("barred", pa.uint64())])
EXISTING_SCHEMA = pa.schema([("email", pa.string())])
NOT_SENT_SCHEMA = pa.schema([("email", pa.string()), ("outcome", pa.string()), ("reason", pa.string())])

MAX_BATCH_BYTES = 10_000_000
"""Addresses and ids are short, so a batch of removals is limited by rows, not by bytes."""

KEPT, ALREADY_GONE = "kept", "already_gone"
"""Outcomes of leavers who are not sent."""

SHARED = "shared"
EXISTED = "existed"
"""Reasons to keep a leaver: another export has a claim; the person was a member before any export."""

SEGMENT_EMAILS_SQL = f"""create or replace view segment_emails as
    select v.email from {VALID_EMAIL_ROWS} v anti join (
        select row from {NOT_SENT} where reason in ({listed(WITHDRAWN)})) n on n.row = v.row"""

WITHHELD_EMAILS_SQL = f"""create or replace table withheld_emails as
    select distinct v.email from {VALID_EMAIL_ROWS} v semi join (
        select row from {NOT_SENT} where reason in ({listed(WITHHELD_HERE)})) n on n.row = v.row
    union select email from {SUPPRESSED_MEMBERS}"""
"""People who must not be mailed, by this export's own segment and suppression lists. People of the ledger are included
if `SUPPRESSED_MEMBERS` was matched."""

NOT_WITHDRAWN = f"email not in (select email from withheld_emails union all select email from {BARRED_EMAILS})"
"""SQL condition: the person may stay in the audience."""


def create_tables(engine: Engine) -> None:
    """Create `leavers`, `leavers_not_sent` and `sharers_changed` without a row."""
    engine.run("create or replace table leavers (email varchar, sharers_mask ubigint)")
    engine.run("create or replace table leavers_not_sent (email varchar, outcome varchar, reason varchar)")
    engine.run("create or replace table sharers_changed (email varchar, sharers_mask ubigint, row_hash ubigint)")


def find(engine: Engine) -> int:
    """Fill `leavers` with people who are members by the ledger and not in the segment; return their number."""
    engine.run(SEGMENT_EMAILS_SQL)
    add_leavers(
        engine,
        f"""(select l.email, l.sharers_mask from {LEDGER_MEMBERS} l
            anti join segment_emails s on s.email = l.email)""",
    )
    return count(engine)


def add_leavers(engine: Engine, people: str) -> None:
    """Add people to `leavers`. `people` is SQL of a relation with the columns email and sharers_mask."""
    engine.run(f"insert into leavers select email, sharers_mask from {people}")


def change_sharers(engine: Engine, people: str, sharers_mask: str, row_hash: str = "null") -> None:
    """Record changed claims for the ledger.

    Args:
        engine: holds `sharers_changed`.
        people: SQL after `from`: a relation with the column `email`, and conditions.
        sharers_mask: SQL of the new claims; `null` for no change.
        row_hash: SQL of the content that counts as delivered by this export; `null` for no change.
    """
    engine.run(f"insert into sharers_changed select email, {sharers_mask}, {row_hash} from {people}")


def count(engine: Engine) -> int:
    """Count the people to remove."""
    return int(engine.single_row("select count(*) from leavers")[0])


def keep(engine: Engine, reason: str, where: str = "true") -> int:
    """Keep leavers in the audience; return their number.

    Args:
        engine: holds the leavers.
        reason: why they stay, for the report.
        where: SQL condition on the leavers that stay.
    """
    return _drop(engine, KEPT, reason, where)


def _drop(engine: Engine, outcome: str, reason: str, where: str) -> int:
    """Move the leavers that meet an SQL condition to `leavers_not_sent`; return their number."""
    before = count(engine)
    engine.run(f"insert into leavers_not_sent select email, ?, ? from leavers where {where}", [outcome, reason])
    engine.run(f"delete from leavers where {where}")
    return before - count(engine)


def update_sharers(engine: Engine, bit: int, *, release: bool) -> None:
    """Find the claims of this export that change, and keep leavers on which another export has a claim.

    A leaver is not kept if this export withholds the person for missing consent or as suppressed, or if any export has
    barred the person, because a withdrawal holds for all exports. A person without any claim left, because the last
    export was released, is removed by any export.

    Args:
        engine: holds `LEDGER_MEMBERS`, `BARRED_EMAILS`, `SUPPRESSED_MEMBERS` and `leavers`.
        bit: this export's bit in `sharers_mask`.
        release: this export gives up its claim on leavers; only mode `mirror` does.
    """
    own, others = f"(sharers_mask & {bit}::ubigint)", f"(sharers_mask & ~({bit}::ubigint))"
    if engine.single_row(f"select count(*) from {LEDGER_MEMBERS} where {own} = 0") != (0,):
        engine.run(SEGMENT_EMAILS_SQL)
        unclaimed = f"(select email, sharers_mask from {LEDGER_MEMBERS} where {own} = 0) l"
        people = f"{unclaimed} semi join segment_emails s on s.email = l.email"
        change_sharers(engine, people, f"sharers_mask | {bit}::ubigint")
    if release:
        engine.run(WITHHELD_EMAILS_SQL)
        engine.run(f"delete from leavers where {own} = 0 and sharers_mask <> 0 and {NOT_WITHDRAWN}")
        shared = f"{others} <> 0 and {NOT_WITHDRAWN}"
        change_sharers(engine, f"leavers where {shared}", others)
        keep(engine, SHARED, shared)


def keep_existing(engine: Engine, bit: int) -> None:
    """Keep leavers who were members before any export added them; this export gives up its claim on them.

    A person who is withheld or barred is removed all the same.

    Args:
        engine: holds `LEDGER_MEMBERS`, `BARRED_EMAILS`, `leavers` and `withheld_emails`.
        bit: this export's bit in `sharers_mask`.
    """
    if engine.single_row(f"select count(*) from {LEDGER_MEMBERS} where existed") == (0,):
        return
    existed = f"email in (select email from {LEDGER_MEMBERS} where existed) and {NOT_WITHDRAWN}"
    engine.run(f"delete from leavers where (sharers_mask & {bit}::ubigint) = 0 and {existed}")
    change_sharers(engine, f"leavers where {existed}", f"sharers_mask & ~({bit}::ubigint)")
    keep(engine, EXISTED, existed)


def update_bars(engine: Engine, bit: int) -> None:
    """Create `bars_changed(email, barred)`: people that this export starts or ceases to bar from the audience.

    An export bars a person that its segment withholds for missing consent, or who is in one of its suppression lists.
    The bar ends when a later run of the same export has the person in its segment and withholds them for neither
    reason.

    Args:
        engine: holds `VALID_EMAIL_ROWS`, `NOT_SENT`, `BARRED_EMAILS` and `SUPPRESSED_MEMBERS`.
        bit: this export's bit in `barred`.
    """
    engine.run(WITHHELD_EMAILS_SQL)
    own = f"(barred & {bit}::ubigint) <> 0"
    engine.run(
        f"""create or replace table bars_changed as
        select w.email, coalesce(b.barred, 0)::ubigint | {bit}::ubigint as barred
        from withheld_emails w left join {BARRED_EMAILS} b on b.email = w.email where not coalesce({own}, false)"""
    )
    if engine.single_row(f"select count(*) from {BARRED_EMAILS} where {own}") != (0,):
        engine.run(
            f"""insert into bars_changed select b.email, b.barred & ~({bit}::ubigint)
            from (select * from {BARRED_EMAILS} where {own}) b
            semi join {VALID_EMAIL_ROWS} v on v.email = b.email
            anti join withheld_emails w on w.email = b.email"""
        )


def lift_bars(engine: Engine) -> None:
    """Create `bars_changed`: no export bars the people in `CLEAN_ROWS` any more."""
    engine.run(f"create or replace table bars_changed as select email, 0::ubigint as barred from {CLEAN_ROWS}")


def find_existing(engine: Engine, *, reads_again: bool) -> None:
    """Create `existing_members`: people of the segment who are members, and not by an export.

    People whose rows are not sent this time are included, unless the next run reads the audience again.

    Args:
        engine: holds `CLEAN_ROWS`, `VALID_EMAIL_ROWS`, `AUDIENCE_MEMBERS` and `LEDGER_MEMBERS`.
        reads_again: each run reads the audience.
    """
    rows = CLEAN_ROWS if reads_again else VALID_EMAIL_ROWS
    engine.run(
        f"""create or replace table existing_members as select distinct c.email from {rows} c
        semi join {AUDIENCE_MEMBERS} m on m.email = c.email anti join {LEDGER_MEMBERS} l on l.email = c.email"""
    )


def find_already_delivered(engine: Engine, content: RowSql) -> None:
    """Record people that got from another export the same content that this export would send.

    Nothing is sent to them. The content counts as delivered by this export too, so when the other export changes its
    values later, this export does not overwrite them with its old ones.

    Args:
        engine: holds `LEDGER_MEMBERS` and `content.rows`.
        content: SQL of a row's hash.
    """
    shared = f"select email as shared_email from {LEDGER_MEMBERS} where other_hash is not null"
    rows = f"""(select c.email, c.row_hash from (
            select email, {content.hash} as row_hash from {content.rows} semi join ({shared}) on shared_email = email) c
        join {LEDGER_MEMBERS} l on l.email = c.email where l.other_hash = c.row_hash)"""
    change_sharers(engine, rows, "null", "row_hash")


def drop_left(engine: Engine) -> None:
    """Drop leavers who are not active members of the audience that was read: there is nothing to remove."""
    inactive = f"(select email from {AUDIENCE_MEMBERS} where not active)"
    for people, reason in ((LEFT_ON_THEIR_OWN, Reason.LEFT_AUDIENCE), (inactive, Reason.UNSUBSCRIBED)):
        _drop(engine, ALREADY_GONE, reason, f"email in (select email from {people})")


def write_batches(engine: Engine, path: StoragePath, limits: Limits) -> tuple[str, ...]:
    """Write the people to remove in batches, in the order of their addresses. An item is an address, at every vendor.

    Args:
        engine: holds `leavers`.
        path: the file.
        limits: the vendor's limits of a batch.

    Returns:
        The ids of the batches.
    """
    sql = f"""select (row_number() over (order by email) - 1)::bigint as row, email,
            {hashed("email")} as row_hash, email as item
        from leavers order by email"""
    names: list[str] = []
    with ArrowFileWriter(path, SCHEMA) as out:
        for batch in cut_batches(engine.stream(sql), replace(limits, batch_bytes=MAX_BATCH_BYTES), []):
            names.append(planned_batch_id(batch, BatchKind.REMOVE))
            out.write(batch)
    return tuple(names)


def write_not_sent(engine: Engine, path: StoragePath) -> dict[str, int]:
    """Write the leavers who are not sent to a file; return their number by outcome."""
    write_parquet(path, engine.stream("select * from leavers_not_sent order by email"), NOT_SENT_SCHEMA)
    return dict(engine.rows("select outcome, count(*) from leavers_not_sent group by all"))


def write_sharers(engine: Engine, path: StoragePath) -> None:
    """Write the changes in this export's claims and delivered content."""
    rows = """select email, max(sharers_mask) as sharers_mask, max(row_hash) as row_hash
        from sharers_changed group by email order by email"""
    write_parquet(path, engine.stream(rows), SHARERS_SCHEMA)


def write_bars(engine: Engine, path: StoragePath) -> None:
    """Write the changes in this export's bars."""
    write_parquet(path, engine.stream("select email, barred from bars_changed order by email"), BARS_SCHEMA)


def write_existing(engine: Engine, path: StoragePath) -> None:
    """Write the people who were members before any export added them."""
    write_parquet(path, engine.stream("select email from existing_members order by email"), EXISTING_SCHEMA)

"""Finds whom this run may take out: `ledger, segment -> leavers, held`. Only people whom the ledger says we put there.

A row that cannot be sent this time (a bad value, a rejection that waits) is still in the segment: its person has not
left. Who is withheld for want of consent, or by a suppression file, has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from airflow_provider_segexport.model import WITHDRAWN, WITHHELD_HERE, BatchKind, Member, Reason
from airflow_provider_segexport.storage.arrow import string_array
from airflow_provider_segexport.storage.batching import batch_id_of, cut
from airflow_provider_segexport.storage.duckdb_engine import Engine, hashed, listed
from airflow_provider_segexport.storage.files import ArrowFileWriter, write_parquet
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.vendors.base import Limits

SCHEMA = pa.schema([("row", pa.int64()), ("email", pa.string()), ("row_hash", pa.uint64()), ("item", pa.string())])
HOLDS = pa.schema([("email", pa.string()), ("sharers_mask", pa.uint64()), ("row_hash", pa.uint64())])
BARS = pa.schema([("email", pa.string()), ("barred", pa.uint64())])
EXISTING = pa.schema([("email", pa.string())])
ASIDE = pa.schema([("email", pa.string()), ("outcome", pa.string()), ("reason", pa.string())])
MOST_BYTES = 10_000_000
"""Addresses and ids are short: rows bound a call, not bytes."""

KEPT, ALREADY_GONE = "kept", "already_gone"
SHARED = "shared"
EXISTED = "existed"

PRESENT = f"""create or replace view present as
    select a.email from addressed a anti join (
        select row from aside where reason in ({listed(WITHDRAWN)})) x on x.row = a.row"""

WITHHELD = f"""create or replace table withheld as
    select distinct a.email from addressed a semi join (
        select row from aside where reason in ({listed(WITHHELD_HERE)})) x on x.row = a.row
    union select email from suppressed_members"""
"""People who must not be mailed, by this export's own segment and suppression lists; where others may hold them, also
people of the ledger."""


def find(engine: Engine) -> int:
    """`leavers(email, contact_id)`: in the audience by the ledger, and not in the segment; returns how many."""
    engine.run(PRESENT)
    engine.run(
        """create or replace table leavers as
        select l.email, l.contact_id, l.sharers_mask from ledger_in l anti join present p on p.email = l.email"""
    )
    return count(engine)


def count(engine: Engine) -> int:
    """How many leavers there are."""
    return int(engine.one("select count(*) from leavers")[0])


def create_tables(engine: Engine) -> None:
    """`leavers_aside(email, outcome, reason)`: leavers who are not sent. `holds`: changed claims. None of them yet."""
    engine.run("create or replace table leavers (email varchar, contact_id varchar, sharers_mask ubigint)")
    engine.run("create or replace table holds (email varchar, sharers_mask ubigint, row_hash ubigint)")
    engine.run("create or replace table leavers_aside (email varchar, outcome varchar, reason varchar)")


def keep(engine: Engine, reason: str, where: str = "true") -> int:
    """Leave leavers where they are, and say why; returns how many."""
    engine.run(f"insert into leavers_aside select email, ?, ? from leavers where {where}", [KEPT, reason])
    before = count(engine)
    engine.run(f"delete from leavers where {where}")
    return before - count(engine)


def update_sharers(engine: Engine, bit: int, *, lets_go: bool) -> None:
    """`holds(email, sharers_mask, row_hash)`: where this export's claim changes.

    A leaver whom another export holds stays.

    A person who lacks consent in this export's segment, or is in a suppression list of its own, or whom an export has
    barred, does not stay: a withdrawal holds for all exports.

    A person held by no export any more, because the last one was released, is taken out by any export.

    Args:
        engine: holds `ledger_in`, `leavers` and `bars`.
        bit: this export's.
        lets_go: this export gives up its claim on leavers; only `mirror` does so.
    """
    mine, others = f"(sharers_mask & {bit}::ubigint)", f"(sharers_mask & ~({bit}::ubigint))"
    if engine.one(f"select count(*) from ledger_in where {mine} = 0") != (0,):
        engine.run(PRESENT)
        engine.run(
            f"""insert into holds select l.email, l.sharers_mask | {bit}::ubigint, null
            from (select email, sharers_mask from ledger_in where {mine} = 0) l
            semi join present p on p.email = l.email"""
        )
    if lets_go:
        _withheld(engine)
        may_stay = "email not in (select email from withheld union all select email from bars)"
        engine.run(f"delete from leavers where {mine} = 0 and sharers_mask <> 0 and {may_stay}")
        engine.run(f"insert into holds select email, {others}, null from leavers where {others} <> 0 and {may_stay}")
        keep(engine, SHARED, f"{others} <> 0 and {may_stay}")


def _withheld(engine: Engine) -> None:
    engine.run("create table if not exists suppressed_members (email varchar)")
    engine.run(WITHHELD)


def keep_existing(engine: Engine, bit: int) -> None:
    """Leave people where they are who were in the audience before an export put them in; the export gives up its claim.

    A person who is withheld or barred is taken out all the same.

    Args:
        engine: holds `ledger_in`, `leavers`, `bars` and `withheld`.
        bit: this export's.
    """
    if engine.one("select count(*) from ledger_in where existed") == (0,):
        return
    theirs = """email in (select email from ledger_in where existed)
        and email not in (select email from withheld union all select email from bars)"""
    engine.run(f"delete from leavers where (sharers_mask & {bit}::ubigint) = 0 and {theirs}")
    engine.run(f"insert into holds select email, sharers_mask & ~({bit}::ubigint), null from leavers where {theirs}")
    keep(engine, EXISTED, theirs)


def bar(engine: Engine, bit: int) -> None:
    """`bars_changed(email, barred)`: people whom this export bars from the audience, or bars no longer.

    It bars a person whom its own segment withholds for want of consent, or who is in one of its suppression lists. The
    bar stays until a run of the same export has the person in its segment and withholds them for neither reason.

    Args:
        engine: holds `addressed`, `aside` and `bars`.
        bit: this export's.
    """
    _withheld(engine)
    own = f"(barred & {bit}::ubigint) <> 0"
    engine.run(
        f"""create or replace table bars_changed as
        select w.email, coalesce(b.barred, 0)::ubigint | {bit}::ubigint as barred
        from withheld w left join bars b on b.email = w.email where not coalesce({own}, false)"""
    )
    if engine.one(f"select count(*) from bars where {own}") != (0,):
        engine.run(
            f"""insert into bars_changed select b.email, b.barred & ~({bit}::ubigint)
            from (select * from bars where {own}) b
            semi join addressed a on a.email = b.email anti join withheld w on w.email = b.email"""
        )


def find_existing(engine: Engine) -> None:
    """`existing(email)`: people of the segment who are in the audience, and not by an export.

    Args:
        engine: holds `clean`, `members` and, where there is a ledger, `ledger_in`.
    """
    engine.run(
        """create or replace table existing as select c.email from clean c
        semi join members m on m.email = c.email anti join ledger_in l on l.email = c.email"""
    )


def find_already_delivered(engine: Engine, content: str) -> None:
    """`holds`: people to whom another export has delivered the very content that this one would.

    Nothing is sent to them, and this export's own content is known from here on: when the other export changes its
    values later, this one does not send its old ones over them.

    Args:
        engine: holds `ledger_in` and `clean`.
        content: SQL of a clean row's hash.
    """
    engine.run(
        f"""insert into holds select c.email, null, c.row_hash
        from (select email, {content} as row_hash from clean
            semi join (select email as known from ledger_in where borrowed is not null) on known = clean.email) c
        join ledger_in l on l.email = c.email where l.borrowed = c.row_hash"""
    )


def drop_left(engine: Engine) -> None:
    """People whom the audience, which was read, does not hold, or holds as unsubscribed: nothing is to be removed."""
    engine.run("create or replace view quiet as select email from members where not active")
    for people, reason in (("gone", Reason.LEFT_AUDIENCE), ("quiet", Reason.UNSUBSCRIBED)):
        engine.run(
            f"insert into leavers_aside select email, ?, ? from leavers semi join {people} using (email)",
            [ALREADY_GONE, reason],
        )
        engine.run(f"delete from leavers where email in (select email from {people})")


def without_contact_id(engine: Engine) -> list[str]:
    """Leavers whose contact id is not known."""
    return [email for (email,) in engine.rows("select email from leavers where contact_id is null order by email")]


def identify(engine: Engine, people: Sequence[Member]) -> None:
    """Take contact ids that the vendor has told."""
    engine.table(
        "told",
        pa.table(
            {
                "email": string_array(one.email for one in people),
                "contact_id": string_array(one.contact_id for one in people),
            }
        ),
    )
    engine.run("update leavers set contact_id = told.contact_id from told where told.email = leavers.email")


def drop_without_id(engine: Engine) -> int:
    """Who has no contact id after all is not in the audience: there is nobody to take out."""
    engine.run(
        "insert into leavers_aside select email, ?, ? from leavers where coalesce(contact_id, '') = ''",
        [ALREADY_GONE, Reason.NOT_IN_AUDIENCE],
    )
    before = count(engine)
    engine.run("delete from leavers where coalesce(contact_id, '') = ''")
    return before - count(engine)


def write_batches(engine: Engine, path: StoragePath, limits: Limits, *, by_id: bool) -> tuple[str, ...]:
    """Write the leavers in batches, and tell the batches' names. The order is the addresses', on every machine."""
    item = "contact_id" if by_id else "email"
    sql = f"""select (row_number() over (order by email) - 1)::bigint as row, email,
            {hashed("item")} as row_hash, item
        from (select email, {item} as item from leavers) order by email"""
    names: list[str] = []
    with ArrowFileWriter(path, SCHEMA) as out:
        for batch in cut(engine.stream(sql), replace(limits, batch_bytes=MOST_BYTES), []):
            names.append(batch_id_of(batch, BatchKind.REMOVE))
            out.write(batch)
    return tuple(names)


def write_not_sent(engine: Engine, path: StoragePath) -> dict[str, int]:
    """Write the leavers who are not sent; returns how many by outcome."""
    write_parquet(path, engine.stream("select * from leavers_aside order by email"), ASIDE)
    return dict(engine.rows("select outcome, count(*) from leavers_aside group by all"))


def write_sharers(engine: Engine, path: StoragePath) -> None:
    """Write where an export's claim on a person, or what it is known to have delivered, changes."""
    rows = """select email, max(sharers_mask) as sharers_mask, max(row_hash) as row_hash
        from holds group by email order by email"""
    write_parquet(path, engine.stream(rows), HOLDS)


def write_bars(engine: Engine, path: StoragePath) -> None:
    """Write which bars change."""
    write_parquet(path, engine.stream("select email, barred from bars_changed order by email"), BARS)


def write_existing(engine: Engine, path: StoragePath) -> None:
    """Write who was in the audience before."""
    write_parquet(path, engine.stream("select email from existing order by email"), EXISTING)

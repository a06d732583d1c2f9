"""Compare an audience as it was read with the ledger and the segment: `known people, parts, ledger -> drift`.

Every person who is or may be a member according to the ledger gets exactly one kind (`KINDS`). People in the audience
that the ledger does not hold as members are only counted, by the reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from airflow_provider_segexport.model import OPTED_OUT, Reason
from airflow_provider_segexport.storage.duckdb_engine import Engine, listed, literal
from airflow_provider_segexport.storage.files import write_parquet
from airflow_provider_segexport.storage.ledger_schema import MARK, MEMBER, REMOVING, SCHEMA
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.reading import KNOWN_PEOPLE, MEMBERS, OPTOUTS, RECORDS, SCHEMAS

IN_SYNC, MISSING, LEFT, OPTED_OUT_KIND = "in_sync", "missing", "left", "opted_out"
BARRED, UNSETTLED, CHANGED, NOT_READ = "barred", "unsettled", "changed", "not_read"
KINDS = {
    IN_SYNC: "members by the ledger that the vendor has as mailable members",
    MISSING: "members by the ledger that are not in the audience and have not opted out",
    LEFT: "the same, at a vendor whose imports bring people back who left by themselves, so they are not sent again",
    OPTED_OUT_KIND: "members by the ledger that have opted out at the vendor",
    BARRED: "members by the ledger that an export withholds, so they are not compared",
    UNSETTLED: "people whose result is open: sent or removed without a response, sent just before the reading, or in "
    "the plan of a run that has not ended",
    CHANGED: "people who would count as drift, but a run has changed them in the ledger since the reading began",
    NOT_READ: "members by the ledger that are not in the sample",
}
"""Kinds of people, with their meanings."""

OTHER_VALUES, NOT_EXPORTED = "other_values", "not_exported"
"""Further kinds in `drift.parquet`: members whose values differ at the vendor; people of the segment that the ledger
does not have as members."""

SETTLE_S = 600.0
"""Seconds after a person was first added in which an absence is not drift, because vendors add people late."""

DRIFT_SCHEMA = pa.schema(
    [
        ("email", pa.string()),
        ("kind", pa.string()),
        ("ledger_state", pa.string()),
        ("vendor_status", pa.string()),
        ("reason", pa.string()),
        ("fields", pa.string()),
    ]
)
OPTOUTS_SCHEMA = pa.schema([(name, pa.string()) for name in ("email", "reason", "since", "seen_at", "source")])
"""Columns of `optouts.parquet`, as an export writes it."""


@dataclass(frozen=True, slots=True)
class Basis:
    """How people are compared.

    Attributes:
        is_whole: whether the whole audience was read. If not, only the people in `RECORDS` were read.
        readds_leavers: whether the vendor's imports bring people back who have left by themselves.
        started_at: when the reading began, epoch seconds.
    """

    is_whole: bool
    readds_leavers: bool
    started_at: float


def load_parts(engine: Engine, kind: str, files: Sequence[StoragePath]) -> None:
    """Create the table `read_<kind>` with the rows of the parts of a kind.

    Args:
        engine: gets the table.
        kind: a key of `reading.SCHEMAS`.
        files: the parts; may be empty.
    """
    empty = pa.Table.from_batches([], SCHEMAS[kind])
    engine.table(f"read_{kind}", empty)
    if files:
        engine.run(f"insert into read_{kind} select * from {engine.scan(list(files))}")


def load_optouts(engine: Engine) -> None:
    """Create `found_optouts`: the opt-outs in the vendor's lists and records, one row for each person.

    A reason that concerns the whole account has precedence over having left the audience.
    """
    account_wide = f"max(reason) filter (reason <> '{Reason.LEFT_AUDIENCE}')"
    engine.run(
        f"""create or replace table found_optouts as
        select email, coalesce({account_wide}, any_value(reason)) as reason, max(since) as since, 'list' as source
        from (select email, reason, since from read_{OPTOUTS}
            union all select email, reason, '' from read_{RECORDS} where reason is not null
            union all select email, '{Reason.UNSUBSCRIBED}', '' from read_{MEMBERS} where not active)
        where reason in ({listed(OPTED_OUT)}) group by email"""
    )


def compare(engine: Engine, ledger: StoragePath | None, basis: Basis) -> None:
    """Create `compared(email, kind, ledger_state, vendor_status, reason)` of the people that may be members.

    Args:
        engine: holds `KNOWN_PEOPLE`, the parts, `found_optouts` and `unsettled_people(email)`.
        ledger: file of the ledger's newest version; None if there is no version.
        basis: how people are compared.
    """
    source = f"select *, {MARK} as mark from {engine.scan([ledger])}" if ledger is not None else _no_ledger_rows(engine)
    earliest, latest = (f"make_timestamptz({int((basis.started_at + sign * SETTLE_S) * 1e6)})" for sign in (-1, 1))
    just_added = f"l.added_at between {earliest} and {latest}"  # a later time is that of a clock that was wrong
    absent = f"if(l.added_at is not null, '{LEFT}', '{MISSING}')" if basis.readds_leavers else f"'{MISSING}'"
    not_read = f"when r.is_member is null then '{NOT_READ}'" if not basis.is_whole else ""
    engine.run(
        f"""create or replace table compared as
        select l.email, l.state as ledger_state, o.reason,
            coalesce(nullif(r.status, ''), if(m.email is not null or r.is_member, 'member', 'absent')) as vendor_status,
            case when l.state = '{REMOVING}' then '{UNSETTLED}'
                when coalesce(l.barred, 0) <> 0 then '{BARRED}'
                when o.email is not null then '{OPTED_OUT_KIND}'
                {not_read}
                when coalesce(r.is_member, m.email is not null) then '{IN_SYNC}'
                when u.email is not null then '{UNSETTLED}'
                when l.mark is distinct from k.mark then '{CHANGED}'
                when {just_added} then '{UNSETTLED}'
                else {absent} end as kind
        from ({source}) l
        left join {KNOWN_PEOPLE} k on k.email = l.email
        left join (select distinct email from read_{MEMBERS}) m on m.email = l.email
        left join (select email, bool_or(is_member) as is_member, any_value(status) as status
            from read_{RECORDS} group by email) r on r.email = l.email
        left join found_optouts o on o.email = l.email
        left join unsettled_people u on u.email = l.email
        where l.state in ('{MEMBER}', '{REMOVING}')"""
    )


def _no_ledger_rows(engine: Engine) -> str:
    engine.table("no_ledger_rows", pa.Table.from_batches([], SCHEMA))
    return "select *, 0::ubigint as mark from no_ledger_rows"


def count_kinds(engine: Engine) -> dict[str, int]:
    """Return the number of people of each kind."""
    counts = dict(engine.rows("select kind, count(*) from compared group by all"))
    return {kind: int(counts.get(kind, 0)) for kind in KINDS}


def count_not_ours(engine: Engine) -> int:
    """Count the known people in the audience that the ledger does not have as members."""
    sql = f"""select count(*) from (select distinct email from read_{MEMBERS}) m
        anti join compared c on c.email = m.email"""
    return int(engine.single_row(sql)[0])


def count_segment(engine: Engine) -> dict[str, int]:
    """Return how many people the segment has, and how segment and ledger differ."""
    profiles, exported = engine.single_row(
        f"""select count(*), count(c.email) from {KNOWN_PEOPLE} k left join compared c on c.email = k.email
        where k.in_segment"""
    )
    left = f"select count(*) from compared c join {KNOWN_PEOPLE} k on k.email = c.email where not k.in_segment"
    not_in_segment = engine.single_row(left)[0]
    return {
        "people": int(profiles),
        "exported": int(exported),
        "not_exported": int(profiles - exported),
        "not_in_segment": int(not_in_segment),
    }


def write_optouts(engine: Engine, path: StoragePath, seen_at: str) -> int:
    """Write the opt-outs to a file; return their number.

    Args:
        engine: holds `found_optouts`.
        path: the file.
        seen_at: when they were read, ISO 8601.
    """
    sql = f"select email, reason, since, {literal(seen_at)} as seen_at, source from found_optouts order by email"
    return write_parquet(path, engine.stream(sql), OPTOUTS_SCHEMA)


def write_drift(engine: Engine, path: StoragePath) -> int:
    """Write the people who drifted to a file; return the number of rows."""
    kinds = listed({MISSING, LEFT, OPTED_OUT_KIND, BARRED})
    sql = f"""select email, kind, ledger_state, vendor_status, reason, null as fields from compared
            where kind in ({kinds})
        union all select c.email, '{OTHER_VALUES}', c.ledger_state, c.vendor_status, null, r.fields
            from compared c join read_{RECORDS} r on r.email = c.email
            where c.kind = '{IN_SYNC}' and coalesce(r.fields, '') <> ''
        union all select k.email, '{NOT_EXPORTED}', k.state, null, null, null
            from {KNOWN_PEOPLE} k anti join compared c on c.email = k.email where k.in_segment
        order by 2, 1"""
    return write_parquet(path, engine.stream(sql), DRIFT_SCHEMA)


def count_values(engine: Engine) -> tuple[int, int, dict[str, int]]:
    """Return the number of people whose values were compared, of those with a difference, and the latter by field.

    Fields are named by the vendor's key. In the table, `fields` is null for a person whose values were not compared,
    and empty for a person without a difference.
    """
    people = f"select distinct c.email, r.fields from compared c join read_{RECORDS} r on r.email = c.email"
    people += f" where c.kind = '{IN_SYNC}' and r.fields is not null"
    compared, different = engine.single_row(f"select count(*), count(*) filter (fields <> '') from ({people})")
    by_field = engine.rows(
        f"""select name, count(*) from (select unnest(string_split(fields, chr(10))) as name from ({people})
        where fields <> '') group by all order by all"""
    )
    return int(compared), int(different), dict(by_field)


def next_version(engine: Engine, ledger: StoragePath, *, repair: bool) -> tuple[str, int, int]:
    """Return SQL of the ledger's next version, the number of people to send again, and the number of new opt-outs.

    The content of a person to send again becomes unknown, so the next plan sends the person's row if the segment has
    one. State, claims, bars and rejections stay. An opt-out becomes the reason in the person's row of the ledger.

    Args:
        engine: holds `compared`.
        ledger: file of the newest version.
        repair: whether missing people are to be sent again.
    """
    missing = f"select email from compared where kind = '{MISSING}'" if repair else "select '' as email where false"
    engine.run(
        f"""create or replace table resend as select l.email from {engine.scan([ledger])} l
        semi join ({missing}) m on m.email = l.email where l.row_hash is not null or l.hashes is not null"""
    )
    engine.run(
        f"""create or replace table learnt as select l.email, c.reason from {engine.scan([ledger])} l
        join compared c on c.email = l.email
        where c.kind = '{OPTED_OUT_KIND}' and l.reason is distinct from c.reason"""
    )
    marked, learnt = (int(engine.single_row(f"select count(*) from {name}")[0]) for name in ("resend", "learnt"))
    sql = f"""select l.* replace (if(r.email is null, l.row_hash, null) as row_hash,
            if(r.email is null, l.hashes, null) as hashes, coalesce(o.reason, l.reason) as reason)
        from {engine.scan([ledger])} l
        left join resend r on r.email = l.email left join learnt o on o.email = l.email"""
    return sql, marked, learnt

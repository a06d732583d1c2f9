"""Writes into the ledger what the vendor has taken: `plan, verdicts -> next version of the ledger`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from airflow_provider_segexport.errors import RetryableError, Superseded
from airflow_provider_segexport.model import GONE, OPTED_OUT, Reason
from airflow_provider_segexport.storage import erased, per_export
from airflow_provider_segexport.storage.duckdb_engine import Engine, listed, literal
from airflow_provider_segexport.storage.ledger import (
    LEFT,
    MAYBE_MEMBER,
    MEMBER,
    NOT_ADDED,
    REMOVED,
    REMOVING,
    SCHEMA,
    TRIES_DAYS,
    Ledger,
)
from airflow_provider_segexport.storage.ledger_facts import LedgerCommit, facts_of
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.per_export import CLEARED, NONE, NOT_REJECTED
from airflow_provider_segexport.storage.results import Numbered, late_rows, settled_rows
from airflow_provider_segexport.storage.run_folder import RunFolder

TRIES = 3
NOTHING_TOLD = "select 0 as row, '' as reason, '' as contact_id where false"

TURNED_AWAY = OPTED_OUT | {Reason.DELETED, Reason.PENDING_CONFIRMATION, Reason.INVALID_EMAIL}
"""Reasons for which a vendor refuses a person, not a value: that person is not in the audience as one who gets mail."""

NO_WORD = frozenset({Reason.NO_RESULT, Reason.JOB_FAILED})
"""Reasons that leave open whether the vendor has taken a row: its person is perhaps in the audience."""

UNSURE = f"(l.state = '{MEMBER}' and l.added_at is null)"
"""An earlier run sent the person, and no answer has said what became of it, as SQL."""

OURS = f"(l.state = '{REMOVING}' and n.reason not in ('{Reason.UNSUBSCRIBED}', '{Reason.SUPPRESSED}'))"
"""A person who is gone, and whom a run had begun to take out, was taken out by that run, as SQL."""

ROWS = pa.schema([("row", pa.int64()), ("email", pa.string()), ("row_hash", pa.uint64())])
"""What a verdict is about."""

STRETCH = 250_000
"""Rows whose verdicts are looked up at a time: those of a million at once take 60 MiB."""


@dataclass(frozen=True, slots=True)
class PlanBatches:
    """The planned batches by their names, in the order of their record batches.

    Attributes:
        upsert_batches, removal_batches: the plan's.
        late: of a superseded run, the batches of each that it may have sent after it was superseded: only their rows
            are written, as perhaps in the audience with unknown content.
    """

    upsert_batches: tuple[str, ...]
    removal_batches: tuple[str, ...] = ()
    late: tuple[frozenset[str], frozenset[str]] | None = None


def update_ledger(engine: Engine, ledger: Ledger, folder: RunFolder, names: PlanBatches, origin: LedgerCommit) -> int:
    """Write the next version of the ledger, and tell its number.

    A run that has settled nothing and did not finish makes no version. One that has finished makes one also when
    nothing changed: an older snapshot must find out that the audience has come further.
    """
    if names.late is None:
        _gather(engine, folder, names, in_flight=origin.count_in_flight_as_sent)
    else:
        _doubt(engine, folder, names, names.late)
    changed = engine.one("select (select count(*) from touched) + (select count(*) from bars)")[0]
    if not changed and not origin.finished:
        return ledger.version()
    for _ in range(TRIES):
        base = ledger.version()
        _stage_base(engine, ledger, base)
        shared, barring = (engine.one(f"select count(*) from {name}") != (0,) for name in ("sharers", "bars"))
        sql = _next(origin, first=not base, shared=shared, barring=barring)
        members = engine.one(_members(first=not base))[0]
        facts = facts_of(origin, ledger.facts(base)) | {"members": str(members)}
        try:
            return ledger.commit(engine.stream(sql), base, facts)
        except Superseded:
            raise
        except RetryableError:
            continue
    raise RetryableError("The audience's ledger changes faster than it can be written: another run is writing it.")


def _stage_base(engine: Engine, ledger: Ledger, version: int) -> None:
    """The version that the next one is made from: `base`, all of it, and `old`, the rows that this run touches.

    What is looked up by address is `old`: of a large ledger and a small run it is the small part.
    """
    if not version:
        engine.table("old", pa.Table.from_batches([], SCHEMA))
        return
    ledger.check(version)
    erased.forget(engine, ledger.path, ledger.file(version))
    engine.run(f"create or replace view base as select * from {engine.scan([ledger.file(version)])}")
    engine.run("create or replace table old as select l.* from base l semi join touched t on t.email = l.email")


def _members(*, first: bool) -> str:
    """SQL of how many people the next version has as in; one whom this run took for delivered at first counts too."""
    stay = f"(select count(*) from base l anti join touched t on t.email = l.email where l.state in {MAYBE_MEMBER})"
    word = f"n.reason in ({listed(NO_WORD)})"
    late = f"""(select count(*) from refused n left join old l on l.email = n.email
        where l.state in {MAYBE_MEMBER} or {word})"""
    return f"select {'0' if first else stay} + (select count(*) from delivered) + {late}"


def _next(origin: LedgerCommit, *, first: bool, shared: bool, barring: bool) -> str:
    """SQL of the next version's rows. `base` is the last one, if there is one."""
    now = f"make_timestamptz({int(origin.ended_at * 1e6)})"
    begun = f"make_timestamptz({int(origin.started_at * 1e6)})"
    as_of, run = f"{literal(origin.as_of)}::timestamptz", literal(origin.run)
    mine_of = per_export.of(origin)
    slot, bit, others = mine_of.slot, mine_of.sharers_mask, mine_of.hashes
    tail = f"l.barred, coalesce(if(l.state in {MAYBE_MEMBER}, l.existed, null), x.email is not null)"
    mine = f"(l.run = {run} and l.as_of = {as_of})"
    tried = "l.rejected_hash, l.reason, l.attempts, l.first_rejected_at, l.last_rejected_at"
    last = mine_of.last
    same = (
        f"({last['rejected_hash']} = n.row_hash and {last['first_rejected_at']} > {now} - interval {TRIES_DAYS} days)"
    )
    again = f"if({same}, {last['attempts']} + ({last['last_rejected_at']} < {begun})::utinyint, 1)::utinyint"
    # Never in: this run alone has sent them, or no answer has ever said so and the vendor turns the person away.
    turned_away = f"(l.added_at is null and n.reason in ({listed(TURNED_AWAY)}))"
    never = f"(l.state = '{MEMBER}' and (({mine} and (l.added_at is null or l.added_at > {begun})) or {turned_away}))"
    refused = f"when l.state = '{REMOVING}' then '{REMOVED}' else coalesce(l.state, '{NOT_ADDED}')"
    perhaps = f"(n.reason in ({listed(NO_WORD)}) and coalesce(l.state, '{NOT_ADDED}') <> '{LEFT}')"
    back = f"if(l.state in ('{REMOVED}', '{REMOVING}'), '{REMOVING}', '{MEMBER}')"
    state = f"case when {perhaps} then {back} when {never} then '{NOT_ADDED}' {refused} end"
    stays = f"({perhaps} or (l.state = '{MEMBER}' and not {never}))"
    rows = f"""{"select * from old" if first else _untouched(slot, shared=shared)}
        union all
        select n.email, n.row_hash, coalesce(n.contact_id, l.contact_id), {as_of}, {run}, '{MEMBER}',
            coalesce(if(l.state = '{MEMBER}', l.added_at, null), {now}), {mine_of.delivered}, {bit}, {slot}, {others},
            {mine_of.delivered_by}, {tail}
        from delivered n left join old l on l.email = n.email left join existing x on x.email = n.email
        where n.row_hash is not null
        union all
        select n.email, null, l.contact_id, if({UNSURE}, l.as_of, {as_of}), if({UNSURE}, l.run, {run}),
            if(l.state in ('{REMOVED}', '{REMOVING}'), '{REMOVING}', '{MEMBER}'),
            if(l.state = '{NOT_ADDED}', null, l.added_at), {tried}, {bit}, {slot}, {others},
            l.rejected_by, l.rejections, {tail}
        from delivered n left join old l on l.email = n.email left join existing x on x.email = n.email
        where n.row_hash is null
        union all
        select n.email, if({perhaps} or {mine} or l.state is distinct from '{MEMBER}', null, l.row_hash), l.contact_id,
            coalesce(l.as_of, if({perhaps}, {as_of}, null)), coalesce(l.run, if({perhaps}, {run}, null)),
            {state}, if({never}, null, l.added_at), n.row_hash, n.reason, {again},
            if({same}, {last["first_rejected_at"]}, {now}), {now}, if({stays}, {bit}, 0::ubigint),
            if({perhaps}, {slot}, l.sent_by), if(l.state = '{MEMBER}', l.hashes, null), {mine_of.refused_by}, {tail}
        from refused n left join old l on l.email = n.email left join existing x on x.email = n.email
        {_gone(origin)}"""
    return _with_bars(rows, first=first) if barring else rows


def _untouched(slot: str, *, shared: bool) -> str:
    """SQL of the rows that the run does not touch, with the claims that change."""
    alike = f"if(h.row_hash is null, l.hashes, map_concat(l.hashes, map([{slot}], [h.row_hash])))"
    kept = (
        f"l.* replace (coalesce(h.sharers_mask, l.sharers_mask) as sharers_mask, {alike} as hashes)"
        if shared
        else "l.*"
    )
    held = "left join sharers h on h.email = l.email" if shared else ""
    return f"select {kept} from base l {held} anti join touched t on t.email = l.email"


def _gone(origin: LedgerCommit) -> str:
    """SQL of the rows of people who were taken out, or whom the run found gone."""
    as_of, run = f"{literal(origin.as_of)}::timestamptz", literal(origin.run)
    gone = f"l.added_at, {CLEARED}, 0::ubigint, null::utinyint, {NONE}, {NOT_REJECTED}, l.barred, false"
    left = f"(l.added_at is not null and {str(origin.keep_left).lower()})"
    return f"""union all
        select n.email, null, l.contact_id, {as_of}, {run}, if(n.row_hash is null, '{REMOVING}', '{REMOVED}'), {gone}
        from taken_out n join old l on l.email = n.email
        union all
        select l.email, null, l.contact_id, {as_of}, {run},
            case when {OURS} then '{REMOVED}' when {left} then '{LEFT}' else '{NOT_ADDED}' end, {gone}
        from absent n join old l on l.email = n.email left join bars b on b.email = n.email
        where {OURS} or {left} or coalesce(b.barred, l.barred, 0) <> 0"""


def _with_bars(rows: str, *, first: bool) -> str:
    """SQL of the same rows with the bars that change; a barred person whom the ledger does not know gets a row."""
    known = "" if first else "anti join base l on l.email = b.email"
    return f"""select r.* replace (coalesce(b.barred, r.barred) as barred)
        from ({rows}) r left join bars b on b.email = r.email
        union all by name
        select b.email, b.barred, '{NOT_ADDED}' as state, 0::ubigint as sharers_mask
        from bars b {known} anti join touched t on t.email = b.email"""


def _gather(engine: Engine, folder: RunFolder, names: PlanBatches, *, in_flight: bool) -> None:
    """What this run has brought about, by address.

    `delivered(email, row_hash, contact_id)`, `refused(email, row_hash, reason)`, of leavers `taken_out(email)` and
    `absent(email, reason)`; `touched(email)`: all of them. Of the plan: `sharers(email, sharers_mask, row_hash)`,
    changed claims; `bars(email, barred)`, changed bars; `existing(email)`, people who were in the audience before.
    """
    _stage_verdicts(engine, folder, names.upsert_batches, "ends", in_flight=in_flight)
    # One who was taken at first and refused by a later look has two lines: the refusal counts.
    engine.run(
        """create or replace table refused as
        select email, any_value(row_hash) as row_hash, any_value(reason) as reason from ends
        where reason is not null group by email"""
    )
    engine.run(
        """create or replace view delivered as
        select e.email, e.row_hash, e.contact_id from ends e anti join refused r on r.email = e.email
        where e.reason is null"""
    )
    if names.removal_batches:
        _stage_verdicts(engine, folder.removals, names.removal_batches, "left_with", in_flight=in_flight)
    else:
        engine.run("create or replace table left_with (email varchar, row_hash ubigint, reason varchar)")
    engine.run("create or replace table taken_out as select email, row_hash from left_with where reason is null")
    gone = f"select email, reason from left_with where reason in ({listed(GONE)})"
    engine.run(f"create or replace table absent as {gone}")
    aside = folder.path / "leavers_not_sent.parquet"
    if aside.exists():
        engine.run(
            f"insert into absent select email, reason from {engine.scan([aside])} where outcome = 'already_gone'"
        )
    _stage_planned(engine, folder, "sharers", "email varchar, sharers_mask ubigint, row_hash ubigint")
    _stage_planned(engine, folder, "bars", "email varchar, barred ubigint")
    _stage_planned(engine, folder, "existing", "email varchar")
    engine.run(
        """create or replace view touched as select email from delivered union all select email from refused
        union all select email from taken_out union all select email from absent"""
    )


def _doubt(engine: Engine, folder: RunFolder, names: PlanBatches, late: tuple[frozenset[str], frozenset[str]]) -> None:
    """The tables of `_gather`, of a superseded run's late batches: whatever they did, their people may be there."""
    sources = [(folder, names.upsert_batches, late[0]), (folder.removals, names.removal_batches, late[1])]
    batches = (batch for source in sources if source[1] for batch in late_rows(*source))
    engine.run("create or replace table delivered (email varchar, row_hash ubigint, contact_id varchar)")
    reader = pa.RecordBatchReader.from_batches(ROWS, batches)
    engine.append("delivered", reader, "select distinct email, null::ubigint, null::varchar from incoming")
    engine.run("create or replace table refused (email varchar, row_hash ubigint, reason varchar)")
    engine.run("create or replace table taken_out (email varchar, row_hash ubigint)")
    engine.run("create or replace table absent (email varchar, reason varchar)")
    engine.run("create or replace table sharers (email varchar, sharers_mask ubigint, row_hash ubigint)")
    engine.run("create or replace table bars (email varchar, barred ubigint)")
    _stage_planned(engine, folder, "existing", "email varchar")
    engine.run("create or replace view touched as select email from delivered")


def _stage_planned(engine: Engine, folder: RunFolder, name: str, columns: str) -> None:
    """A table that the plan has written beside its rows; empty where it has not."""
    file = folder.path / f"{name}.parquet"
    engine.run(f"create or replace table {name} ({columns})")
    if file.exists():
        engine.run(f"insert into {name} by name select * from {engine.scan([file])}")


def _stage_verdicts(engine: Engine, folder: RunFolder, names: tuple[str, ...], table: str, *, in_flight: bool) -> None:
    """The rows that have a verdict, with what was said of single ones: `table(email, row_hash, contact_id, reason)`."""
    engine.run(f"create or replace table {table} (email varchar, row_hash ubigint, contact_id varchar, reason varchar)")
    for planned, parts in _stretches(folder, names):
        told = f"select row, reason, contact_id from {engine.scan(parts)}" if parts else NOTHING_TOLD
        engine.append(
            table,
            pa.RecordBatchReader.from_batches(ROWS, settled_rows(folder, planned, in_flight=in_flight)),
            f"select v.email, v.row_hash, t.contact_id, t.reason from incoming v left join ({told}) t on t.row = v.row",
        )


def _stretches(folder: RunFolder, names: tuple[str, ...]) -> Iterator[tuple[Numbered, list[StoragePath]]]:
    """The plan a stretch at a time, each with the files that may tell of its rows: its own, and those of parts."""
    states, own = folder.journal.states(), set(names)
    planned: list[tuple[int, str]] = []
    rows = 0
    for number, name in enumerate(names):
        planned.append((number, name))
        rows += states[name].rows if name in states else 0
        if rows >= STRETCH or number == len(names) - 1:
            elsewhere = own.difference(name for _, name in planned)
            yield planned, folder.result_files(without=elsewhere)
            planned, rows = [], 0

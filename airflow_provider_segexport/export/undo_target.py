"""Finds the version of a ledger that an undo takes back, and the people whom that is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_segexport.errors import FatalError
from airflow_provider_segexport.stages import removals
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.duckdb_engine import Engine, literal
from airflow_provider_segexport.storage.ledger import LEFT, MEMBER, REMOVED, REMOVING, Ledger
from airflow_provider_segexport.storage.per_export import own_hash


@dataclass(frozen=True, slots=True)
class Taken:
    """The version that is taken back.

    Attributes:
        export: whose run wrote it.
        sharer_bit: that export's in `sharers_mask`.
        before: the facts of that export before the version; empty where there were none.
    """

    version: int
    export: str
    sharer_bit: int
    before: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Kept:
    """The kept versions of a ledger, with what each says of itself."""

    ledger: Ledger
    standing: AudienceState
    facts: Mapping[int, Mapping[str, Any]]

    def undone_by(self, version: int) -> int | None:
        """The version that took another one back to the end; None where none did."""
        undoing = (number for number, facts in self.facts.items() if facts.get("reverted_version") == version)
        return next((number for number in undoing if not self.facts[number].get("partial")), None)

    def taken(self, version: int) -> Taken:
        """The version with its export.

        Raises:
            FatalError: the version, or the one before it, is not kept, or its export was released.
        """
        if version not in self.facts or (version > 1 and version - 1 not in self.facts):
            raise FatalError(
                f"Version {version} of this audience's ledger cannot be taken back, because it or the version before "
                f"it is not kept. Kept versions: {', '.join(map(str, self.facts))}."
            )
        export = str(self.facts[version].get("export_name", ""))
        if export not in self.standing.sharers:
            raise FatalError(
                f"Version {version} of this audience's ledger was written by {export or 'a release'!r}, which does not "
                "use this audience any more. It cannot be taken back."
            )
        before = self.ledger.of_export(export, version - 1) if version > 1 else {}
        return Taken(version, export, self.standing.sharer_bit(export), before)


def find(sql: Engine, ledger: Ledger, state: AudienceState, export: str, asked: int | None) -> Taken:
    """Find the version to take back, with `undoing`, the people whom it put in, took out or gave up.

    Args:
        sql: gets the tables.
        ledger: of the audience.
        state: of the audience.
        export: only what this export did; any export's where it is empty.
        asked: this version; None means the newest that put people in or took people out.

    Raises:
        FatalError: there is no such version, or it cannot be taken back.
    """
    kept = _Kept(ledger, state, {version: ledger.facts(version) for version in ledger.versions()})
    if not kept.facts:
        raise FatalError("Nothing was exported to this audience yet: there is nothing to take back.")
    taken = _newest(sql, kept, export) if asked is None else _asked(kept, export, asked)
    _people(sql, kept, taken)
    changed = sql.one("select count(*) from undoing where since_changed")[0]
    if changed:
        newest = max(kept.facts)
        raise FatalError(
            f"Version {taken.version} of this audience's ledger cannot be taken back: later runs have changed "
            f"{changed:,} of the people whom it put in or took out. The newest version is {newest}, of run "
            f"{kept.facts[newest].get('by', '?')!r}. To fix: take back the later version first."
        )
    return taken


def _asked(kept: _Kept, export: str, version: int) -> Taken:
    """The version that was named."""
    facts = kept.facts.get(version, {})
    if undone := kept.undone_by(version):
        raise FatalError(
            f"Version {version} of this audience's ledger is not taken back: run {kept.facts[undone].get('by', '?')!r} "
            f"has taken back version {version} already."
        )
    if facts.get("reverted_version"):
        raise FatalError(f"Version {version} took back version {facts['reverted_version']}; an undo is not taken back.")
    taken = kept.taken(version)
    if export and taken.export != export:
        raise FatalError(
            f"Version {version} of this audience's ledger was written by the export {taken.export!r}, and "
            f"`export_name` is {export!r}. To fix: name the export whose run is to be taken back."
        )
    return taken


def _newest(sql: Engine, kept: _Kept, export: str) -> Taken:
    """The newest version that changed who is in; where none did, the newest of all."""
    versions = [
        version
        for version, facts in sorted(kept.facts.items(), reverse=True)
        if facts.get("export_name") and export in {"", facts["export_name"]}
    ]
    if not versions:
        wrote = sorted({str(facts["export_name"]) for facts in kept.facts.values() if facts.get("export_name")})
        raise FatalError(
            f"None of the kept versions of this audience's ledger was written by the export {export!r}. Exports that "
            f"wrote them: {', '.join(wrote)}. To fix: correct `export_name`."
        )
    for version in versions:
        facts = kept.facts[version]
        if facts.get("reverted_version"):
            if facts.get("partial"):
                continue
            raise FatalError(
                f"The last run has taken back version {facts['reverted_version']} already; what it did is "
                "not taken back again."
            )
        taken = kept.taken(version)
        _people(sql, kept, taken)
        if sql.one("select count(*) from undoing") != (0,):
            return taken
    return kept.taken(
        next((version for version in versions if not kept.facts[version].get("reverted_version")), versions[0])
    )


def _people(sql: Engine, kept: _Kept, taken: Taken) -> None:
    """`undoing`: people whom the version put in (`put`), took out (`out`) or gave up, for another export holds them.

    `since_changed`: a later version, which is no undo of this one, has another state, claim or content of them. Someone
    who has left on their own since is not changed.
    """
    bit, slot = f"{taken.sharer_bit}::ubigint", taken.sharer_bit.bit_length() - 1

    def rows(version: int, name: str) -> str:
        if not version:
            return f"(select '' as email, false as is_in, false as held, 0::ubigint as others where false) {name}"
        return f"""(select email, state, run, contact_id, {own_hash(slot)} as own, state = '{MEMBER}' as is_in,
            state = '{MEMBER}' and (coalesce(sharers_mask, 0)::ubigint & {bit}) <> 0 as held,
            coalesce(sharers_mask, 0)::ubigint & ~({bit}) as others, coalesce(existed, false) as existed,
            coalesce(barred, 0)::ubigint as barred
            from {sql.scan([kept.ledger.file(version)])}) {name}"""

    undoing = [str(facts.get("by")) for facts in kept.facts.values() if facts.get("reverted_version") == taken.version]
    runs = ", ".join(map(literal, undoing)) or "''"
    sql.run(
        f"""create or replace table changed as
        select n.email, n.state, n.held, n.own, coalesce(o.is_in, false) as was_in,
            coalesce(o.others, 0)::ubigint as held_before,
            case when n.held then 'put' when n.state = '{REMOVED}' then 'out' else 'gave_up' end as kind
        from {rows(taken.version, "n")} left join {rows(taken.version - 1, "o")} on o.email = n.email
        where (n.held and not coalesce(o.held, false)) or (n.state = '{REMOVED}' and coalesce(o.is_in, false))
            or (n.is_in and not n.held and coalesce(o.held, false))"""
    )
    sql.run(
        f"""create or replace table undoing as
        select n.email, n.kind, n.was_in, n.held_before, c.state, c.own, c.held, c.others, c.contact_id,
            c.existed or (n.was_in and n.held_before = 0 and c.others = 0) as spared, c.barred & ~({bit}) as barred,
            c.run not in ({runs}) and c.state not in ('{LEFT}', '{REMOVING}') and (c.state is distinct from n.state
                or c.held is distinct from n.held or c.own is distinct from n.own) as since_changed
        from changed n join {rows(max(kept.facts), "c")} on c.email = n.email"""
    )


def stage(sql: Engine, taken: Taken) -> int:
    """`clean(row, email)`: people to put in again; `leavers`: people to take out; `holds`: claims that change.

    Someone whom another export holds stays in the audience, and so does someone who was in it before by no export.
    Someone whom another export has barred is not put in; this export's own bar on people who are put in is lifted.
    Someone whom an earlier try of this undo was about to take out or put in is sent again.
    Returns how many are put in.
    """
    removals.create_tables(sql)
    sql.run(
        f"""insert into leavers select email, contact_id, others from undoing
        where kind = 'put' and (state = '{REMOVING}' or (state = '{MEMBER}' and held))
            and not spared"""
    )
    sql.run("insert into holds select email, sharers_mask, null from leavers where sharers_mask <> 0")
    removals.keep(sql, removals.SHARED, "sharers_mask <> 0")
    sql.run(
        f"""insert into holds select email, others, null from undoing
        where kind = 'put' and state = '{MEMBER}' and held and spared"""
    )
    sql.run(
        f"""insert into holds select email, others | {taken.sharer_bit}::ubigint, null from undoing
        where kind = 'gave_up' and state = '{MEMBER}' and not held"""
    )
    sql.run(
        f"""create or replace table clean as select (row_number() over (order by email) - 1)::bigint as row, email
        from undoing
        where kind = 'out' and barred = 0
            and (state in ('{REMOVED}', '{REMOVING}') or (state = '{MEMBER}' and own is null)) order by email"""
    )
    sql.run("create or replace table bars_changed as select email, 0::ubigint as barred from clean")
    sql.run("create or replace table removed as select email from clean")
    sql.run("create or replace table aside (row bigint, outcome varchar, reason varchar, field varchar)")
    sql.run("create or replace table keys as select row, true as plain, email from clean")
    return int(sql.one("select count(*) from clean")[0])

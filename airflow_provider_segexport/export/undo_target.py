"""Find the version of a ledger that an undo reverts, and the people that it concerns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_segexport.errors import FatalError
from airflow_provider_segexport.stages import clean, removals
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.duckdb_engine import Engine, literal
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_facts import FINISHED
from airflow_provider_segexport.storage.ledger_schema import LEFT, MEMBER, REMOVED, REMOVING
from airflow_provider_segexport.storage.per_export import own_hash


@dataclass(frozen=True, slots=True)
class UndoTarget:
    """The run that is reverted.

    Attributes:
        version: the last version that the run wrote.
        first: the first version that the run wrote. It differs from `version` if an attempt broke off.
        export: name of the run's export.
        sharer_bit: that export's bit in `sharers_mask`.
        before: the facts of that export before `first`; empty if there were none.
    """

    version: int
    first: int
    export: str
    sharer_bit: int
    before: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Versions:
    """The stored versions of a ledger, each with its facts."""

    ledger: Ledger
    state: AudienceState
    facts: Mapping[int, Mapping[str, Any]]

    def reverted_by(self, version: int) -> int | None:
        """Return the version that reverted another one completely; None if none did."""
        reverting = (number for number, facts in self.facts.items() if facts.get("reverted_version") == version)
        return next((number for number in reverting if self.facts[number].get(FINISHED)), None)

    def target(self, version: int) -> UndoTarget:
        """Return the version with its export.

        Raises:
            FatalError: the version, or the one before it, is no longer stored, or its export was released.
        """
        first, version = self._of_same_run(version)
        if version not in self.facts or (first > 1 and first - 1 not in self.facts):
            raise FatalError(
                f"Version {version} of this audience's ledger cannot be undone, because it or the version before it is "
                f"not stored. Stored versions: {', '.join(map(str, self.facts))}. To fix: choose another version."
            )
        export = str(self.facts[version].get("export_name", ""))
        if export not in self.state.sharers:
            raise FatalError(
                f"Version {version} of this audience's ledger cannot be undone, because "
                f"{export or 'a release or a verification'!r}, which wrote it, does not use this audience any more. To "
                "fix: choose another version."
            )
        before = self.ledger.of_export(export, first - 1) if first > 1 else {}
        return UndoTarget(version, first, export, self.state.sharer_bit(export), before)

    def last_of_run(self, version: int) -> int:
        """Return the last version that the run of a version wrote."""
        while self._is_continued(version):
            version += 1
        return version

    def _of_same_run(self, version: int) -> tuple[int, int]:
        """Return the first and the last version of a version's run, so that the version before the first is stored."""
        first = version
        while self._is_continued(first - 1) and (first == 2 or first - 2 in self.facts):  # noqa: PLR2004
            first -= 1
        return first, self.last_of_run(version)

    def _is_continued(self, version: int) -> bool:
        """Return whether an attempt that broke off wrote a version, and the same run wrote the next version."""
        facts, following = self.facts.get(version, {}), self.facts.get(version + 1, {})
        return bool(facts.get("by")) and facts.get(FINISHED) is False and facts["by"] == following.get("by")


def find(sql: Engine, ledger: Ledger, state: AudienceState, export: str, requested_version: int | None) -> UndoTarget:
    """Find the version to revert, and create `undo_people` of the people that it added, removed or released.

    Args:
        sql: gets the tables.
        ledger: the audience's ledger.
        state: the audience's state.
        export: name of the export whose versions are considered; empty for any export.
        requested_version: the version to revert; None means the newest that added or removed people.

    Raises:
        FatalError: there is no such version, or it cannot be reverted.
    """
    versions = _Versions(ledger, state, {version: ledger.facts(version) for version in ledger.versions()})
    if not versions.facts:
        raise FatalError(
            "Nothing was exported to this audience yet, so there is nothing to undo. To fix: use the connection and "
            "the audience of the export that is to be undone."
        )
    if requested_version is None:
        target = _newest(sql, versions, export)
    else:
        target = _requested(versions, export, requested_version)
    _find_people(sql, versions, target)
    changed = sql.single_row("select count(*) from undo_people where changed_later")[0]
    if changed:
        newest = max(versions.facts)
        raise FatalError(
            f"Version {target.version} of this audience's ledger cannot be undone, because later runs have changed "
            f"{changed:,} of the people that it added or removed. The newest version is {newest}, of run "
            f"{versions.facts[newest].get('by', '?')!r}. To fix: undo the later version first."
        )
    return target


def _requested(versions: _Versions, export: str, version: int) -> UndoTarget:
    """Return the version that the user named, with the other versions of its run."""
    version = versions.last_of_run(version)
    facts = versions.facts.get(version, {})
    if reverting := versions.reverted_by(version):
        raise FatalError(
            f"Version {version} of this audience's ledger was undone by run "
            f"{versions.facts[reverting].get('by', '?')!r} already. To fix: choose another version."
        )
    if facts.get("reverted_version"):
        raise FatalError(
            f"Version {version} is the undo of version {facts['reverted_version']}, and an undo cannot be undone. To "
            "fix: choose another version. To bring back what was undone, run the export again."
        )
    target = versions.target(version)
    if export and target.export != export:
        raise FatalError(
            f"Version {version} of this audience's ledger was written by the export {target.export!r}, but "
            f"`export_name` is {export!r}. To fix: set `export_name` to the export whose run is to be undone."
        )
    return target


def _newest(sql: Engine, versions: _Versions, export: str) -> UndoTarget:
    """Return the newest version that added or removed people; if there is none, the newest version of an export."""
    candidates = [
        version
        for version, facts in sorted(versions.facts.items(), reverse=True)
        if facts.get("export_name") and export in {"", facts["export_name"]}
    ]
    if not candidates:
        writers = sorted({str(facts["export_name"]) for facts in versions.facts.values() if facts.get("export_name")})
        raise FatalError(
            f"The export {export!r} wrote none of the stored versions of this audience's ledger. Exports that wrote "
            f"them: {', '.join(writers)}. To fix: correct `export_name`."
        )
    for version in candidates:
        facts = versions.facts[version]
        if facts.get("reverted_version"):
            if not facts.get(FINISHED):
                continue
            raise FatalError(
                f"The newest run is the undo of version {facts['reverted_version']}, and an undo cannot be undone. To "
                "fix: choose the version to undo with `ledger_version`. To bring back what was undone, run the export "
                "again."
            )
        target = versions.target(version)
        _find_people(sql, versions, target)
        if sql.single_row("select count(*) from undo_people") != (0,):
            return target
    exports_only = (version for version in candidates if not versions.facts[version].get("reverted_version"))
    return versions.target(next(exports_only, candidates[0]))


def _find_people(sql: Engine, versions: _Versions, target: UndoTarget) -> None:
    """Create `undo_people`, by `change`: people that the version `added`, `removed` or `released`.

    A call without a response counts as done, so a version that began to remove a person has removed them. A released
    person is still a member because another export has a claim. `changed_later`: a later version that does
    not revert this one has another state, claim or content of the person. A person who left on their own since then
    does not count as changed, and neither does a person that a verification has marked to be sent again.
    """
    bit, slot = f"{target.sharer_bit}::ubigint", target.sharer_bit.bit_length() - 1

    def rows(version: int, alias: str) -> str:
        """Return SQL of a version's rows; `claimed`: this export has a claim."""
        if not version:
            return (
                f"(select '' as email, false as is_member, false as claimed, 0::ubigint as others where false) {alias}"
            )
        return f"""(select email, state, run, {own_hash(slot)} as own, state = '{MEMBER}' as is_member,
            state in ('{MEMBER}', '{REMOVING}') and (coalesce(sharers_mask, 0)::ubigint & {bit}) <> 0 as claimed,
            state in ('{REMOVED}', '{REMOVING}') and not claimed as is_out,
            coalesce(sharers_mask, 0)::ubigint & ~({bit}) as others, coalesce(existed, false) as existed,
            coalesce(barred, 0)::ubigint as barred
            from {sql.scan([versions.ledger.file(version)])}) {alias}"""

    reverting = [
        str(facts.get("by")) for facts in versions.facts.values() if facts.get("reverted_version") == target.version
    ]
    runs = ", ".join(map(literal, reverting)) or "''"
    sql.run(
        f"""create or replace table version_changes as
        select n.email, n.state, n.run, n.claimed, n.is_out, n.own, coalesce(o.is_member, false) as was_member,
            coalesce(o.others, 0)::ubigint as others_before,
            case when n.claimed then 'added' when n.is_out then 'removed' else 'released' end as change
        from {rows(target.version, "n")} left join {rows(target.first - 1, "o")} on o.email = n.email
        where (n.claimed and not coalesce(o.claimed, false))
            or (n.is_out and coalesce(o.is_member, false))
            or (n.is_member and not n.claimed and coalesce(o.claimed, false))"""
    )
    sql.run(
        f"""create or replace table undo_people as
        select v.email, v.change, c.state, c.own, c.claimed, c.others,
            c.existed or (v.was_member and v.others_before = 0 and c.others = 0) as existed,
            c.barred & ~({bit}) as barred_by_others,
            c.run not in ({runs}) and c.state not in ('{LEFT}', '{REMOVING}') and not (v.is_out and c.is_out)
                and (c.state is distinct from v.state or c.claimed is distinct from v.claimed
                or (c.own is distinct from v.own and not (c.own is null and c.run is not distinct from v.run)))
                as changed_later
        from version_changes v join {rows(max(versions.facts), "c")} on c.email = v.email"""
    )


def create_tables(sql: Engine, target: UndoTarget) -> int:
    """Create the tables of a plan that reverts the version; return the number of people to add again.

    A person with a claim of another export stays in the audience, and so does a person who was a member before any
    export. A person that another export has barred is not added; this export's own bar is lifted. A person that an
    earlier attempt of this undo has sent without getting a response is sent again.
    """
    removals.create_tables(sql)
    removals.add_leavers(
        sql,
        f"""(select email, others as sharers_mask from undo_people
        where change = 'added' and (state = '{REMOVING}' or (state = '{MEMBER}' and claimed)) and not existed)""",
    )
    removals.change_sharers(sql, "leavers where sharers_mask <> 0", "sharers_mask")
    removals.keep(sql, removals.SHARED, "sharers_mask <> 0")
    stay = f"undo_people where change = 'added' and state = '{MEMBER}' and claimed and existed"
    removals.change_sharers(sql, stay, "others")
    released = f"undo_people where change = 'released' and state = '{MEMBER}' and not claimed"
    removals.change_sharers(sql, released, f"others | {target.sharer_bit}::ubigint")
    people = clean.use_emails(
        sql,
        f"""(select email from undo_people where change = 'removed' and barred_by_others = 0
            and (state in ('{REMOVED}', '{REMOVING}') or (state = '{MEMBER}' and own is null)))""",
    )
    removals.lift_bars(sql)
    return people

"""Ends an export's use of an audience: hands its people over to another export, or gives them up.

Only the ledger and its standing change; no vendor is called.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_segexport.errors import FatalError
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.duckdb_engine import Engine, engine
from airflow_provider_segexport.storage.history import latest, ledger_paths
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.ledger import MAYBE_MEMBER, Ledger
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.run_folder import safe_name

RUN = "segexport/release"
"""The name in the lease and in the ledger's version."""


@dataclass(frozen=True, slots=True)
class Release:
    """What is asked for.

    Attributes:
        export: the export that ends.
        to: the export that takes its people over; empty where they are given up.
        keep: of people given up, those whom no other export holds stay in the audience for good.
    """

    export: str
    to: str = ""
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a release does.

    Attributes:
        alone: people whom only this export holds.
        together: people whom it holds with others.
        others: the other exports that use the audience.
        renames: the export that takes over has not used the audience before.
    """

    path: StoragePath
    alone: int
    together: int
    others: tuple[str, ...]
    renames: bool


def audience(root: StoragePath, name: str) -> StoragePath:
    """Find an audience by the vendor's id, or by `vendor/account/audience` where the id is not enough.

    Raises:
        FatalError: there is none, or more than one.
    """
    places = {f"{one.parent.parent.name}/{one.parent.name}/{one.name}": one for one in ledger_paths(root)}
    field_mapping = [
        path
        for path, one in places.items()
        if name == path or one.name in {name, safe_name(name)} or (latest(one) or {}).get("audience") == name
    ]
    if len(field_mapping) == 1:
        return places[field_mapping[0]]
    if not field_mapping:
        raise FatalError(f"No audience {name!r} has a ledger. Audiences: {', '.join(sorted(places)) or 'none'}.")
    raise FatalError(f"{name!r} names several audiences. To fix: give one of {', '.join(sorted(field_mapping))}.")


def look(path: StoragePath, what: Release) -> Outlook:
    """Count the people whom a release is about.

    Raises:
        FatalError: the export does not use the audience, or a run of it has not ended.
    """
    state = AudienceState.of(path)
    if not what.export or what.export not in state.sharers:
        known = ", ".join(name for name in state.sharers if name) or "none"
        raise FatalError(f"The export {what.export!r} does not use this audience. Exports that do: {known}.")
    if what.to == what.export:
        raise FatalError(f"The export {what.export!r} cannot be handed over to itself. To fix: correct `--to`.")
    if what.to and what.keep:
        raise FatalError("`--keep` and `--to` exclude each other. To fix: leave one of them out.")
    if state.open_run_folder:
        raise FatalError(
            f"The run {state.run!r} has not ended, so the ledger does not know yet what it did. To fix: let it end, "
            "or start an export to this audience, which brings the ledger up to date first."
        )
    ledger = Ledger(path)
    alone = together = 0
    if version := ledger.version():
        bit = f"{state.sharer_bit(what.export)}::ubigint"
        with engine() as sql:
            alone, together = sql.one(
                f"""select count(*) filter (sharers_mask = {bit}), count(*) filter (sharers_mask <> {bit})
                from {sql.scan([ledger.file(version)])} where state in {MAYBE_MEMBER} and (sharers_mask & {bit}) <> 0"""
            )
    renames = bool(what.to) and what.to not in state.sharers
    return Outlook(path, alone, together, state.others(what.export), renames)


def release(
    path: StoragePath,
    what: Release,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    alive: Callable[[str], bool | None] = lambda _: None,
) -> Outlook:
    """Release the export, while no run writes the audience; returns what was done.

    Args:
        path: of the audience's ledger.
        what: the export, and what becomes of its people.
        clock: epoch seconds.
        sleep: lets time pass.
        alive: whether the holder of a lease still runs.

    Raises:
        AudienceLocked: a run writes the audience.
        FatalError: the release is not possible.
    """
    lease = Lease(path, f"{RUN}/{secrets.token_hex(4)}", clock=clock, sleep=sleep, alive=alive)
    lease.acquire()
    try:
        outlook = look(path, what)
        state = AudienceState.of(path)
        ledger = Ledger(path, lease)
        if ledger.version():
            with engine() as sql:
                _commit(sql, ledger, state, what, renames=outlook.renames)
        _without(state, what, outlook).write(path, lease)
    finally:
        lease.release()
    return outlook


def _commit(sql: Engine, ledger: Ledger, state: AudienceState, what: Release, *, renames: bool) -> None:
    """Write the ledger's next version, with the claims as they are from here on."""
    version = ledger.version()
    rows = f"select * from {sql.scan([ledger.file(version)])}"
    if not renames:
        bit = f"{state.sharer_bit(what.export)}::ubigint"
        taker = f"{state.sharer_bit(what.to)}::ubigint" if what.to else "0::ubigint"
        sharers_mask, barred = (
            f"if(({name} & {bit}) <> 0, ({name} & ~{bit}) | {taker}, {name})" for name in ("sharers_mask", "barred")
        )
        alone = f"state in {MAYBE_MEMBER} and sharers_mask = {bit} and (coalesce(barred, 0) & ~{bit}) = 0"
        staying = f"where not ({alone})" if what.keep else ""
        rows = f"select * replace ({sharers_mask} as sharers_mask, {barred} as barred) from ({rows} {staying})"
    facts = ledger.facts(version)
    exports = dict(facts.get("exports", {}))
    entry = exports.pop(what.export, None)
    if renames and entry:
        exports[what.to] = entry
    members = sql.one(f"select count(*) from ({rows}) where state in {MAYBE_MEMBER}")[0]
    kept: dict[str, Any] = {name: facts[name] for name in ("as_of", "run") if name in facts}
    ledger.commit(sql.stream(rows), version, {**kept, "exports": exports, "by": RUN, "members": str(members)})


def _without(state: AudienceState, what: Release, outlook: Outlook) -> AudienceState:
    """The standing without the export, or with the other name in its place."""
    new = what.to if outlook.renames else ""
    sharers = tuple(new if name == what.export else name for name in state.sharers)
    owner = state.owner
    if owner == what.export:
        owner = what.to or next((name for name in sharers if name), "")
    by_export: dict[str, Any] = {
        name: _renamed(getattr(state, name), what.export, new) for name in ("begun", "optouts_at", "resend", "fields")
    }
    return replace(state, owner=owner, sharers=sharers, **by_export)


def _renamed(by_export: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """The same values under an export's new name; without them where it has none."""
    kept = {name: value for name, value in by_export.items() if name != old}
    return {**kept, new: by_export[old]} if new and old in by_export else kept

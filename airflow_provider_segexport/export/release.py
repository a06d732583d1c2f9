"""End an export's use of an audience: transfer its claims to another export, or give them up.

Only the ledger and the audience state change. No vendor is called.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_segexport.errors import FatalError
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.duckdb_engine import Engine, engine
from airflow_provider_segexport.storage.folder_names import safe_name
from airflow_provider_segexport.storage.history import latest, ledger_paths
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_facts import SHARER_BITS
from airflow_provider_segexport.storage.ledger_schema import MAYBE_MEMBER
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.vendors.directory import name_in, same_name

RUN = "segexport/release"
"""The name of a release in the lease and in the ledger's version."""


@dataclass(frozen=True, slots=True)
class Release:
    """A request to release an export.

    Attributes:
        export: the export that ends.
        to: the export that gets its claims; empty to give them up.
        keep: whether people without a claim of another export stay in the audience for good. They are deleted from
            the ledger.
    """

    export: str
    to: str = ""
    keep: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseEffect:
    """The effect of a release.

    Attributes:
        path: folder of the audience's ledger.
        alone: number of people with a claim of this export only.
        together: number of people with claims of this export and of others.
        others: the other exports that use the audience.
        renames: whether the export that gets the claims has not used the audience before, so that it gets the position
            of the released export.
    """

    path: StoragePath
    alone: int
    together: int
    others: tuple[str, ...]
    renames: bool


def audience(root: StoragePath, name: str) -> StoragePath:
    """Find an audience by the vendor's id, by `name:Newsletter`, or by `vendor/account/audience` if that is ambiguous.

    Args:
        root: the state path.
        name: the user's text. A name is compared with that of the audience's last run.

    Raises:
        FatalError: no audience matches, or more than one does.
    """
    paths = {f"{path.parent.parent.name}/{path.parent.name}/{path.name}": path for path in ledger_paths(root)}
    matches = [full_name for full_name, path in paths.items() if name == full_name or _is_named(path, name)]
    if len(matches) == 1:
        return paths[matches[0]]
    if not matches:
        raise FatalError(
            f"No audience {name!r} has a ledger. Audiences: {', '.join(sorted(paths)) or 'none'}. To fix: give one of "
            "these, or check `[segexport] state_path`."
        )
    raise FatalError(f"{name!r} names several audiences. To fix: give one of {', '.join(sorted(matches))}.")


def _is_named(path: StoragePath, name: str) -> bool:
    """Return whether an id, or a name behind `name:`, is that of the audience with this ledger."""
    if path.name in {name, safe_name(name)}:
        return True
    entry = latest(path) or {}
    wanted = name_in(name)
    return entry.get("audience") == name or (wanted is not None and same_name(str(entry.get("audience_name")), wanted))


def look(path: StoragePath, request: Release) -> ReleaseEffect:
    """Count the people that a release concerns.

    Raises:
        FatalError: the export does not use the audience, or a run of it has not ended.
    """
    state = AudienceState.of(path)
    if not request.export or request.export not in state.sharers:
        exports = ", ".join(name for name in state.sharers if name) or "none"
        raise FatalError(
            f"The export {request.export!r} does not use this audience. Exports that do: {exports}. To fix: name one "
            "of these."
        )
    if request.to == request.export:
        raise FatalError(f"The export {request.export!r} cannot be transferred to itself. To fix: correct `--to`.")
    if request.to and request.keep:
        raise FatalError("`--keep` and `--to` exclude each other. To fix: leave one of them out.")
    if state.open_run_folder:
        raise FatalError(
            f"The run {state.run!r} has not ended, so the ledger does not know yet what it did. To fix: let it end, "
            "or start an export to this audience, which brings the ledger up to date first."
        )
    if state.doubts:
        raise FatalError(
            "A run of this audience was superseded and has not confirmed its stop, so the ledger may not know yet what "
            "it did. To fix: start an export to this audience, a day after that run was superseded, then release."
        )
    ledger = Ledger(path)
    alone = together = 0
    if version := ledger.version():
        bit = f"{state.sharer_bit(request.export)}::ubigint"
        with engine() as sql:
            alone, together = sql.single_row(
                f"""select count(*) filter (sharers_mask = {bit}), count(*) filter (sharers_mask <> {bit})
                from {sql.scan([ledger.file(version)])} where state in {MAYBE_MEMBER} and (sharers_mask & {bit}) <> 0"""
            )
    renames = bool(request.to) and request.to not in state.sharers
    return ReleaseEffect(path, alone, together, state.others(request.export), renames)


def release(
    path: StoragePath,
    request: Release,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    alive: Callable[[str], bool | None] = lambda _: None,
) -> ReleaseEffect:
    """Release the export while no run writes the audience; return the effect.

    Args:
        path: folder of the audience's ledger.
        request: the export, and what happens to its claims.
        clock: returns epoch seconds.
        sleep: sleeps for seconds.
        alive: returns whether the holder of a lease still runs; None if it is unknown.

    Raises:
        AudienceLocked: a run writes the audience.
        FatalError: the release is not possible.
    """
    lease = Lease(path, f"{RUN}/{secrets.token_hex(4)}", clock=clock, sleep=sleep, is_task_running=alive)
    lease.acquire()
    try:
        effect = look(path, request)
        state = AudienceState.of(path)
        released = _without(state, request, effect)
        ledger = Ledger(path, lease)
        if ledger.version():
            with engine() as sql:
                _commit(sql, ledger, state, released, request, renames=effect.renames)
        released.write(path, lease)
    finally:
        lease.release()
    return effect


def _commit(  # noqa: PLR0913 - a version of the ledger needs each
    sql: Engine, ledger: Ledger, state: AudienceState, released: AudienceState, request: Release, *, renames: bool
) -> None:
    """Write the ledger's next version with the changed claims, from the state before and after the release."""
    version = ledger.version()
    rows = f"select * from {sql.scan([ledger.file(version)])}"
    if not renames:
        bit = f"{state.sharer_bit(request.export)}::ubigint"
        new_bit = f"{state.sharer_bit(request.to)}::ubigint" if request.to else "0::ubigint"
        sharers_mask, barred = (
            f"if(({name} & {bit}) <> 0, ({name} & ~{bit}) | {new_bit}, {name})" for name in ("sharers_mask", "barred")
        )
        alone = f"state in {MAYBE_MEMBER} and sharers_mask = {bit} and (coalesce(barred, 0) & ~{bit}) = 0"
        staying = f"where not ({alone})" if request.keep else ""
        rows = f"select * replace ({sharers_mask} as sharers_mask, {barred} as barred) from ({rows} {staying})"
    facts = ledger.facts(version)
    exports = dict(facts.get("exports", {}))
    entry = exports.pop(request.export, None)
    if renames and entry:
        exports[request.to] = entry
    unchanged: dict[str, Any] = {name: facts[name] for name in ("as_of", "run") if name in facts}
    unchanged[SHARER_BITS] = {name: released.sharer_bit(name) for name in released.sharers if name}
    ledger.commit(sql.stream(rows), version, {**unchanged, "exports": exports, "by": RUN})


def _without(state: AudienceState, request: Release, effect: ReleaseEffect) -> AudienceState:
    """Return the audience state without the export, or with the other export in its position."""
    new = request.to if effect.renames else ""
    sharers = tuple(new if name == request.export else name for name in state.sharers)
    owner = state.owner
    if owner == request.export:
        owner = request.to or next((name for name in sharers if name), "")
    by_export: dict[str, Any] = {
        name: _renamed(getattr(state, name), request.export, new)
        for name in ("begun", "last_runs", "optouts_at", "optouts_version")
    }
    return replace(state, owner=owner, sharers=sharers, **by_export)


def _renamed(by_export: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """Return the values under the export's new name, or without them if it has none."""
    others = {name: value for name, value in by_export.items() if name != old}
    return {**others, new: by_export[old]} if new and old in by_export else others

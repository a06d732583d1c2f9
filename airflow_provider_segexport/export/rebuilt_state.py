"""Rebuilds the state of an audience whose file is damaged: `ledger, run history, run folders -> audience state`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from operator import itemgetter

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.history import run_history
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.run_folder import RunFolder


def rebuilt_state(ledger: Ledger) -> AudienceState:
    """Return the audience state by its run history: the exports that use it, in the order of their first runs."""
    sharers = list(dict.fromkeys(str(run["export_name"]) for run in run_history(ledger.path) if run.get("export_name")))
    exports = ledger.facts().get("exports", {}) if ledger.version() else {}
    sharers += [name for name in exports if name not in sharers]
    begun = {name: facts["as_of"] for name, facts in exports.items() if facts.get("as_of")}
    owner = sharers[0] if sharers else ""
    return AudienceState(owner=owner, shared=len(sharers) > 1, sharers=tuple(sharers), begun=begun)


def unfinished_run(ledger: Ledger, folders: Iterable[RunFolder]) -> RunFolder | None:
    """Return the run of an audience whose results may not be in the ledger yet; None if there is none.

    It is the run whose plan was frozen last, if that run has not finished: a plan is frozen only after the results of
    every earlier run are in the ledger.

    Args:
        ledger: of the audience.
        folders: of all runs, which may be those of other audiences.
    """
    root = ledger.path.parent.parent.parent.parent
    begun: list[tuple[int, float, RunFolder]] = []
    for folder in folders:
        with suppress(DamagedState):  # whose audience it is cannot be read
            frozen = folder.plan(check_journals=False)
            if frozen is not None and Ledger.of(root, frozen[1].vendor, frozen[1].audience).path == ledger.path:
                begun.append((frozen[1].ledger_version, frozen[1].started_at, folder))
    newest = max(begun, key=itemgetter(0, 1), default=None)
    return newest[2] if newest is not None and not _is_in_ledger(newest[2]) else None


def _is_in_ledger(folder: RunFolder) -> bool:
    try:
        report = folder.summary() or {}
    except DamagedState:
        return False
    return bool(report.get("finished") or report.get("set_aside"))

"""Rebuilds the state of an audience whose file is damaged: `ledger, run history, run folders -> audience state`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from operator import itemgetter

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.history import run_history
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_facts import FINISHED, SHARER_BITS
from airflow_provider_segexport.storage.plan import PlanFacts
from airflow_provider_segexport.storage.run_folder import RunFolder


def rebuilt_state(ledger: Ledger, unfinished: PlanFacts | None = None) -> AudienceState:
    """Return the audience state: its exports by the ledger's bits, and the newest snapshot that each has started.

    A ledger of an earlier version of this package does not hold the bits. The exports are then those of the history, in
    the order of their first runs.

    Args:
        ledger: the audience's ledger.
        unfinished: facts of the unfinished run's plan; None if there is no such run.
    """
    facts = ledger.facts()
    exports = facts.get("exports", {})
    bits: dict[str, int] = dict(facts.get(SHARER_BITS, {}))
    begun = {name: export["as_of"] for name, export in exports.items() if export.get("as_of")}
    recorded = [str(run["export_name"]) for run in run_history(ledger.path) if run.get("export_name")]
    names = [name for name in recorded if name in exports] if bits else recorded
    if unfinished is not None:
        bits[unfinished.export_name] = unfinished.sharer_bit
        as_of = unfinished.restores.get("as_of", "") if unfinished.reverted_version else unfinished.as_of
        begun[unfinished.export_name] = as_of
    sharers = _in_order_of_bits(bits, (*names, *exports))
    used = [name for name in sharers if name]
    begun = {name: as_of for name, as_of in begun.items() if as_of}
    return AudienceState(owner=used[0] if used else "", shared=len(used) > 1, sharers=sharers, begun=begun)


def _in_order_of_bits(bits: Mapping[str, int], names: Iterable[str]) -> tuple[str, ...]:
    """Return each export at the position of its bit, and the names without a bit at the first free positions."""
    sharers = [""] * max((bit.bit_length() for bit in bits.values()), default=0)
    for name, bit in bits.items():
        sharers[bit.bit_length() - 1] = name
    for name in dict.fromkeys(names):
        if name not in bits:
            at = sharers.index("") if "" in sharers else len(sharers)
            sharers[at : at + 1] = [name]
    return tuple(sharers)


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
        with suppress(DamagedState):  # the plan does not show which audience it is for
            frozen = folder.plan(check_journals=False)
            if frozen is not None and Ledger.of(root, frozen[1].vendor, frozen[1].audience).path == ledger.path:
                begun.append((frozen[1].ledger_version, frozen[1].started_at, folder))
    newest = max(begun, key=itemgetter(0, 1), default=None)
    return newest[2] if newest is not None and not _is_in_ledger(newest[2], ledger, newest[0]) else None


def _is_in_ledger(folder: RunFolder, ledger: Ledger, planned_version: int) -> bool:
    """Return whether the run has finished or was set aside, or a run has finished since, which has recovered it."""
    for version in ledger.versions():
        with suppress(DamagedState):
            facts = ledger.facts(version) if version > planned_version else {}
            if facts.get(FINISHED):
                return True
    try:
        report = folder.summary() or {}
    except DamagedState:
        return False
    return bool(report.get("finished") or report.get("set_aside"))

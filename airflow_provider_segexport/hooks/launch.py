"""Puts an export together from a hook and what a task was told, and runs it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.errors import AudienceBusy, OlderThanLedger, QuotaSpent, SegexportError
from airflow_provider_segexport.export import Export, Order, Waiting, World
from airflow_provider_segexport.hooks import metrics
from airflow_provider_segexport.hooks.errand import Errand, done_before, folder_for, order_of, run_folder
from airflow_provider_segexport.hooks.peers import alive, deployment, gone
from airflow_provider_segexport.hooks.progress import Progress
from airflow_provider_segexport.hooks.state import resolve
from airflow_provider_segexport.ports.pace import next_look

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook

__all__ = ["Errand", "Patient", "launch", "run_folder"]

log = logging.getLogger(__name__)

FIRST_LOOK_S = 0.5
GRACE_S = 5.0
"""So long a worker looks itself before it hands the waiting to the triggerer: most small jobs are done by then."""


@dataclass(slots=True)
class Patient:
    """Decides between looking again and leaving, each time that there is nothing to do but wait.

    Attributes:
        interval_s: the longest time between two looks; the first ones come sooner.
        leaves: hand the waiting to the triggerer after the grace.
        just_back: jobs have ended already: look at once.
        sleep: lets time pass.
        for_vendor: the seconds that calls have waited for the vendor so far.
        calls: how many calls went out so far.
    """

    interval_s: float
    leaves: bool = False
    just_back: bool = False
    sleep: Callable[[float], None] = time.sleep
    for_vendor: Callable[[], float] = lambda: 0.0
    calls: Callable[[], int] = lambda: 0
    _wait_s: float = FIRST_LOOK_S
    _waited_s: float = 0.0
    _seen_s: float = 0.0
    _seen_calls: int = 0

    def __call__(self, jobs: int) -> bool:
        """Wait and return True to look; False to leave. `jobs` are in flight.

        A look is one call a job at most. More calls than that since the last one: jobs have ended, and others have
        taken their place, whose first looks come sooner again.
        """
        before_calls, self._seen_calls = self._seen_calls, self.calls()
        if self._seen_calls - before_calls > jobs:
            self._wait_s = FIRST_LOOK_S
            self._seen_s = self.for_vendor()  # batches waited for the quota, and not looks
        if self.just_back:
            self.just_back = False
            return True
        if self.leaves and self._waited_s >= GRACE_S:
            return False
        before, self._seen_s = self._seen_s, self.for_vendor()
        wait = next_look(min(self._wait_s, self.interval_s), self._seen_s - before)
        self.sleep(wait)
        self._waited_s += wait
        self._wait_s *= 1.5
        return True


def launch(hook: SegmentExportHook, errand: Errand, patient: Patient | None = None) -> dict[str, Any] | Waiting:
    """Run the export as far as it goes: its report, or what it waits for."""
    order = order_of(hook, errand)
    if report := done_before(errand, order):
        log.info("An earlier try has done all of it, and its worker ended before Airflow knew: %s", report["report"])
        Progress(run_folder(errand), hook.clock).end()
        return report
    sender = hook.sender()
    folder = folder_for(errand, order)
    log.info("%s Run folder: %s", _announced(hook, order), folder.place)
    progress = Progress(folder, hook.clock)
    patient = patient or Patient(interval_s=10, sleep=hook.wait)
    patient.for_vendor = lambda: sender.traffic.waited_s
    patient.calls = lambda: sender.traffic.calls
    world = World(
        send=sender,
        folder=folder,
        root=errand.root,
        pause=patient,
        resolve=resolve,
        clock=hook.clock,
        sleep=hook.wait,
        tell=progress.tell,
        alive=alive,
        gone=gone,
        airflow=deployment,
        quota_left=sender.quota_left,
    )
    try:
        progress.tell({"phase": "checking"})
        found = Export(hook.vendor, hook.settings.access, order, world).run()
    except SegexportError as error:
        if isinstance(error, OlderThanLedger):
            progress.end()
        else:
            waits = isinstance(error, (AudienceBusy, QuotaSpent))
            progress.tell({"phase": "waiting" if waits else "stopped", "why": str(error)})
        metrics.broken(hook.vendor.name, error)
        raise
    else:
        if isinstance(found, Waiting):
            progress.tell({"phase": "waiting", "jobs": len(found.tickets)})
        else:
            progress.end()
        metrics.ended(hook.vendor.name, found)
        return found
    finally:
        sender.close()
        metrics.traffic(hook.vendor.name, sender.traffic)


def _announced(hook: SegmentExportHook, order: Order) -> str:
    """What is about to be done, in words."""
    where = f"{hook.vendor.title} {hook.vendor.audience_word} {order.audience} through connection {hook.conn_id}"
    dry = " Nothing is sent: this is a dry run." if order.dry_run else ""
    if order.undo:
        version = "the newest version" if order.undo.version is None else f"version {order.undo.version}"
        return f"Taking back {version} of the ledger at {where}.{dry}"
    what = order.segment if isinstance(order.segment, str) else ", ".join(order.segment)
    return f"Exporting {what} to {where}: mode {order.mode}, as of {order.as_of}.{dry}"

"""Puts an export together from a hook and what a task was told, and runs it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.errors import AudienceBusy, OlderThanLedger, QuotaSpent, SegexportError
from airflow_provider_segexport.export import Export, Order, Waiting, World
from airflow_provider_segexport.hooks import metrics
from airflow_provider_segexport.hooks.errand import Errand, done_before, folder_for, order_of, run_folder
from airflow_provider_segexport.hooks.patient import Patient
from airflow_provider_segexport.hooks.peers import alive, deployment, gone
from airflow_provider_segexport.hooks.progress import Progress
from airflow_provider_segexport.hooks.state import resolve
from airflow_provider_segexport.hooks.tidying import tidy
from airflow_provider_segexport.ports.quiet_logs import quiet

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook
    from airflow_provider_segexport.ports.http import Sender

__all__ = ["Errand", "Patient", "launch", "run_folder"]

log = logging.getLogger(__name__)

LOOKS_PER_JOB_TIMEOUT = 10
"""A `poll_interval` near `job_timeout` would find out late that the time is over."""


@quiet()
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
    _equip(patient, hook, sender, order)
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
            tidy(errand, hook.clock())
        metrics.ended(hook.vendor.name, found)
        return found
    finally:
        sender.close()
        metrics.traffic(hook.vendor.name, sender.traffic)


def _equip(patient: Patient, hook: SegmentExportHook, sender: Sender, order: Order) -> None:
    """Let a patient see the traffic and the clock of its run."""
    patient.interval_s = min(patient.interval_s, order.job_timeout / LOOKS_PER_JOB_TIMEOUT)
    patient.for_vendor = lambda: sender.traffic.waited_s
    patient.calls = lambda: sender.traffic.calls
    patient.beat = hook.beat


def _announced(hook: SegmentExportHook, order: Order) -> str:
    """What is about to be done, in words."""
    where = f"{hook.vendor.title} {hook.vendor.audience_word} {order.audience} through connection {hook.conn_id}"
    dry = " Nothing is sent: this is a dry run." if order.dry_run else ""
    if order.undo:
        version = "the newest version" if order.undo.version is None else f"version {order.undo.version}"
        return f"Taking back {version} of the ledger at {where}.{dry}"
    shown = order.shown_segment
    what = shown if isinstance(shown, str) else ", ".join(shown)
    return f"Exporting {what} to {where}: mode {order.mode}, as of {order.as_of}.{dry}"

"""The conductor: knows the order of the stages, and where a run that was interrupted goes on.

All that a run knows lies in its run folder, so there is one way in: `Export.run`. It plans what is not planned, sends
what is not sent, waits for the jobs that run, and reports. A first try, a retry, a return from deferral and another
machine all call it alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_segexport.access import Access
from airflow_provider_segexport.contract import Vendor
from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.export.close import close, name
from airflow_provider_segexport.export.late import is_late, without_leavers
from airflow_provider_segexport.export.order import MOST_PROFILES, Job, Mode, Older, Order, Waiting, World
from airflow_provider_segexport.export.prepare import prepare
from airflow_provider_segexport.model import Target, VendorField
from airflow_provider_segexport.stages import send, settle

__all__ = ["MOST_PROFILES", "Export", "Mode", "Older", "Order", "Waiting", "World"]


class Export:
    """One export of one segment to one audience."""

    def __init__(self, vendor: Vendor, access: Access, order: Order, world: World) -> None:
        self._job = Job(vendor, access, order, world)

    def run(self) -> dict[str, Any] | Waiting:
        """Do what is left to do; the report, or what is waited for.

        Raises:
            StopExport: a person must act; what was done is in the report.
            TryAgain: the vendor cannot be reached; another try goes on where this one stopped.
        """
        job, world, vendor = self._job, self._job.world, self._job.vendor
        planned, facts = world.folder.plan() or prepare(job)
        target = _target(facts["target"])
        books = settle.Bookkeeper(world.folder)
        pending = settle.remaining(world.folder, planned.batches)
        if is_late(job, facts["started_at"]):
            pending = without_leavers(job, target, pending, books.answered)
        flight = send.Flight(pending)
        calls = send.Calls(
            upsert=lambda batch: job.drive(vendor.upsert(target, batch)),
            poll=lambda tickets: job.drive(vendor.poll(target, tickets)),
            collect=lambda batch, ticket: job.drive(vendor.collect(target, batch, ticket)),
            sending=books.sending,
            answered=books.answered,
        )
        try:
            tickets = send.send(flight, calls, vendor.limits, pause=world.pause, stop=books.why_stop)
            if tickets:
                more = bool(flight.waiting) or not flight.exhausted
                return Waiting(tuple(tickets), enough=(len(tickets) + 1) // 2 if more else len(tickets))
            name(job, planned, target)
        except (send.Stopped, SegexportError) as ended:
            error = ended.error if isinstance(ended, send.Stopped) else ended
            close(job, planned, facts, target, error)
            raise error from None
        return close(job, planned, facts, target)


def _target(facts: Mapping[str, Any]) -> Target:
    """The target as the plan keeps it."""
    fields = {name: VendorField(**found) for name, found in facts["fields"].items()}
    return Target(**{**facts, "fields": fields, "notes": tuple(facts["notes"])})

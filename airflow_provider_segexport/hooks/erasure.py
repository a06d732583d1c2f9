"""What an erasure needs of Airflow: connections by the ids that audiences' cards name, and the state's root."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_provider_segexport.errors import InvalidConnection
from airflow_provider_segexport.hooks.paths import resolve, state_path
from airflow_provider_segexport.hooks.task_state import is_task_running
from airflow_provider_segexport.person.erase import ErasureDeps
from airflow_provider_segexport.person.vendor_removal import VendorRemover
from airflow_provider_segexport.storage.takeover import longest_call_s
from airflow_provider_segexport.vendors.registry import VENDORS

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook
    from airflow_provider_segexport.person.explain import PersonRecord
    from airflow_provider_segexport.person.person import Person


def tools(hook_of: Callable[[str], SegmentExportHook], sleep: Callable[[float], None] = time.sleep) -> ErasureDeps:
    """Hands for an erasure; `hook_of` makes the hook of a connection, or says why it may not be used."""

    def at_the_vendor(known: PersonRecord, person: Person) -> str:
        if not known.conn_id:
            raise InvalidConnection(
                "The audience's card names no connection: take the person out at the vendor by hand."
            )
        hook = hook_of(known.conn_id)
        if hook.vendor.name != known.vendor:
            raise InvalidConnection(f"Connection {known.conn_id!r} is of another vendor by now, {hook.vendor.title}.")
        target = hook.resolve_audience(known.audience)
        contact_id = str((known.ledger or {}).get("contact_id") or "")
        return VendorRemover(hook.vendor, target, hook.run_operation, hook.interruptible_sleep).take_out(
            person.email, contact_id
        )

    def marks(known: PersonRecord) -> bool:
        return known.vendor in VENDORS and VENDORS[known.vendor].resubscribe_removed is not None

    def seconds(known: PersonRecord) -> float:
        return longest_call_s(VENDORS[known.vendor]) if known.vendor in VENDORS else 0.0

    return ErasureDeps(
        state_path(),
        resolve,
        at_the_vendor,
        clock=time.time,
        sleep=sleep,
        is_task_running=is_task_running,
        longest_call_s=seconds,
        marks=marks,
    )

"""Connects an erasure with Airflow: with its connections, the state path, and the states of tasks."""

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
    from airflow_provider_segexport.hooks.session import VendorSession
    from airflow_provider_segexport.person.explain import PersonRecord
    from airflow_provider_segexport.person.person import Person


def erasure_deps(
    get_session: Callable[[str], VendorSession], sleep: Callable[[float], None] = time.sleep
) -> ErasureDeps:
    """Return what `person.erase` needs.

    Args:
        get_session: returns the session of a connection id, or raises if the caller may not use the connection.
        sleep: waits some seconds.
    """

    def remove_at_vendor(record: PersonRecord, person: Person) -> str:
        """Take the person out of the record's audience; return what was done."""
        if not record.conn_id:
            raise InvalidConnection(
                "The audience's history names no connection. To fix: remove the person at the vendor by hand."
            )
        session = get_session(record.conn_id)
        if session.vendor.name != record.vendor:
            raise InvalidConnection(
                f"Connection {record.conn_id!r} is of vendor {session.vendor.title} now, but the audience is at "
                f"{record.vendor}. To fix: remove the person at the vendor by hand."
            )
        # The ledger holds an id, which may begin with `name:` where an audience is a tag.
        audience = session.run_operation(session.vendor.resolve_audience(session.settings.endpoint, record.audience))
        remover = VendorRemover(session.vendor, audience, session.run_operation, session.interruptible_sleep)
        return remover.remove(person.email)

    def refuses_deleted(record: PersonRecord) -> bool:
        return record.vendor in VENDORS and VENDORS[record.vendor].resubscribe_removed is not None

    def call_limit_s(record: PersonRecord) -> float:
        return longest_call_s(VENDORS[record.vendor]) if record.vendor in VENDORS else 0.0

    return ErasureDeps(
        state_path(),
        resolve,
        remove_at_vendor,
        clock=time.time,
        sleep=sleep,
        is_task_running=is_task_running,
        longest_call_s=call_limit_s,
        marks=refuses_deleted,
    )

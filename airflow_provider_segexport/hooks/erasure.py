"""What an erasure needs of Airflow: connections by the ids that audiences' cards name, and the state's root."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_provider_segexport.errors import BadConnection
from airflow_provider_segexport.hooks.peers import alive
from airflow_provider_segexport.hooks.state import resolve, state_root
from airflow_provider_segexport.person.erase import Tools
from airflow_provider_segexport.person.removal import Door
from airflow_provider_segexport.ports.takeover import longest_call_s
from airflow_provider_segexport.vendors import VENDORS

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook
    from airflow_provider_segexport.person.explain import Known
    from airflow_provider_segexport.person.whom import Person


def tools(hook_of: Callable[[str], SegmentExportHook], sleep: Callable[[float], None] = time.sleep) -> Tools:
    """Hands for an erasure; `hook_of` makes the hook of a connection, or says why it may not be used."""

    def at_the_vendor(known: Known, person: Person) -> str:
        if not known.conn_id:
            raise BadConnection("The audience's card names no connection: take the person out at the vendor by hand.")
        hook = hook_of(known.conn_id)
        if hook.vendor.name != known.vendor:
            raise BadConnection(f"Connection {known.conn_id!r} is of another vendor by now, {hook.vendor.title}.")
        target = hook.target(known.audience)
        contact_id = str((known.ledger or {}).get("contact_id") or "")
        return Door(hook.vendor, target, hook.call, hook.wait).take_out(person.email, contact_id)

    def marks(known: Known) -> bool:
        return known.vendor in VENDORS and VENDORS[known.vendor].revive is not None

    def seconds(known: Known) -> float:
        return longest_call_s(VENDORS[known.vendor]) if known.vendor in VENDORS else 0.0

    return Tools(
        state_root(),
        resolve,
        at_the_vendor,
        clock=time.time,
        sleep=sleep,
        alive=alive,
        longest_call_s=seconds,
        marks=marks,
    )

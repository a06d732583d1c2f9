"""Leases an audience for a single operation of a hook: `session, audience -> lease during a block`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.hooks.task_state import is_holder_gone, is_task_running
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.takeover import holding_lease, longest_call_s

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.session import VendorSession
    from airflow_provider_segexport.model import Audience


@contextmanager
def hold_audience(
    session: VendorSession,
    audience: Audience,
    operation: str,
    *,
    detail: str = "",
    is_running: Callable[[str], bool | None] = is_task_running,
) -> Iterator[None]:
    """Hold the lease of an audience during the block. Calls of this thread are sent only while the lease is held.

    Args:
        session: the account; its clock is used.
        audience: the audience.
        operation: name of the operation, one word, for the error that another run gets.
        detail: identifies this process; empty for random digits.
        is_running: returns whether the holder of an earlier lease still runs; None if that is unknown.

    Raises:
        AudienceLocked: a run is writing the audience.
    """
    path = Ledger.of(state_path(), session.vendor.name, audience).path
    owner = f"segexport/{operation}/{detail or secrets.token_hex(4)}"
    lease = Lease(
        path,
        owner,
        clock=session.clock,
        sleep=session.interruptible_sleep,
        is_task_running=is_running,
        is_holder_gone=is_holder_gone,
    )
    with holding_lease(lease, Ledger(path, lease), longest_call_s(session.vendor), session.clock):
        yield

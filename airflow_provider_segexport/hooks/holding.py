"""Holds an audience for one of a hook's own operations: `hook, audience -> its lease, while the operation runs`."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.hooks.task_state import is_holder_gone, is_task_running
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.takeover import held, longest_call_s

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook
    from airflow_provider_segexport.model import Audience


@contextmanager
def holding(hook: SegmentExportHook, audience: Audience, what: str) -> Iterator[None]:
    """Be the audience's one writer; each call of this thread leaves only while it is.

    Args:
        hook: of the account; its clock counts.
        audience: the audience.
        what: is done, in a word for the message that another run gets.

    Raises:
        AudienceLocked: a run writes the audience.
    """
    place = Ledger.of(state_path(), hook.vendor.name, audience).path
    owner = f"segexport/{what}/{secrets.token_hex(4)}"
    lease = Lease(
        place, owner, clock=hook.clock, sleep=hook.interruptible_sleep, alive=is_task_running, gone=is_holder_gone
    )
    with held(lease, Ledger(place, lease), longest_call_s(hook.vendor), hook.clock):
        yield

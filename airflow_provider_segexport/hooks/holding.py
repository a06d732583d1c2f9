"""Holds an audience for one of a hook's own operations: `hook, audience -> its lease, while the operation runs`."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_segexport.hooks.peers import alive, gone
from airflow_provider_segexport.hooks.state import state_root
from airflow_provider_segexport.ports.lease import Lease
from airflow_provider_segexport.ports.ledger import Ledger
from airflow_provider_segexport.ports.takeover import held, longest_call_s

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook
    from airflow_provider_segexport.model import Target


@contextmanager
def holding(hook: SegmentExportHook, target: Target, what: str) -> Iterator[None]:
    """Be the audience's one writer; each call of this thread leaves only while it is.

    Args:
        hook: of the account; its clock counts.
        target: the audience.
        what: is done, in a word for the message that another run gets.

    Raises:
        AudienceBusy: a run writes the audience.
    """
    place = Ledger.of(state_root(), hook.vendor.name, target).place
    owner = f"segexport/{what}/{secrets.token_hex(4)}"
    lease = Lease(place, owner, clock=hook.clock, sleep=hook.wait, alive=alive, gone=gone)
    with held(lease, Ledger(place, lease), longest_call_s(hook.vendor), hook.clock):
        yield

"""What whoever takes an audience over does first: lets calls of the last holder end, and names its run as in doubt."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from airflow_provider_segexport.fencing import fenced
from airflow_provider_segexport.storage.audience_state import AudienceState, Doubt
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.vendors.base import CONNECT_TIMEOUT_S, Vendor

log = logging.getLogger(__name__)


def longest_call_s(vendor: Vendor) -> float:
    """Seconds from a call's last check to its end."""
    limits = [vendor.limits, *([vendor.removal.limits] if vendor.removal else [])]
    return max(limit.timeout_s for limit in limits) + CONNECT_TIMEOUT_S


def take_over(lease: Lease, ledger: Ledger, seconds: float, clock: Callable[[], float], own: str = "") -> None:
    """Let calls of the last holder come to their end, if it has neither given the audience back nor left it.

    A holder that takes the lease and does not come here, such as `airflow segexport release`, leaves that to the next.

    Args:
        lease: of the audience, which has been taken.
        ledger: of the audience; from here on nothing that the last holder writes is a version of it.
        seconds: that a call may take.
        clock: epoch seconds.
        own: run folder of this run: what an earlier try of it did is in the same journal, and is no doubt.
    """
    if not lease.unclean:
        return
    ledger.seal()
    state = AudienceState.of(ledger.path)
    if state.open_run_folder:
        log.info(
            "Waiting for the last call of a superseded run (folder=%s seconds=%.0f).", state.open_run_folder, seconds
        )
        if not lease.wait_for_stop(state.writer_token, seconds) and state.open_run_folder != own:
            doubts = tuple(doubt for doubt in state.doubts if doubt.folder != state.open_run_folder)
            doubt = Doubt(state.open_run_folder, state.writer_token, clock())
            replace(state, doubts=(*doubts, doubt)).write(ledger.path, ledger.fence)
    lease.unclean = False


@contextmanager
def held(lease: Lease, ledger: Ledger, seconds: float, clock: Callable[[], float]) -> Iterator[None]:
    """Be the audience's one writer for one operation; each call of this thread leaves only while the lease holds.

    Args:
        lease: of the audience; it is taken here, and given back at the end.
        ledger: of the audience, fenced by the lease.
        seconds: that a call may take.
        clock: epoch seconds.

    Raises:
        AudienceLocked: a run writes the audience.
    """
    try:
        lease.acquire()
        take_over(lease, ledger, seconds, clock)
        with fenced(lease.check):
            yield
    finally:
        lease.release()

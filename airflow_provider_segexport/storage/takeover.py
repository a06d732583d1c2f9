"""Takes an audience over: waits for the last holder's calls, and records its run if it does not confirm their end."""

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
    """Return the maximum seconds from a call's last fence check to its end."""
    limits = [vendor.limits, *([vendor.removal.limits] if vendor.removal else [])]
    return max(limit.timeout_s for limit in limits) + CONNECT_TIMEOUT_S


def take_over(
    lease: Lease, ledger: Ledger, longest_call_s: float, clock: Callable[[], float], own_run_folder: str = ""
) -> None:
    """Wait for the calls of the last holder to end, if it neither released the lease nor deferred.

    A holder that does not call this function, such as `airflow segexport release`, leaves the wait to the next holder.

    Args:
        lease: the audience's lease, which this process has acquired.
        ledger: the audience's ledger. From here on, nothing that the last holder writes becomes a version of it.
        longest_call_s: maximum seconds of a call.
        clock: returns epoch seconds.
        own_run_folder: this run's folder. If the last holder was an earlier attempt of this run, it is not recorded,
            because this attempt reads the same journal.
    """
    if not lease.unclean:
        return
    ledger.seal()
    state = AudienceState.of(ledger.path)
    if state.open_run_folder:
        log.info(
            "Waiting for the last call of a superseded run (folder=%s, seconds=%.0f)",
            state.open_run_folder,
            longest_call_s,
        )
        if not lease.wait_for_stop(state.writer_token, longest_call_s) and state.open_run_folder != own_run_folder:
            doubts = tuple(doubt for doubt in state.doubts if doubt.folder != state.open_run_folder)
            doubt = Doubt(state.open_run_folder, state.writer_token, clock())
            replace(state, doubts=(*doubts, doubt)).write(ledger.path, ledger.fence)
    lease.unclean = False


@contextmanager
def holding_lease(lease: Lease, ledger: Ledger, longest_call_s: float, clock: Callable[[], float]) -> Iterator[None]:
    """Hold the lease of an audience until the block ends. This thread sends calls only while it holds the lease.

    Args:
        lease: the audience's lease; acquired here, and released at the end.
        ledger: the audience's ledger, fenced by the lease.
        longest_call_s: maximum seconds of a call.
        clock: returns epoch seconds.

    Raises:
        AudienceLocked: a run is writing the audience.
    """
    try:
        lease.acquire()
        take_over(lease, ledger, longest_call_s, clock)
        with fenced(lease.check):
            yield
    finally:
        lease.release()

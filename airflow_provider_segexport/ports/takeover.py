"""What whoever takes an audience over does first: lets calls of the last holder end, and names its run as in doubt."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from airflow_provider_segexport.contract import Vendor
from airflow_provider_segexport.ports.fencing import fenced
from airflow_provider_segexport.ports.http import CONNECT_TIMEOUT_S
from airflow_provider_segexport.ports.lease import Lease
from airflow_provider_segexport.ports.ledger import Ledger
from airflow_provider_segexport.ports.standing import Doubt, Standing

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
    standing = Standing.of(ledger.place)
    if standing.open:
        log.info("Waiting for the last call of a superseded run (folder=%s seconds=%.0f).", standing.open, seconds)
        if not lease.wait_for_stop(standing.mark, seconds) and standing.open != own:
            doubts = tuple(doubt for doubt in standing.doubts if doubt.folder != standing.open)
            doubt = Doubt(standing.open, standing.mark, clock())
            replace(standing, doubts=(*doubts, doubt)).write(ledger.place, ledger.fence)
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
        AudienceBusy: a run writes the audience.
    """
    try:
        lease.take()
        take_over(lease, ledger, seconds, clock)
        with fenced(lease.check):
            yield
    finally:
        lease.release()

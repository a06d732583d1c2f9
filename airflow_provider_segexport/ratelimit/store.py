"""Types of a rate limit store: the call that is counted, and the protocol of SQLite, Redis and PostgreSQL stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from airflow_provider_segexport.model import RemainingQuota

ACCOUNT_SCOPE = "all"
"""The scope of the account's own rates. Every call counts for it."""


@dataclass(frozen=True, slots=True)
class QuotaCall:
    """One call to the vendor, as it is counted.

    Attributes:
        call_id: unique over all tasks and machines.
        scopes: the rate scopes that it counts for; the first is `ACCOUNT_SCOPE`.
        sent_at: epoch seconds, by this machine's clock.
    """

    call_id: str
    scopes: tuple[str, ...]
    sent_at: float


class QuotaStore(Protocol):
    """Counts the calls of one account by rate scope. Threads may share it."""

    def acquire(self, call: QuotaCall) -> float:
        """Count a call for all its scopes and return 0, or count nothing and return the seconds until it may fit."""

    def record_latency(self, call: QuotaCall, now: float, min_latency_s: float) -> None:
        """Move a slow call from the moment it was sent to the moment it may have reached the vendor.

        Args:
            call: a call that `acquire` has counted.
            now: epoch seconds at which its response arrived, or at which the caller gave up.
            min_latency_s: seconds that every call takes at least. They delay all calls alike, so they do not count.
        """

    def record_remaining(self, scope: str, reported: RemainingQuota, now: float) -> None:
        """Store the remaining quota that the vendor reports.

        Args:
            scope: the rate scope that the report is about.
            reported: calls left until a time. With 0 calls left, the scope is closed until then.
            now: epoch seconds.
        """

    def remaining(self, now: float) -> int | None:
        """Return the calls left of the day's limit or of the vendor's report; None if the account has neither."""

    def close(self) -> None:
        """Close the file or connection."""

"""Types of a rate limit store: a counted call, and the protocol of the SQLite, Redis and PostgreSQL stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from airflow_provider_segexport.model import RemainingQuota

ACCOUNT_SCOPE = "all"
"""The scope of the account's rates. Every call counts against it."""


@dataclass(frozen=True, slots=True)
class QuotaCall:
    """One counted call to the vendor.

    Attributes:
        call_id: unique over all tasks and machines.
        scopes: the rate scopes that it counts against; the first is `ACCOUNT_SCOPE`.
        sent_at: epoch seconds, by this machine's clock.
    """

    call_id: str
    scopes: tuple[str, ...]
    sent_at: float


class QuotaStore(Protocol):
    """Counts the calls of one account by rate scope. Threads may share it."""

    def acquire(self, call: QuotaCall) -> float:
        """Count a call against all its scopes and return 0, or count nothing and return the seconds to wait."""

    def record_latency(self, call: QuotaCall, now: float, min_latency_s: float) -> None:
        """Move a slow call's count from the time when it was sent to the time when it may have reached the vendor.

        Args:
            call: a call that `acquire` has counted.
            now: epoch seconds when its response arrived, or when the caller stopped waiting.
            min_latency_s: minimum latency of all calls in seconds. It delays all calls equally, so it is ignored.
        """

    def record_remaining(self, scope: str, reported: RemainingQuota, now: float) -> None:
        """Store the remaining quota that the vendor reports.

        Args:
            scope: the rate scope that the report is about.
            reported: the calls left until a time. With 0 calls left, the scope is closed until then.
            now: epoch seconds.
        """

    def remaining(self, now: float) -> int | None:
        """Return the remaining calls by the daily limit and the vendor's report; None if the account has neither."""

    def close(self) -> None:
        """Close the file or connection."""

"""When a task that may succeed later is tried again: at the time that the vendor has named (Airflow 3.3, AIP-105)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from airflow_provider_segexport.operators.failures import RetryLater

LONGEST_S = 86_400.0

retry_policy: Callable[[], Any] | None
"""Makes the policy that a task has which names none of its own; None where Airflow knows of no such thing."""

try:
    from airflow.sdk import RetryDecision, RetryPolicy
except ImportError:
    retry_policy = None
else:

    class AsTheVendorAsks(RetryPolicy):
        """Waits for as long as the vendor asks, in place of `retry_delay`; how often is up to `retries`."""

        def evaluate(
            self, exception: BaseException, try_number: int, max_tries: int, context: Any = None
        ) -> RetryDecision:
            """A vendor that has said when to come back is believed."""
            del try_number, max_tries, context
            after = exception.after if isinstance(exception, RetryLater) else None
            if not after:
                return RetryDecision.default()
            wait = timedelta(seconds=min(after, LONGEST_S))
            return RetryDecision.retry(delay=wait, reason=f"The vendor asks to wait for {after:.0f} s.")

        def serialize(self) -> dict[str, Any]:
            """It has nothing to keep."""
            return {}

        @classmethod
        def deserialize(cls, data: dict[str, Any]) -> AsTheVendorAsks:
            """The same again."""
            del data
            return cls()

    retry_policy = AsTheVendorAsks

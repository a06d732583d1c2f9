"""Lets a failed task wait before its retry for as long as the vendor asks (Airflow 3.3, AIP-105)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from airflow_provider_segexport.hooks.failures import RetryLater

MAX_WAIT_S = 86_400.0
"""Longest wait between two tries, in seconds: one day, because quotas are renewed daily at the latest."""

retry_policy: Callable[[], Any] | None
"""Creates the default retry policy of a task; None if this Airflow has no retry policies."""

try:
    from airflow.sdk import RetryDecision, RetryPolicy
except ImportError:
    retry_policy = None
else:

    class VendorRetryPolicy(RetryPolicy):
        """Replaces `retry_delay` by the time that the vendor asks for; `retries` still limits the number of tries."""

        def evaluate(
            self, exception: BaseException, try_number: int, max_tries: int, context: Any = None
        ) -> RetryDecision:
            """Return the delay that the vendor asks for, or Airflow's default."""
            del try_number, max_tries, context
            after_s = exception.retry_after_s if isinstance(exception, RetryLater) else None
            if not after_s:
                return RetryDecision.default()
            wait = timedelta(seconds=min(after_s, MAX_WAIT_S))
            return RetryDecision.retry(delay=wait, reason=f"The vendor asks to wait for {after_s:.0f} s.")

        def serialize(self) -> dict[str, Any]:
            """Return no settings, because the policy has none."""
            return {}

        @classmethod
        def deserialize(cls, data: dict[str, Any]) -> VendorRetryPolicy:
            """Return a policy."""
            del data
            return cls()

    retry_policy = VendorRetryPolicy

"""Limits the retries of a task, over all its calls and threads.

Works like the AWS SDKs' retry quota in standard mode (docs.aws.amazon.com/sdkref, "Retry behavior", and botocore's
`retries/quota.py`; read 2026-11): each retry takes tokens from a bucket, and successful calls return some.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock

MAX_TOKENS = 100
"""Tokens of a new task: enough for twenty consecutive retries."""

RETRY_COST_TOKENS = 5
"""Tokens that a retry takes. A call that succeeds after retries returns the tokens of one retry."""

SUCCESS_TOKENS = 1
"""Tokens that a call returns if it succeeds at its first attempt. Five such calls pay for one retry."""


@dataclass(slots=True)
class RetryBudget:
    """The tokens of one task. Threads may share it."""

    tokens: int = MAX_TOKENS
    _lock: Lock = field(default_factory=Lock)

    def spend(self) -> bool:
        """Take the tokens for one retry; return False if too few are left."""
        with self._lock:
            if self.tokens < RETRY_COST_TOKENS:
                return False
            self.tokens -= RETRY_COST_TOKENS
            return True

    def record_success(self, attempts: int) -> None:
        """Return tokens for a call that succeeded; `attempts` is the number of its attempts, including the last."""
        with self._lock:
            self.tokens = min(MAX_TOKENS, self.tokens + (RETRY_COST_TOKENS if attempts > 1 else SUCCESS_TOKENS))

"""How often a task may try again in all, whatever number of calls and threads it has: `failed call -> again, or not`.

As the AWS SDKs' retry quota in standard mode (docs.aws.amazon.com/sdkref, "Retry behavior", and botocore's
`retries/quota.py`; read 2026-11): a bucket of tokens, from which each try again takes some. Calls that succeed bring
them back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock

CAPACITY, COST, BACK = 100, 5, 1
"""Twenty tries again in a row, and in the long run one for five calls that succeed at once."""


@dataclass(slots=True)
class RetryBudget:
    """The tokens of one task; safe to use from several threads."""

    left: int = CAPACITY
    _lock: Lock = field(default_factory=Lock)

    def spend(self) -> bool:
        """Whether another try may be made; it is paid for then."""
        with self._lock:
            if self.left < COST:
                return False
            self.left -= COST
            return True

    def succeeded(self, tries: int) -> None:
        """A call has been answered at its first try, or at a later one, which is given back."""
        with self._lock:
            self.left = min(CAPACITY, self.left + (COST if tries > 1 else BACK))

"""Delays calls so that all threads and tasks of an account together stay below the vendor's rate limits.

The calls are counted in a store that all tasks of the account share. The remaining quota that the vendor reports goes
into the same store, because other programs use the account too.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

from airflow_provider_segexport.errors import RateLimited
from airflow_provider_segexport.model import RemainingQuota, Request, Response
from airflow_provider_segexport.ratelimit.store import ACCOUNT_SCOPE, QuotaCall, QuotaStore
from airflow_provider_segexport.vendors.base import Vendor

SCOPE_NAME = re.compile(r"[A-Za-z0-9][\w .:/-]{0,63}")
"""The scope names that are accepted from a response. The store's own entries begin with `_`."""

USUAL_LATENCY_S = 0.5
"""Assumed latency of a call in seconds, until a faster call is measured. Latency beyond that of the fastest call may be
a delay on the way to the vendor."""

POLL_TIME_SHARE = 0.2
"""While the rate limit is exhausted, polls wait for it for at most this share of the time, because each poll uses a
call that another task could make."""

MAX_POLL_INTERVAL_S = 60.0
"""Maximum seconds between two polls, however long the rate limit delayed the first poll."""


def next_poll_s(interval_s: float, waited_s: float) -> float:
    """Return the seconds until the next poll.

    Args:
        interval_s: the interval without a rate limit, in seconds.
        waited_s: seconds that the rate limit delayed the last poll.
    """
    return max(interval_s, min(waited_s / POLL_TIME_SHARE, MAX_POLL_INTERVAL_S))


class RateLimiter:
    """Blocks each call until the account's rate limits allow it.

    Args:
        vendor: the vendor, whose limits, retry hints and quota headers apply.
        store: counts the calls of the account.
        max_wait_s: maximum seconds to block. A longer wait raises `RateLimited`, so the caller can release its slot.
        backfill: the store reserves calls for scheduled runs, and the error says so.
        sleep: waits for seconds.
        clock: returns epoch seconds.
        uptime: returns the seconds of a clock that never jumps, to measure latency; None to use `clock`.
        raise_if_stopped: called before each attempt; raises if the task must end.
    """

    def __init__(  # noqa: PLR0913 - keyword-only settings and dependencies
        self,
        vendor: Vendor,
        store: QuotaStore,
        *,
        max_wait_s: float,
        backfill: bool = False,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        raise_if_stopped: Callable[[], None],
        uptime: Callable[[], float] | None = None,
    ) -> None:
        self._vendor = vendor
        self._store = store
        self._max_wait_s = max_wait_s
        self._backfill_hint = " A backfill leaves a part of it to scheduled runs." if backfill else ""
        self._sleep = sleep
        self._clock = clock
        self._uptime = uptime or clock
        self._raise_if_stopped = raise_if_stopped
        self._reported_scopes: dict[str, str] = {}
        self._task_id = secrets.token_hex(6)
        self._call_numbers = count()
        self._thread = threading.local()
        self._min_latency_s = USUAL_LATENCY_S

    def __call__(self, request: Request) -> float:
        """Wait until the call may be sent, count it, and return the seconds waited.

        Raises:
            RateLimited: the wait would be longer than `max_wait_s`.
        """
        scopes = self._scopes(request)
        waited_s = 0.0
        while True:
            self._raise_if_stopped()
            sent_uptime = self._uptime()
            call = QuotaCall(f"{self._task_id}-{next(self._call_numbers)}", scopes, self._clock())
            wait_s = self._store.acquire(call)
            if wait_s <= 0:
                self._thread.call, self._thread.sent_uptime = call, sent_uptime
                return waited_s
            if waited_s + wait_s > self._max_wait_s:
                resumes_at = datetime.fromtimestamp(self._clock() + wait_s, UTC)
                raise RateLimited(
                    f"The rate limit of this {self._vendor.title} account is used up until "
                    f"{resumes_at:%Y-%m-%d %H:%M:%S} UTC, by this task and other clients of the "
                    f"account.{self._backfill_hint}",
                    retry_after_s=wait_s,
                )
            self._sleep(wait_s)
            waited_s += wait_s

    def record_response(self, request: Request, response: Response | None) -> None:
        """Correct the counts by a response: by its latency, and by the quota in its headers or its 429.

        The vendor counts a call when it arrives, which is between sending the call and its response. A call without a
        response (None) may have arrived just now. The latency that all calls share shifts all of them equally, so it is
        ignored.
        """
        now = self._clock()
        call: QuotaCall | None = getattr(self._thread, "call", None)
        if call is not None:
            self._thread.call = None
            latency_s = self._uptime() - self._thread.sent_uptime
            self._min_latency_s = min(self._min_latency_s, latency_s)
            self._store.record_latency(call, call.sent_at + latency_s, self._min_latency_s)
        if response is None:
            return
        hint = self._vendor.retry_hint(response, now)
        reported = self._vendor.remaining_quota(response, now) if self._vendor.remaining_quota else None
        if reported is not None and SCOPE_NAME.fullmatch(reported.rate_scope):
            self._reported_scopes[_endpoint(request)] = reported.rate_scope
        scope = self._scopes(request)[-1]
        if isinstance(hint, RateLimited) and hint.retry_after_s is not None:
            self._store.record_remaining(scope, RemainingQuota(0, now + hint.retry_after_s), now)
        elif reported is not None:
            self._store.record_remaining(scope, reported, now)

    def _scopes(self, request: Request) -> tuple[str, ...]:
        """Return the rate scopes that a request counts against, the narrowest last."""
        published = request.rate_scope if request.rate_scope in self._vendor.limits.scoped_rates else ""
        reported = self._reported_scopes.get(_endpoint(request), "")
        return tuple(scope for scope in (ACCOUNT_SCOPE, published, reported) if scope)

    def remaining(self) -> int | None:
        """Return the remaining calls by the daily limit and the vendor's report; None if the account has neither."""
        return self._store.remaining(self._clock())

    def close(self) -> None:
        """Close the store."""
        self._store.close()


def _endpoint(request: Request) -> str:
    """Return method and URL with ids and addresses masked.

    All calls of one endpoint count against one scope. Only a response contains that scope's name.
    """
    return f"{request.method} {re.sub(r'/[^/]*([0-9][^/]{5,}|%40[^/]*)', '/*', request.url)}"

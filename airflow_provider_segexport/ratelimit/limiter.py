"""Keeps an account's calls under its quotas, whatever number of threads and tasks shares it: `request -> wait`.

What we send is counted in a book that all tasks of an account share; what the vendor says of what is left goes into the
same book, since others use the account too.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Protocol

from airflow_provider_segexport.errors import InvalidConnection, RateLimited
from airflow_provider_segexport.model import RemainingQuota, Request, Response
from airflow_provider_segexport.vendors.base import Limits, Vendor

ALL = "all"
"""The pool that every call of an account counts for."""


POOL = re.compile(r"[A-Za-z0-9][\w .:/-]{0,63}")
"""The names of pools that are taken from a response: the quota store keeps names of its own, which begin with `_`."""

ORDINARY_S = 0.5
"""So long an ordinary answer takes: what every call took beyond that may have been delay on the way there."""


LACKING = (
    "`[segexport] rate_limit_store` names a server whose client is not installed here: "
    "`pip install 'airflow-provider-segexport[{}]'`."
)


POLL_SHARE, MAX_POLL_INTERVAL_S = 0.2, 60.0
"""While the quota is used up, looking for ended jobs takes so much of the time at most, and waits no longer for it."""


def next_poll_s(interval_s: float, waited_s: float) -> float:
    """Seconds until jobs are looked at again, where the last look had to wait so long for the vendor to let it.

    Calls that look are calls that nobody else can make.
    """
    return max(interval_s, min(waited_s / POLL_SHARE, MAX_POLL_INTERVAL_S))


@dataclass(frozen=True, slots=True)
class QuotaCall:
    """A call that counts for pools from the moment it left; `mark` tells it from all others."""

    mark: str
    pools: tuple[str, ...]
    sent_at: float


class QuotaStore(Protocol):
    """Where the calls of one account are counted, by pools; safe to use from several threads."""

    def acquire(self, call: QuotaCall) -> float:
        """Count a call for all its pools and return 0; or count nothing and return the seconds until it may fit."""

    def record_latency(self, call: QuotaCall, now: float, quickest: float) -> None:
        """Count a call that took long from when it may have reached the vendor, not from when it left."""

    def record_remaining(self, pool: str, allowance: RemainingQuota, now: float) -> None:
        """Keep what the vendor says is left of a pool; nothing left closes it until then."""

    def remaining(self, now: float) -> int | None:
        """Calls left of the day, or as the vendor told; None where nothing of the kind is counted."""

    def close(self) -> None:
        """Let go of what was opened."""


class RateLimiter:
    """Lets a call out when the account's quotas have room for it.

    Args:
        longest_s: a longer wait is the caller's to decide: it may give its place back meanwhile.
        backfill: the book leaves room for others, and a wait is told so.
        gate: asked before every look; raises when the task is to end.
    """

    def __init__(  # noqa: PLR0913 - each is one thing the world gives
        self,
        vendor: Vendor,
        book: QuotaStore,
        *,
        longest_s: float,
        backfill: bool = False,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        gate: Callable[[], None],
    ) -> None:
        self._vendor = vendor
        self._book = book
        self._longest_s = longest_s
        self._why = " A backfill leaves a part of it to scheduled runs." if backfill else ""
        self._sleep = sleep
        self._clock = clock
        self._gate = gate
        self._learned: dict[str, str] = {}
        self._mark = secrets.token_hex(6)
        self._numbers = count()
        self._thread = threading.local()
        self._quickest = ORDINARY_S

    def __call__(self, request: Request) -> float:
        """Wait for room, count the call, and tell the seconds waited."""
        pools = self._pools(request)
        waited = 0.0
        while True:
            self._gate()
            call = QuotaCall(f"{self._mark}-{next(self._numbers)}", pools, self._clock())
            wait = self._book.acquire(call)
            if wait <= 0:
                self._thread.call = call
                return waited
            if waited + wait > self._longest_s:
                at = datetime.fromtimestamp(self._clock() + wait, UTC)
                raise RateLimited(
                    f"The quota of this {self._vendor.title} account is used up, by this task and whatever else uses "
                    f"the account; it has room again at {at:%Y-%m-%d %H:%M:%S} UTC.{self._why}",
                    retry_after_s=wait,
                )
            self._sleep(wait)
            waited += wait

    def record_response(self, request: Request, response: Response | None) -> None:
        """Correct the count by what an answer says: a header with what is left, or a refusal with a time.

        No answer (None) may mean that the call has reached the vendor just now. All that is known of when it did lies
        between leaving and answer; what every call of ours takes at least shifts them alike and does not count.
        """
        now = self._clock()
        call: QuotaCall | None = getattr(self._thread, "call", None)
        if call is not None:
            self._thread.call = None
            self._quickest = min(self._quickest, now - call.sent_at)
            self._book.record_latency(call, now, self._quickest)
        if response is None:
            return
        later = self._vendor.retry_hint(response, now)
        left = self._vendor.remaining_quota(response, now) if self._vendor.remaining_quota else None
        if left is not None and POOL.fullmatch(left.rate_scope):
            self._learned[_kind(request)] = left.rate_scope
        pool = self._pools(request)[-1]
        if isinstance(later, RateLimited) and later.retry_after_s is not None:
            self._book.record_remaining(pool, RemainingQuota(0, now + later.retry_after_s), now)
        elif left is not None:
            self._book.record_remaining(pool, left, now)

    def _pools(self, request: Request) -> tuple[str, ...]:
        """The pools that a request counts for, the narrowest last."""
        named = request.rate_scope if request.rate_scope in self._vendor.limits.scoped_rates else ""
        return tuple(pool for pool in (ALL, named, self._learned.get(_kind(request), "")) if pool)

    def remaining(self) -> int | None:
        """Calls that the account has left of the day, or as the vendor told; None where nobody knows."""
        return self._book.remaining(self._clock())

    def close(self) -> None:
        """Close the book."""
        self._book.close()


def _kind(request: Request) -> str:
    """A request without ids and addresses: calls of one kind count for one pool, whose name only the answer tells."""
    return f"{request.method} {re.sub(r'/[^/]*([0-9][^/]{5,}|%40[^/]*)', '/*', request.url)}"


def account_mark(vendor: str, api: str, account: str) -> str:
    """A name for an account that tells nothing of it: credentials may be part of what it is told by."""
    return f"{vendor}-{hashlib.blake2b(f'{api}|{account}'.encode(), digest_size=10).hexdigest()}"


def open_store(store: str, name: str, limits: Limits, *, backfill: bool = False) -> QuotaStore:
    """The book of an account in a store: a folder of this machine, or a server that all machines share.

    Only who sends needs the libraries, and only those of the store.
    """
    scheme, mark, _ = store.partition("://")
    match scheme.partition("+")[0] if mark else "file":
        case "file":
            from airflow_provider_segexport.ratelimit.sqlite import QuotaFile  # noqa: PLC0415

            return QuotaFile(store.removeprefix("file://"), name, limits, backfill=backfill)
        case "redis" | "rediss":
            try:
                from airflow_provider_segexport.ratelimit.redis import QuotaRedis  # noqa: PLC0415
            except ImportError:
                raise InvalidConnection(LACKING.format("redis")) from None
            return QuotaRedis(store, name, limits, backfill=backfill)
        case "postgresql" | "postgres":
            try:
                from airflow_provider_segexport.ratelimit.postgres import QuotaPostgres  # noqa: PLC0415
            except ImportError:
                raise InvalidConnection(LACKING.format("postgres")) from None
            return QuotaPostgres(store, name, limits, backfill=backfill)
        case other:
            raise InvalidConnection(
                f"`[segexport] rate_limit_store` begins with {other}://, and calls are counted in a folder that all "
                "workers of the machine can write to, or at redis://, rediss:// or postgresql://, which "
                "machines can share."
            )

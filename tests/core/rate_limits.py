"""Accounts whose calls are counted in a store, with a clock that only sleeping moves."""

from __future__ import annotations

import secrets
from dataclasses import replace

from core.factories import PLAIN
from quota_stores import forget

from airflow_provider_segexport.model import RemainingQuota, Request, Response
from airflow_provider_segexport.ratelimit.backends import open_store
from airflow_provider_segexport.ratelimit.limiter import RateLimiter

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
LONGER = 1 / 0.97
"""Factor by which a counted window is longer than the vendor's."""

NAME = f"account-{secrets.token_hex(4)}"
"""Servers are shared with other test runs."""

READ = Request("GET", "https://plain.test/people")
TAG = Request("POST", "https://plain.test/people/tags", rate_scope="tags")


def remaining_quota(response, now):
    """The quota in `x-left` and `x-until`, of the pool in `x-scope`."""
    if "x-left" not in response.headers:
        return None
    headers = response.headers
    return RemainingQuota(int(headers["x-left"]), float(headers["x-until"]), headers.get("x-scope", ""))


def vendor_of(*rates, connections=1, **pools):
    pools = {name: (rate,) for name, rate in pools.items()}
    limits = replace(PLAIN.limits, rates=rates, scoped_rates=pools, max_concurrency=connections)
    return replace(PLAIN, limits=limits, remaining_quota=remaining_quota)


class Account:
    """An account whose tasks share a folder, and a clock that only sleeping moves."""

    def __init__(self, store, vendor):
        self.store, self.vendor = store, vendor
        self.now = NOW
        self.opened = []

    def task(self, *, longest_s=1e9, gate=lambda: None, backfill=False):
        store = open_store(self.store, NAME, self.vendor.limits, backfill=backfill)
        settings = {"max_wait_s": longest_s, "backfill": backfill, "raise_if_stopped": gate}
        pace = RateLimiter(self.vendor, store, sleep=self.sleep, clock=lambda: self.now, **settings)
        self.opened.append(pace)
        return pace

    def sleep(self, seconds):
        self.now += seconds

    def leave(self, task, request=READ, calls=1):
        """Send calls; return when each was sent, in seconds since the beginning."""
        times = []
        for _ in range(calls):
            task(request)
            times.append(self.now - NOW)
        return times


def accounts(store):
    """Makes accounts whose calls are counted in a store, and forgets them afterwards."""
    made = []

    def make(*rates, **pools):
        made.append(Account(store, vendor_of(*rates, **pools)))
        return made[-1]

    yield make
    for opened_account in made:
        for pace in opened_account.opened:
            pace.close()
    if made:
        forget(store, NAME)


def answer(status=200, **headers):
    return Response(status, {name.replace("_", "-"): str(value) for name, value in headers.items()}, b"{}", READ.url)

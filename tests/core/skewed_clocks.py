"""Machines whose clocks differ or jump, and a vendor that counts their calls by the true time."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from core.factories import PLAIN
from quota_stores import forget

from airflow_provider_segexport.model import Rate, Request
from airflow_provider_segexport.ratelimit.backends import open_store
from airflow_provider_segexport.ratelimit.clocks import Machine
from airflow_provider_segexport.ratelimit.store import ACCOUNT_SCOPE, QuotaCall

NOW = 1_767_225_600.0 + 43_200  # 2026-01-01T12:00:00Z
HOUR, DAY = 3600.0, 86_400.0
WINDOW_S = 60.0
LONGEST_WAIT_S = WINDOW_S / 0.97 + 0.01
NAME = f"clocks-{secrets.token_hex(4)}"
READ = Request("GET", "https://plain.test/people")


class FakeVendor:
    """The vendor's true time, and the calls that reached the vendor."""

    def __init__(self, store: str, *rates: Rate) -> None:
        self.store = store
        self.limits = replace(PLAIN.limits, rates=rates)
        self.now = NOW
        self.sent: list[float] = []
        self.opened: list[Any] = []

    def worker(self, skew: float = 0.0, **options: Any) -> Worker:
        """Start a worker on a machine of its own, whose wall clock is ahead by `skew` seconds."""
        return Worker(self, f"machine-{len(self.opened)}", skew, **options)

    def busiest(self, seconds: float) -> int:
        """Return the most calls in any window."""
        return max((sum(start <= sent < start + seconds for sent in self.sent) for start in self.sent), default=0)

    def close(self) -> None:
        for store in self.opened:
            store.close()
        forget(self.store, NAME)


@dataclass
class Worker:
    """A task on a machine; `skew` may change while it runs."""

    fake_vendor: FakeVendor
    machine: str
    skew: float
    started: float = 0.0

    def __post_init__(self) -> None:
        self.calls = count()
        self.uptime_at_start = 1000.0 * (1 + len(self.fake_vendor.opened))
        self.born = self.fake_vendor.now
        self.open()

    def open(self) -> None:
        """Open the store, as another process of the machine does."""
        fake_vendor = self.fake_vendor
        clocks = Machine(self.machine, self.wall, self.uptime)
        self.store: Any = open_store(fake_vendor.store, NAME, fake_vendor.limits, machine=clocks)
        self.store._server_time = lambda: fake_vendor.now
        fake_vendor.opened.append(self.store)

    def wall(self) -> float:
        return self.fake_vendor.now + self.skew

    def uptime(self) -> float:
        return self.uptime_at_start + self.fake_vendor.now - self.born

    def restart_machine(self) -> None:
        """The machine is another one for the store, and its uptime starts again."""
        self.machine += "'"
        self.uptime_at_start, self.born = 5.0, self.fake_vendor.now
        self.open()

    def try_call(self) -> float:
        """Send a call if the store allows it; return 0, or the seconds to wait."""
        name = f"{self.machine}-{id(self)}-{next(self.calls)}"
        wait_s: float = self.store.acquire(QuotaCall(name, (ACCOUNT_SCOPE,), self.wall()))
        if wait_s <= 0:
            self.fake_vendor.sent.append(self.fake_vendor.now)
        return wait_s

    def call(self) -> float:
        """Send a call; return the seconds waited."""
        waited_s = 0.0
        while wait_s := self.try_call():
            assert wait_s > 0
            self.fake_vendor.now += wait_s
            waited_s += wait_s
        return waited_s

"""Runs processes that share one account's quota, with a clock that moves only when all of them sleep.

The clock does not move while any process works, so results do not depend on the machine's load.
"""

from __future__ import annotations

import random
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Client, Connection, Listener
from threading import Condition, Thread
from typing import Any, Self

import requests

from airflow_provider_segexport.http.client import Sender
from airflow_provider_segexport.model import Rate
from airflow_provider_segexport.ratelimit.backends import open_store
from airflow_provider_segexport.ratelimit.limiter import RateLimiter
from airflow_provider_segexport.simulator import ManualClock
from airflow_provider_segexport.vendors.omnisend import VENDOR
from airflow_provider_segexport.vendors.omnisend.responses import versioned
from airflow_provider_segexport.vendors.responses import get


class Timekeeper:
    """Moves a clock to the next waking when every one of so many sleepers sleeps."""

    def __init__(self, clock: ManualClock, sleepers: int) -> None:
        self.clock = clock
        self.sleepers = sleepers
        self._asleep: list[float] = []
        self._turned = Condition()

    def now(self) -> float:
        return self.clock.now()

    def sleep(self, seconds: float) -> None:
        with self._turned:
            until = self.clock.now() + max(seconds, 0.001)
            self._asleep.append(until)
            self._move()
            assert self._turned.wait_for(lambda: self.clock.now() >= until, timeout=120)

    def leave(self) -> None:
        """Remove one sleeper."""
        with self._turned:
            self.sleepers -= 1
            self._move()

    def _move(self) -> None:
        if self._asleep and len(self._asleep) == self.sleepers:
            self.clock.advance(min(self._asleep) - self.clock.now())
            self._asleep = [until for until in self._asleep if until > self.clock.now()]
            self._turned.notify_all()


class ClockServer:
    """Serves the timekeeper to threads of other processes, each over its own connection."""

    def __init__(self, keeper: Timekeeper) -> None:
        self.keeper = keeper
        self._listener = Listener(("127.0.0.1", 0))
        self.address = self._listener.address

    def __enter__(self) -> Self:
        Thread(target=self._open, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        socket.create_connection(self.address).close()  # wakes who listens

    def _open(self) -> None:
        with self._listener:
            while True:
                try:
                    line = self._listener.accept()
                except (EOFError, OSError):
                    return
                Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: Connection) -> None:
        with line, suppress(EOFError):
            while True:
                name, *arguments = line.recv()
                line.send(getattr(self.keeper, name)(*arguments))


class Time(threading.local):
    """A client of the timekeeper in another process."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._line = Client(address)

    def _ask(self, *call: object) -> Any:
        self._line.send(call)
        return self._line.recv()

    def now(self) -> float:
        return float(self._ask("now"))

    def sleep(self, seconds: float) -> None:
        self._ask("sleep", seconds)

    def leave(self) -> None:
        self._ask("leave")


@dataclass(frozen=True)
class Load:
    """The work of one process.

    Attributes:
        delay_s: maximum latency in seconds, of a call to the vendor and of its response.
    """

    office: tuple[str, int]
    api: str
    signs: str
    store: str
    account: str
    calls_a_minute: int
    threads: int
    calls: int
    delay_s: float
    seed: int
    backfill: bool = False


class Slow(requests.adapters.HTTPAdapter):
    """A transport with latency before and after each call."""

    def __init__(self, sleep: Any, dice: random.Random, delay_s: float) -> None:
        super().__init__()
        self._sleep, self._dice, self._delay_s = sleep, dice, delay_s

    def send(self, *args: Any, **options: Any) -> requests.Response:
        self._sleep(self._dice.uniform(0.05, self._delay_s))
        response = super().send(*args, **options)
        self._sleep(self._dice.uniform(0.05, self._delay_s))
        return response


def run(load: Load, reports: Any) -> None:
    """Send the calls in threads, and report the results."""
    time = Time(load.office)
    limits = replace(VENDOR.limits, rates=(Rate(load.calls_a_minute, 60),))
    vendor = replace(VENDOR, limits=limits)
    dice = random.Random(load.seed)

    def session() -> requests.Session:
        made = requests.Session()
        made.headers["Authorization"] = load.signs
        made.mount("http://", Slow(time.sleep, dice, load.delay_s))
        return made

    store = open_store(load.store, load.account, limits, backfill=load.backfill)
    pace = RateLimiter(vendor, store, max_wait_s=1e9, sleep=time.sleep, clock=time.now, raise_if_stopped=lambda: None)
    send = Sender(session, vendor, rate_limiter=pace, sleep=time.sleep, clock=time.now)
    brand = versioned(get(f"{load.api}/brands/current"))

    def work(_: int) -> list[tuple[int, float]]:
        try:
            return [(send(brand).status, time.now()) for _ in range(load.calls)]
        finally:
            time.leave()

    with ThreadPoolExecutor(load.threads) as pool:
        answers = [answer for answers in pool.map(work, range(load.threads)) for answer in answers]
    send.close()
    reports.put((load.seed, answers, send.traffic.retries))

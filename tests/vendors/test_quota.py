"""An account's quota over several processes: time passes for all of them together, when every thread waits."""

from __future__ import annotations

import json
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from heapq import heappop, heappush

import pytest

from airflow_provider_segexport.simulator import ManualClock, Simulator

CALLS_A_MINUTE, PROCESSES, THREADS, CALLS_EACH = 40, 4, 2, 20

TASK = """
import json, random, socket, sys, threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
import requests
from airflow_provider_segexport.model import Rate
from airflow_provider_segexport.ports.http import Sender
from airflow_provider_segexport.ports.pace import Pace, open_book
from airflow_provider_segexport.vendors.omnisend import VENDOR
from airflow_provider_segexport.vendors.omnisend.replies import versioned
from airflow_provider_segexport.vendors.replies import get

told = json.loads(sys.argv[1])
local = threading.local()

def day(line):
    if not hasattr(local, "day"):
        local.day = socket.create_connection(("127.0.0.1", told["day"])).makefile("rw")
    print(line, file=local.day, flush=True)
    return float(local.day.readline())

vendor = replace(VENDOR, limits=replace(VENDOR.limits, rates=(Rate(told["calls_a_minute"], 60),)))

class Network(requests.Session):
    def request(self, *given, **named):
        day(random.uniform(0.05, 0.2))
        answer = super().request(*given, **named)
        day(random.uniform(0.05, 0.2))
        return answer

def session():
    made = Network()
    made.headers["Authorization"] = "Omnisend-API-Key " + told["key"]
    return made

def call(calls):
    statuses = [send(brand).status for _ in range(calls)]
    day("leave")
    return statuses

book = open_book(told["folder"], "account", vendor.limits)
now = lambda: day(0)
pace = Pace(vendor, book, longest_s=1e9, sleep=day, clock=now, gate=lambda: None)
send = Sender(session, vendor, pace=pace, sleep=day, clock=now)
brand = versioned(get(told["api"] + "/brands/current"))
with ThreadPoolExecutor(told["threads"]) as pool:
    statuses = list(pool.map(call, [told["calls"] // told["threads"]] * told["threads"]))
send.close()
print(json.dumps({"retries": send.traffic.retries, "waited_s": send.traffic.waited_s}))
"""


class Day(ManualClock):
    """A clock that moves on to the next waking when all who share it are waiting, and never else."""

    def __init__(self, sharers: int) -> None:
        super().__init__()
        self._sharers = sharers
        self._wakings: list[float] = []
        self._moved = threading.Condition()

    def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
        with self._moved:
            until = self.now() + seconds
            heappush(self._wakings, until)
            self._move_on()
            self._moved.wait_for(lambda: self.now() >= until)

    def leave(self) -> None:
        with self._moved:
            self._sharers -= 1
            self._move_on()

    def _move_on(self) -> None:
        if self._wakings and len(self._wakings) >= self._sharers:
            self.advance(max(0.0, self._wakings[0] - self.now()))
            while self._wakings and self._wakings[0] <= self.now():
                heappop(self._wakings)
            self._moved.notify_all()


@pytest.fixture
def day() -> Day:
    return Day(PROCESSES * THREADS)


@pytest.fixture
def port(day: Day) -> Iterator[int]:
    """Where other processes find the day: a line with seconds to sleep, or `leave`, is answered with the time then."""

    class Shared(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                if line.strip() == b"leave":
                    day.leave()
                else:
                    day.sleep(float(line))
                self.wfile.write(f"{day.now()!r}\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Shared) as server:
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield server.server_address[1]
        server.shutdown()
        serving.join()


def test_four_processes_share_one_accounts_quota(tmp_path, day, port):
    """None of them ever sees a 429 of its own making, and together they use the quota up."""
    settings = {"omnisend": {"calls_per_minute": CALLS_A_MINUTE}}
    with Simulator(clock=day, settings=settings) as sim:
        described = sim.describe()["vendors"]["omnisend"]
        told = {
            "api": described["api_url"],
            "key": described["credentials"]["api_key"],
            "folder": str(tmp_path),
            "day": port,
            "calls_a_minute": CALLS_A_MINUTE,
            "threads": THREADS,
            "calls": CALLS_EACH,
        }
        command = [sys.executable, "-c", TASK, json.dumps(told)]
        tasks = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
        try:
            reports = [json.loads(task.communicate(timeout=120)[0]) for task in tasks]
        finally:
            for task in tasks:
                task.kill()
        calls = sim.requests(vendor="omnisend")
    assert [0] * PROCESSES == [report["retries"] for report in reports]
    assert [200] * PROCESSES * CALLS_EACH == [one["status"] for one in calls]
    windows = (PROCESSES * CALLS_EACH - 1) // CALLS_A_MINUTE
    assert windows * 60 <= calls[-1]["time"] - calls[0]["time"] < (windows + 1) * 60
    assert sum(report["waited_s"] for report in reports) > 0

"""Runs the sending loop with a function in place of the vendor."""

from __future__ import annotations

import threading

from core.factories import limited

from airflow_provider_segexport.model import BatchResult, JobId, JobState
from airflow_provider_segexport.stages.send import InFlight, SendCallbacks, send


class Vendor:
    """Answers each batch with what `answer` makes of it; keeps the sent batches, the replies and the concurrency."""

    def __init__(self, answer=lambda _: BatchResult(), jobs=None):
        self.answer = answer
        self.jobs = jobs or {}
        self.lock = threading.Lock()
        self.open = self.most_open = self.most_jobs = 0
        self.sent, self.announced, self.recorded = [], [], []
        self.instead = {}
        self.running = {}

    def upsert(self, batch):
        with self.lock:
            assert batch in self.announced, "intent comes before the act"
            self.sent.append(batch)
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        try:
            reply = self.answer(batch)
            if isinstance(reply, BaseException):
                raise reply
        finally:
            with self.lock:
                self.open -= 1
        if isinstance(reply, JobId):
            with self.lock:
                self.running[reply.id] = list(self.jobs.get(reply.id, [JobState.FINISHED]))
                self.most_jobs = max(self.most_jobs, len(self.running))
        return reply

    def poll(self, tickets):
        return {ticket: self.running[ticket].pop(0) for ticket in tickets}

    def collect(self, batch, ticket):
        del self.running[ticket]
        return BatchResult()

    def answered(self, batch, reply):
        self.recorded.append((batch, reply))
        return self.instead.pop(batch.id, [])


def go(vendor, batches, *, pause=lambda _: True, stop=lambda: None, **limits):
    in_flight = InFlight(iter(batches))
    calls = SendCallbacks(vendor.upsert, vendor.poll, vendor.collect, vendor.announced.extend, vendor.answered)
    try:
        return in_flight, send(in_flight, calls, limited(**limits).limits, pause=pause, stop=stop)
    finally:
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("segexport_")]


def names(vendor):
    return [batch.rows[0] for batch, _ in vendor.recorded]

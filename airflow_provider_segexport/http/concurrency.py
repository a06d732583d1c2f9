"""Adapts the number of concurrent calls to the vendor: the fewest that keep it busy.

If the vendor responds before the next batch is ready, more threads would only wait for each other to compute. The
measure is therefore how long the main thread waits for a response, not how long a call takes.

Measured with a million profiles at Omnisend, 9,822 calls to a server that responds in 0.2 ms: 25.1 CPU seconds with
four threads, 19 with this class. With 300 ms a call, the run time was 1.02 to 1.04 times what the concurrency limit
allows, at all four vendors, before and after (`docs/decisions/0019-calls-side-by-side.md`).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

SLOW_RESPONSE_S = 0.01
"""If the main thread waits longer than this for a response, in seconds, the limit may increase by one. A call over the
internet takes tens of milliseconds."""

FAST_RESPONSES_TO_SHRINK = 16
"""Consecutive faster responses, for each concurrent call, after which the limit decreases by one."""


@dataclass(slots=True)
class AdaptiveConcurrency:
    """Limits the calls in flight, and returns completed calls in the order of their completion.

    Attributes:
        limit: maximum calls in flight.
    """

    limit: int = 1
    _fast_responses: int = 0
    _completed: SimpleQueue[Future[Any]] = field(default_factory=SimpleQueue)
    """Each call adds itself when it completes. Polling all calls would cost more than a call to a fast vendor."""

    def submit(self, call: Future[T]) -> Future[T]:
        """Register a call and return it."""
        call.add_done_callback(self._completed.put)
        return call

    def completed(self, max_limit: int) -> Iterator[Future[Any]]:
        """Yield the completed calls; wait for the first.

        If that wait exceeds `SLOW_RESPONSE_S` and the limit is below `max_limit`, raise the limit and yield nothing.
        """
        try:
            first = self._completed.get(timeout=SLOW_RESPONSE_S)
        except Empty:
            self._fast_responses = 0
            if self.limit < max_limit:
                self.limit += 1
                return
            first = self._completed.get()
        else:
            self._record_fast_response()
        yield first
        with suppress(Empty):
            while True:
                yield self._completed.get_nowait()

    def _record_fast_response(self) -> None:
        self._fast_responses += 1
        if self.limit > 1 and self._fast_responses >= FAST_RESPONSES_TO_SHRINK * self.limit:
            self.limit, self._fast_responses = self.limit - 1, 0

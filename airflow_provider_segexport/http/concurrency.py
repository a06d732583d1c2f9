"""Calls side by side: as few as keep the vendor busy, told by how long the deciding thread waits for the next answer.

Where a vendor answers before the next batch is ready, threads would only wait for each other's turn to compute.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

NEAR_S = 0.01
"""An answer that is waited for longer leaves time for another call. A vendor across the internet takes tens of it."""

SOON_IN_A_ROW = 16
"""Answers a lane that came sooner, one after the other, before a lane is closed."""


@dataclass(slots=True)
class AdaptiveConcurrency:
    """How many calls may be out, and those that have come back, in the order in which they came.

    Attributes:
        limit: calls that may be out at a time.
    """

    limit: int = 1
    _soon: int = 0
    _back: SimpleQueue[Future[Any]] = field(default_factory=SimpleQueue)
    """To ask all calls that are out costs more than a call does where a vendor answers at once."""

    def submit(self, call: Future[T]) -> Future[T]:
        """The call, which tells when it is back."""
        call.add_done_callback(self._back.put)
        return call

    def completed(self, most: int) -> Iterator[Future[Any]]:
        """The calls that are back; waits for the first. None, when another lane was opened instead: at most `most`."""
        try:
            first = self._back.get(timeout=NEAR_S)
        except Empty:
            self._soon = 0
            if self.limit < most:
                self.limit += 1
                return
            first = self._back.get()
        else:
            self._came_soon()
        yield first
        with suppress(Empty):
            while True:
                yield self._back.get_nowait()

    def _came_soon(self) -> None:
        self._soon += 1
        if self.limit > 1 and self._soon >= SOON_IN_A_ROW * self.limit:
            self.limit, self._soon = self.limit - 1, 0

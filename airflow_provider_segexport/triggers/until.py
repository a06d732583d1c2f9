"""Waits for a moment: `time -> look`. What a task does that has met a quota which is used up for hours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_segexport.hooks.paths import HEARTBEAT_S
from airflow_provider_segexport.triggers.import_jobs import LOOK, SHORTEST_S

SLICE_S = 60.0
"""A clock that is set, or a machine that slept, is noticed within this time."""


class UntilTrigger(BaseTrigger):
    """Fires at a moment.

    Args:
        moment: epoch seconds.
    """

    def __init__(self, *, moment: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow does not type it
        self.moment = moment

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What Airflow stores of it."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"moment": self.moment}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep until then."""
        await asyncio.sleep(SHORTEST_S)
        logged_at = time.time()
        while (left := self.moment - time.time()) > 0:
            if time.time() - logged_at >= HEARTBEAT_S:
                self.log.info("Waiting (left_s=%.0f)", left)
                logged_at = time.time()
            await asyncio.sleep(min(left, SLICE_S))
        yield TriggerEvent({"status": LOOK})

"""Waits until a time: `epoch seconds -> run again`. Tasks use it if a quota is used up or an audience is locked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_segexport.hooks.paths import HEARTBEAT_S
from airflow_provider_segexport.triggers.import_jobs import MIN_WAIT_S, RUN_AGAIN

SLEEP_SLICE_S = 60.0
"""Longest sleep in seconds. The trigger then reads the clock again, because the clock may have been set."""


class UntilTrigger(BaseTrigger):
    """Fires at a time.

    Args:
        moment: the time in epoch seconds.
    """

    def __init__(self, *, moment: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow does not type it
        self.moment = moment

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the trigger's class path and its arguments, which Airflow stores."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"moment": self.moment}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep until the time, and fire."""
        await asyncio.sleep(MIN_WAIT_S)
        logged_at = time.time()
        while (remaining_s := self.moment - time.time()) > 0:
            if time.time() - logged_at >= HEARTBEAT_S:
                self.log.info("Waiting (left_s=%.0f)", remaining_s)
                logged_at = time.time()
            await asyncio.sleep(min(remaining_s, SLEEP_SLICE_S))
        yield TriggerEvent({"status": RUN_AGAIN})

"""Waits that can be stopped and that log a line every few minutes."""

from __future__ import annotations

import logging
import time

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.hooks.failures import RETRY_RESUMES
from airflow_provider_segexport.hooks.paths import HEARTBEAT_S
from airflow_provider_segexport.ratelimit.clocks import Machine, this_machine

log = logging.getLogger(__name__)

SLEEP_SLICE_S = 0.5
"""Seconds that a wait lasts after `request_stop` at most; short, because Airflow soon kills the process."""


class Interruptible:
    """The part of a hook that waits.

    Attributes:
        stop_requested: `request_stop` was called.
    """

    stop_requested: bool = False
    _heartbeat_at: float | None = None

    @staticmethod
    def sleep(seconds: float) -> None:
        """Sleep. Tests replace this method, `clock` and `machine`."""
        time.sleep(seconds)

    @staticmethod
    def clock() -> float:
        """Return the time in epoch seconds."""
        return time.time()

    @staticmethod
    def machine() -> Machine | None:
        """Return this machine's clocks for the rate limit store; None if `clock` is another clock, as in tests."""
        return this_machine()

    def request_stop(self) -> None:
        """Stop the operations of this hook: waits end early, and no further call is made."""
        self.stop_requested = True

    def interruptible_sleep(self, seconds: float) -> None:
        """Sleep for some seconds, but at most until `request_stop` is called. Log a line every few minutes."""
        while seconds > 0 and not self.stop_requested:
            self.heartbeat("Waiting (left_s=%.0f)", seconds, after_s=HEARTBEAT_S + 30)
            self.sleep(min(seconds, SLEEP_SLICE_S))
            seconds -= SLEEP_SLICE_S

    def heartbeat(self, text: str, *values: object, after_s: float = HEARTBEAT_S) -> None:
        """Log a line, unless this method has logged one in the last `after_s` seconds.

        Args:
            text: format of the line, as `logging` takes it.
            values: values for the format.
            after_s: seconds between two lines.
        """
        now = self.clock()
        if self._heartbeat_at is None:
            self._heartbeat_at = now
        elif now - self._heartbeat_at >= after_s:
            log.info(text, *values)
            self._heartbeat_at = now

    def raise_if_stopped(self) -> None:
        """Raise if a stop was requested.

        Raises:
            SegexportError: `request_stop` was called.
        """
        if self.stop_requested:
            raise SegexportError(f"Airflow has stopped the task. {RETRY_RESUMES}")

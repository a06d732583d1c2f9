"""The vendors' APIs on loopback, to try DAGs against; imports nothing of the provider."""

from __future__ import annotations

from .clock import Clock, ManualClock, RunningClock
from .server import Simulator
from .settings import ControlError

__all__ = ["Clock", "ControlError", "ManualClock", "RunningClock", "Simulator"]

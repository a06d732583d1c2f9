"""Local HTTP server that simulates the vendors' APIs, for testing exports without a vendor account."""

from __future__ import annotations

from .clock import Clock, ManualClock, RunningClock
from .server import Simulator
from .settings import ControlError

__all__ = ["Clock", "ControlError", "ManualClock", "RunningClock", "Simulator"]

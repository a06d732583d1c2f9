"""The vendors' simulator on a fast clock, in a process of its own.

Usage: python fast_simulator.py CLOCK LATENCY SETTINGS [LOG_BODY_BYTES], as JSON; it prints its address. Latency is in
real seconds. Bodies of calls are kept up to LOG_BODY_BYTES, by default none.
"""

from __future__ import annotations

import json
import sys
from threading import Event

from clock import FastClock

from airflow_provider_segexport.simulator import Simulator

if __name__ == "__main__":
    clock, latency, settings, *body_bytes = (json.loads(text) for text in sys.argv[1:])
    with Simulator(
        clock=FastClock(**clock), latency=latency, settings=settings, seed=1, log_body_bytes=sum(body_bytes)
    ) as simulator:
        sys.stdout.write(f"{simulator.url}\n")
        sys.stdout.flush()
        Event().wait()

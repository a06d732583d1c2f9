"""`python -m airflow_provider_segexport.simulator`: the simulator in the foreground."""

from __future__ import annotations

import argparse
import signal
import sys
from threading import Event

from .clock import RunningClock
from .server import HOST, Simulator

_STOPS = (signal.SIGTERM, signal.SIGINT)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_segexport.simulator",
        description="The email vendors' APIs on loopback. GET /_sim returns how to connect.",
    )
    parser.add_argument("--host", default=HOST, help=f"the interface to listen on (default {HOST})")
    parser.add_argument("--port", type=int, default=8100, help="0 = a free one (default 8100)")
    parser.add_argument("--address", default="", metavar="URL", help="public URL for clients (default: host and port)")
    parser.add_argument("--seed", type=int, default=0, help="all ids follow from it (default 0)")
    parser.add_argument("--latency", type=float, default=0.0, metavar="MS", help="added to a call")
    parser.add_argument("--clock-speed", type=float, default=1.0, metavar="X", help="default 1")
    parser.add_argument("--log-body-bytes", type=int, default=None, metavar="N", help="bodies kept in the log")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    options = parse(arguments)
    stop = Event()
    for number in _STOPS:
        signal.signal(number, lambda *_: stop.set())
    simulator = Simulator(
        host=options.host,
        port=options.port,
        address=options.address,
        seed=options.seed,
        latency=options.latency / 1000,
        clock=RunningClock(options.clock_speed),
        log_body_bytes=options.log_body_bytes,
    )
    try:
        simulator.start()
    except OSError as exc:
        sys.stderr.write(f"simulator cannot use port {options.port}: {exc.strerror}\n")
        return 1
    sys.stdout.write(f"simulator ready on {simulator.url}\n")
    sys.stdout.flush()
    stop.wait()
    simulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())

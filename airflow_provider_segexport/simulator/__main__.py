"""Command line: `python -m airflow_provider_segexport.simulator` runs the simulator in the foreground."""

from __future__ import annotations

import argparse
import signal
import sys
from threading import Event

from .clock import RunningClock
from .server import HOST, Simulator

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line; None means `sys.argv`."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_segexport.simulator",
        description="Simulate the email vendors' APIs on a local port. GET /_sim returns URLs and credentials.",
    )
    parser.add_argument("--host", default=HOST, help=f"the interface to listen on (default {HOST})")
    parser.add_argument("--port", type=int, default=8100, help="0 = any free port (default 8100)")
    parser.add_argument("--address", default="", metavar="URL", help="public URL for clients (default: host and port)")
    parser.add_argument("--seed", type=int, default=0, help="random seed of keys and ids (default 0)")
    parser.add_argument("--latency", type=float, default=0.0, metavar="MS", help="delay of each response")
    parser.add_argument("--clock-speed", type=float, default=1.0, metavar="X", help="simulated seconds per real second")
    parser.add_argument("--log-body-bytes", type=int, default=None, metavar="N", help="total size of logged bodies")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code, 1 if the port cannot be bound."""
    options = parse(arguments)
    stop = Event()
    for stop_signal in _STOP_SIGNALS:
        signal.signal(stop_signal, lambda *_: stop.set())
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

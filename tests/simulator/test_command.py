"""The simulator as a command."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys

import pytest
import requests

from airflow_provider_segexport.simulator.__main__ import parse

COMMAND = [sys.executable, "-m", "airflow_provider_segexport.simulator"]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_command_tells_its_address_and_stops_cleanly(stop):
    """One line when ready, nothing else, exit 0 on a signal."""
    command = [*COMMAND, "--port", "0", "--seed", "7", "--clock-speed", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        url = re.fullmatch(r"simulator ready on (http://127\.0\.0\.1:\d+)\n", line)[1]
        assert requests.get(f"{url}/_sim", timeout=10).json()["seed"] == 7
        process.send_signal(stop)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")


def test_taken_port_is_a_sentence():
    """A port in use ends the command with 1 and says which port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run([*COMMAND, "--port", str(port)], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"simulator cannot use port {port}: ")


def test_defaults():
    """Port 8100, seed 0, no latency, real time."""
    options = parse([])
    assert (options.port, options.seed, options.latency, options.clock_speed) == (8100, 0, 0.0, 1.0)


def test_clients_get_the_address_that_they_used():
    """In a container the simulator listens on every interface, and is reached by its service's name."""
    command = [*COMMAND, "--host", "0.0.0.0", "--port", "0", "--address", "http://simulator:8100/"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    assert line == "simulator ready on http://simulator:8100\n"

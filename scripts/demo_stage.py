"""Runs the demo's simulator, makes Airflow's configuration for it, and unsubscribes some people at the vendors."""

from __future__ import annotations

import base64
import json
import os
import re
import select
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_segexport.simulator.connections import connection

CHECKOUT = Path(__file__).resolve().parent.parent
HOME = CHECKOUT / ".demo"
DAY = "2026-11-21"
SEGMENTS = ("newsletter_active", "high_value", "lapsed")
CALLS_PER_MINUTE = 20_000
"""Calls per minute of the demo's accounts, in the simulator and in the connections: more than the published quotas,
because Omnisend's 400 calls per minute would make the demo take minutes. `make sim` has the published quotas."""
OPTED_OUT = 25
"""Number of people of the first segment who are unsubscribed at each vendor of `OPT_OUTS_AT`."""

OPT_OUTS_AT = ("campaign_monitor", "constant_contact", "omnisend")
"""Vendors at which people of the first segment are unsubscribed."""


@dataclass
class Stage:
    """The simulator, and Airflow's configuration for it.

    Attributes:
        url: the simulator's URL.
        vendors: the vendors as the simulator's control API describes them, by connection type.
        fernet_key: Airflow's encryption key, the same for all processes of the demo.
    """

    url: str
    vendors: dict[str, Any]
    fernet_key: str = field(default_factory=lambda: base64.urlsafe_b64encode(os.urandom(32)).decode(), repr=False)

    def get(self, path: str) -> Any:
        """Read from the simulator's control API."""
        with urllib.request.urlopen(self.url + path, timeout=60) as reply:  # noqa: S310 - loopback
            return json.load(reply)

    def post(self, path: str, body: Any) -> None:
        """Post to the simulator's control API."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            self.url + path, json.dumps(body).encode(), {"content-type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=60).close()  # noqa: S310 - loopback

    def environment(self, number: int = 0) -> dict[str, str]:
        """Return Airflow's configuration, connections and Variables as environment variables.

        Args:
            number: of the process. Each has its own database, and all share one state path.
        """
        airflow = HOME / f"airflow-{number}"
        variables = {
            "AIRFLOW_HOME": str(airflow),
            "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
            # A process that continues after a kill reads the logins that the first process has encrypted.
            "AIRFLOW__CORE__FERNET_KEY": self.fernet_key,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{airflow}/airflow.db",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
            "AIRFLOW__SEGEXPORT__STATE_PATH": str(HOME / "state"),
            "SEGEXPORT_DEMO_ROOT": str(HOME / "data"),
            "PYTHONWARNINGS": "ignore",
        }
        audiences: dict[str, dict[str, str]] = {}
        for name, vendor in self.vendors.items():
            conn_id = f"{name}_default"
            extra = {
                "consented_by": "the demo",
                "allowed_dags": "segment_exports",
                "calls_per_minute": CALLS_PER_MINUTE,
            }
            variables[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(connection(name, vendor, **extra))
            ids = [str(audience["id"]) for audience in vendor["audiences"]]
            audiences[conn_id] = dict(zip(SEGMENTS, ids, strict=False))
        variables["AIRFLOW_VAR_SEGEXPORT_AUDIENCES"] = json.dumps(audiences)
        return variables


START_S = 60.0
"""Seconds in which the simulator must start. It takes one or two."""


@contextmanager
def simulator() -> Iterator[Stage]:
    """Run the simulator on a free loopback port until the end of the block."""
    command = [sys.executable, "-m", "airflow_provider_segexport.simulator", "--port", "0", "--seed", "1"]
    with subprocess.Popen(  # noqa: S603 - our own module
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as process:
        try:
            output = process.stdout
            first_line = output.readline() if output and select.select([output], [], [], START_S)[0] else ""
            if "ready on " not in first_line:
                raise SystemExit(f"The simulator did not start: {first_line!r}")
            stage = Stage(first_line.split("ready on ")[1].strip(), {})
            configure(stage)
            yield stage
        finally:
            process.kill()


def configure(stage: Stage) -> None:
    """Read the simulated accounts, and set short times and high rate limits."""
    stage.vendors = stage.get("/_sim")["vendors"]
    fast_jobs = {"job_seconds": 0.1, "job_seconds_per_row": 0.0}
    settings = {
        # The exports of other segments first create some contacts without a status. Omnisend does not document whether
        # such a status has a date, which would be newer than the consent. In the demo it has no date.
        "omnisend": {
            "calls_per_minute": CALLS_PER_MINUTE,
            "start_seconds": 0.1,
            "tag_seconds": 0.0,
            "date_of_no_status": "none",
            **fast_jobs,
        },
        "constant_contact": {
            "calls_per_second": CALLS_PER_MINUTE // 60,
            "calls_per_day": 200_000,
            "start_seconds": 0.1,
            **fast_jobs,
        },
        "dotdigital": {**{f"{tier}_per_minute": CALLS_PER_MINUTE for tier in ("low", "medium", "high")}, **fast_jobs},
    }
    stage.post("/_sim/reset", {"log_body_bytes": 0, "vendors": settings})


def seed_opt_outs(stage: Stage) -> None:
    """Unsubscribe some people of the first segment at the vendors of `OPT_OUTS_AT`.

    At Omnisend they become contacts of the brand without the tag. They opt out now, which is after their consent.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 - the progress is shown before this import

    table = pq.read_table(HOME / "data" / "segments" / SEGMENTS[0] / DAY, columns=["email"])
    plain = re.compile(r"[a-z0-9]+([._+-][a-z0-9]+)*@([a-z0-9-]+\.)+[a-z]{2,}")
    emails = sorted({email.lower() for email in table.column("email").to_pylist() if email})
    clean = [email for email in emails if plain.fullmatch(email)]
    people = [{"email": email, "status": "unsubscribed"} for email in clean[:: max(1, len(clean) // OPTED_OUT)]]
    for name in OPT_OUTS_AT:
        audience = None if name == "omnisend" else stage.vendors[name]["audiences"][0]["id"]
        stage.post(f"/_sim/{name}/contacts", {"people": people[:OPTED_OUT], "audience": audience})


def ui_environment() -> dict[str, str]:
    """Return the variables with which `make ui DEMO=1` shows the state of a demo; exit if there is none."""
    state = HOME / "state"
    if not state.is_dir():
        raise SystemExit(f"{state} does not exist. To fix: run `make demo` first.")
    return {"AIRFLOW__SEGEXPORT__STATE_PATH": str(state), "SEGEXPORT_DEMO_ROOT": str(HOME / "data")}

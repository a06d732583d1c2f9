"""Makes Airflow's database with four connections to the simulator in it; started by ui.py, which sets the environment.

Usage: python scripts/ui_prepare.py SIMULATOR_URL
"""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

from demo import SEGMENTS

from airflow_provider_segexport.provider_info import connection_type
from airflow_provider_segexport.simulator.connections import CREDENTIALS, connection
from airflow_provider_segexport.vendors.registry import VENDORS


def main() -> int:
    """Make them."""
    from airflow.models import Connection, Variable  # noqa: PLC0415 - not before the environment is looked at
    from airflow.utils.db import initdb  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415

    with urllib.request.urlopen(f"{sys.argv[1]}/_sim", timeout=60) as reply:  # noqa: S310 - loopback
        vendors: dict[str, Any] = json.load(reply)["vendors"]
    initdb()
    audiences = {}
    with create_session() as session:
        for name in CREDENTIALS:
            ids = [str(audience["id"]) for audience in vendors[name]["audiences"]]
            audiences[f"{name}_default"] = dict(zip(SEGMENTS, ids, strict=False))
            fields = ready(name, vendors[name], ids[0])
            session.add(Connection(conn_id=f"{name}_default", **fields))  # noqa: AIR311 - no task runs here
        Variable.set("segexport_audiences", audiences, serialize_json=True, session=session)  # noqa: AIR311 - same
    return 0


def ready(name: str, told: dict[str, Any], audience: str) -> dict[str, Any]:
    """A connection with every field, as the form saves it: the form for editing shows no field that is not there."""
    found = connection(name, told, audience=audience, consented_by="the demo", allowed_dags="segment_*")
    empty = dict.fromkeys(connection_type(VENDORS[name])["conn-fields"])
    extra = {**empty, "export_enabled": True, **found["extra"]}
    return {**found, "extra": json.dumps(extra), "description": "The simulated vendor on this machine."}


if __name__ == "__main__":
    sys.exit(main())

"""Creates Airflow's database with four connections to the simulator. ui_airflow.py starts it and sets the environment.

Usage: python scripts/ui_prepare.py SIMULATOR_URL
"""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

from demo_stage import SEGMENTS

from airflow_provider_segexport.provider_info import connection_type
from airflow_provider_segexport.simulator.connections import CREDENTIALS, connection
from airflow_provider_segexport.vendors.registry import VENDORS


def main() -> int:
    """Create the database, the connections and the Variable."""
    from airflow.models import Connection, Variable  # noqa: PLC0415 - the environment is set for this process
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
            fields = connection_fields(name, vendors[name], ids[0])
            session.add(Connection(conn_id=f"{name}_default", **fields))  # noqa: AIR311 - no task runs here
        Variable.set("segexport_audiences", audiences, serialize_json=True, session=session)  # noqa: AIR311 - same
    return 0


def connection_fields(name: str, description: dict[str, Any], audience: str) -> dict[str, Any]:
    """Return a connection with every extra field, because the edit form hides fields that the extra lacks.

    Args:
        name: connection type.
        description: the vendor in the simulator's control API.
        audience: id of the default audience.
    """
    fields = connection(name, description, audience=audience, consented_by="the demo", allowed_dags="segment_*")
    empty = dict.fromkeys(connection_type(VENDORS[name])["conn-fields"])
    extra = {**empty, "export_enabled": True, **fields["extra"]}
    return {**fields, "extra": json.dumps(extra), "description": "The simulated vendor on this machine."}


if __name__ == "__main__":
    sys.exit(main())

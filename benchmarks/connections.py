"""Airflow's configuration and connections for one task: `order -> environment`."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from sink import LIST_32, LIST_UUID

AUDIENCES = {
    "campaign_monitor": LIST_32,
    "constant_contact": LIST_UUID,
    "dotdigital": "42",
    "omnisend": "benchmark",
}
CREDENTIALS: dict[str, dict[str, str]] = {
    "campaign_monitor": {"password": "made-up"},
    "constant_contact": {"login": "made-up", "password": "made-up"},
    "dotdigital": {"login": "made-up", "password": "made-up"},
    "omnisend": {"password": "made-up"},
}
FIELD_MAPPING = {
    "email": "email",
    "first_name": "first_name",
    "last_name": "last_name",
    "gender": "gender",
    "postcode": "postcode",
    "city": "city",
    "country": "country",
    "birthdate": "birthdate",
}
CUSTOM = {"loyalty_tier": "loyalty_tier", "orders": "orders"}
"""Ten columns travel, of sixteen."""

UNBOUND = 1_000_000
"""Calls a minute where CPU is measured: the sink has no quota."""

REFRESH = "made-up"


def environment(order: dict[str, Any]) -> dict[str, str]:
    """What Airflow reads: where it lives, where state goes, and the vendor's connection if one is ordered.

    An order may bring an account of its own (`credentials`, `base_url`, `access_token`), as the simulator tells them.
    """
    home = str(order["home"])
    found = {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__SEGEXPORT__STATE_PATH": str(order.get("root") or f"{home}/state"),
        "PYTHONWARNINGS": "ignore",
    }
    if "vendor" in order:
        found |= _connection(order)
    return found


def _connection(order: dict[str, Any]) -> dict[str, str]:
    """The connection, and the access token where the vendor signs in by one: nothing has to be renewed."""
    name = order["vendor"]
    conn_id = f"bench_{name}"
    extra = {"privacy_consent": True, "consented_by": "the benchmark", "allowed_dags": "*"}
    extra |= {"calls_per_minute": order.get("calls_per_minute", UNBOUND), "refresh_token": REFRESH}
    connection = {
        "conn_type": name,
        "host": order.get("base_url") or f"{order['server']}/{name}",
        "port": 443,
        "extra": extra,
        **(order.get("credentials") or CREDENTIALS[name]),
    }
    token = {
        "access": order.get("access_token", "made-up"),
        "refresh": REFRESH,
        "expires_at": time.time() + 86_400,
        "renewed_at": 0.0,
        "mark": hashlib.sha256(REFRESH.encode()).hexdigest()[:16],
    }
    return {
        f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(connection),
        f"AIRFLOW_VAR_SEGEXPORT_TOKEN_{conn_id.upper()}": json.dumps(token),
    }

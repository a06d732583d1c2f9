"""Airflow's configuration and connections for one task, as environment variables."""

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
"""Ten of the segment's sixteen columns are sent."""

UNLIMITED_CALLS = 1_000_000
"""Calls per minute for CPU measurements: the sink has no quota."""

REFRESH = "made-up"


def environment(case: dict[str, Any]) -> dict[str, str]:
    """Return Airflow's home and state path, and the vendor's connection if the case has a vendor.

    A case can have its own account (`credentials`, `base_url`, `access_token`), for example of the simulator.
    """
    home = str(case["home"])
    variables = {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__SEGEXPORT__STATE_PATH": str(case.get("root") or f"{home}/state"),
        "PYTHONWARNINGS": "ignore",
    }
    if "rate_limit_store" in case:
        variables["AIRFLOW__SEGEXPORT__RATE_LIMIT_STORE"] = case["rate_limit_store"]
    if "vendor" in case:
        variables |= _connection(case)
    return variables


def _connection(case: dict[str, Any]) -> dict[str, str]:
    """Return the connection, and a stored access token, so that no login is renewed during the measurement."""
    name = case["vendor"]
    conn_id = f"bench_{name}"
    extra = {"privacy_consent": True, "consented_by": "the benchmark", "allowed_dags": "*"}
    extra |= {"calls_per_minute": case.get("calls_per_minute", UNLIMITED_CALLS), "refresh_token": REFRESH}
    connection = {
        "conn_type": name,
        "host": case.get("base_url") or f"{case['server']}/{name}",
        "port": 443,
        "extra": extra,
        **(case.get("credentials") or CREDENTIALS[name]),
    }
    # The key of hooks/oauth_store.py: the vendor, the base URL, the client id and the refresh token.
    identity = (name, connection["host"], connection.get("login", ""), REFRESH)
    key = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:32]
    token = {
        "access_token": case.get("access_token", "made-up"),
        "refresh_token": REFRESH,
        "expires_at": time.time() + 86_400,
        "renewed_at": 0.0,
        "fingerprint": hashlib.sha256(REFRESH.encode()).hexdigest()[:16],
        "conn_ids": [conn_id],
    }
    return {
        f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(connection),
        f"AIRFLOW_VAR_SEGEXPORT_TOKEN_{key.upper()}": json.dumps(token),
    }

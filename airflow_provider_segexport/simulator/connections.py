"""Airflow connections to the simulated vendors, built from the result of `describe()`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

CREDENTIALS: Mapping[str, Mapping[str, str]] = {
    "campaign_monitor": {"password": "api_key"},
    "constant_contact": {"login": "client_id", "password": "client_secret", "extra.refresh_token": "refresh_token"},
    "dotdigital": {"login": "username", "password": "password"},
    "omnisend": {"password": "api_key"},
}
"""Per vendor, the connection field that takes each credential; `extra.<key>` is a key of the connection's extra."""


def connection(vendor: str, description: Mapping[str, Any], **extra: object) -> dict[str, Any]:
    """Return an Airflow connection to a simulated vendor, as JSON for `AIRFLOW_CONN_...` and `connections import`.

    By default, privacy consent is recorded and every DAG may use the connection.

    Args:
        vendor: name of the vendor.
        description: the vendor's part of `describe()` or `GET /_sim`.
        extra: fields of the connection's extra; they override the defaults.
    """
    options: dict[str, Any] = {"privacy_consent": True, "consented_by": "the simulator", "allowed_dags": "*"}
    fields: dict[str, Any] = {"conn_type": vendor, "host": description["base_url"], "port": 443, "extra": options}
    for field, credential in CREDENTIALS[vendor].items():
        target = options if field.startswith("extra.") else fields
        target[field.removeprefix("extra.")] = description["credentials"][credential]
    options.update(extra)
    return fields

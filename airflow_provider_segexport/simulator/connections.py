"""How an Airflow connection to the simulator is filled in: what `describe()` tells -> a connection's fields."""

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
"""Which of the simulator's credentials feed which field of a connection; those after `extra.` go into its extra."""


def connection(vendor: str, told: Mapping[str, Any], **extra: object) -> dict[str, Any]:
    """An Airflow connection to a simulated vendor, as JSON that `AIRFLOW_CONN_...` and `connections import` take.

    `told` is what `describe()` or `GET /_sim` says of the vendor. Consent is given, and every DAG may export, unless
    `extra` says otherwise.
    """
    options: dict[str, Any] = {"privacy_consent": True, "consented_by": "the simulator", "allowed_dags": "*"}
    found: dict[str, Any] = {"conn_type": vendor, "host": told["base_url"], "port": 443, "extra": options}
    for field, credential in CREDENTIALS[vendor].items():
        into = options if field.startswith("extra.") else found
        into[field.removeprefix("extra.")] = told["credentials"][credential]
    options.update(extra)
    return found

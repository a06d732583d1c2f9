"""Hooks: one thin module per vendor, which turns an Airflow connection into calls."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook

HOOKS = {
    "campaign_monitor": "airflow_provider_segexport.hooks.campaign_monitor.CampaignMonitorHook",
    "constant_contact": "airflow_provider_segexport.hooks.constant_contact.ConstantContactHook",
    "dotdigital": "airflow_provider_segexport.hooks.dotdigital.DotdigitalHook",
    "omnisend": "airflow_provider_segexport.hooks.omnisend.OmnisendHook",
}
"""Hook class by connection type."""


def get_hook(conn_id: str, *, low_priority: bool = False) -> SegmentExportHook:
    """Return the hook for an Airflow connection, by the connection's type.

    Args:
        conn_id: the Airflow connection.
        low_priority: make calls after those of other tasks if the account's quota is scarce.

    Raises:
        InvalidConnection: the connection does not exist, or is not of a vendor's type.
        ConnectionNotAllowed: Airflow denies this task the connection.
        RetryableError: a secrets backend or Airflow's API server failed.
    """
    from airflow_provider_segexport.errors import InvalidConnection  # noqa: PLC0415 - metadata needs `HOOKS` only
    from airflow_provider_segexport.hooks.connection import uri_hint  # noqa: PLC0415
    from airflow_provider_segexport.hooks.failures import fatal_errors_translated  # noqa: PLC0415
    from airflow_provider_segexport.hooks.lookups import read_connection  # noqa: PLC0415

    with fatal_errors_translated():
        connection = read_connection(conn_id)
        if connection.conn_type not in HOOKS:
            raise InvalidConnection(
                f"Connection {conn_id!r} is of type {connection.conn_type!r}. An export needs one of these types: "
                f"{', '.join(HOOKS)}. To fix: use the id of such a connection.{uri_hint(connection.conn_type)}"
            )
        return get_hook_class(connection.conn_type)(conn_id, connection=connection, low_priority=low_priority)


def get_hook_class(conn_type: str) -> type[SegmentExportHook]:
    """Import and return the hook class of a connection type."""
    module, _, name = HOOKS[conn_type].rpartition(".")
    hook_class: type[SegmentExportHook] = getattr(import_module(module), name)
    return hook_class

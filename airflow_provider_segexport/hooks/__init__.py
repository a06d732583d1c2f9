"""Hooks: one thin module a vendor, from an Airflow connection to calls."""

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


def get_hook(conn_id: str) -> SegmentExportHook:
    """The hook that a connection's type asks for."""
    from airflow_provider_segexport.errors import InvalidConnection  # noqa: PLC0415 - metadata needs only the names above
    from airflow_provider_segexport.hooks.base import read_connection  # noqa: PLC0415

    connection = read_connection(conn_id)
    if connection.conn_type not in HOOKS:
        raise InvalidConnection(
            f"Connection {conn_id!r} is of type {connection.conn_type!r}, and an export needs one of: "
            f"{', '.join(HOOKS)}.{uri_hint(connection.conn_type)}"
        )
    hook = get_hook_class(connection.conn_type)(conn_id)
    hook.connection = connection
    return hook


def uri_hint(conn_type: str | None) -> str:
    """Return how the URI of a connection begins, if Airflow found no type: it reads no scheme with an underscore."""
    if conn_type:
        return ""
    schemes = ", ".join(f"{name.replace('_', '-')}://" for name in HOOKS)
    return f" To fix: if the connection is written as a URI, begin it with one of {schemes} (`-`, not `_`)."


def get_hook_class(conn_type: str) -> type[SegmentExportHook]:
    """The hook of a connection type, imported when it is asked for."""
    module, _, name = HOOKS[conn_type].rpartition(".")
    found: type[SegmentExportHook] = getattr(import_module(module), name)
    return found

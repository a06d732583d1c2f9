"""Hooks: one thin module a vendor, from an Airflow connection to calls."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook

HOOKS = {
    "campaign_monitor": "airflow_provider_segexport.hooks.campaign_monitor.CampaignMonitorHook",
    "dotdigital": "airflow_provider_segexport.hooks.dotdigital.DotdigitalHook",
}
"""Hook class by connection type."""


def hook_class(conn_type: str) -> type[SegmentExportHook]:
    """The hook of a connection type, imported when it is asked for."""
    module, _, name = HOOKS[conn_type].rpartition(".")
    found: type[SegmentExportHook] = getattr(import_module(module), name)
    return found

"""Campaign Monitor, API v3.3."""

from __future__ import annotations

from .vendor import CampaignMonitor

__all__ = ["CampaignMonitor"]

"""Provider metadata for Airflow's providers manager."""

from __future__ import annotations

from typing import Any


def provider_info(version: str) -> dict[str, Any]:
    """The metadata; `version` is the distribution's."""
    return {
        "package-name": "airflow-provider-segexport",
        "name": "Segment Export",
        "description": "",
        "versions": [version],
    }

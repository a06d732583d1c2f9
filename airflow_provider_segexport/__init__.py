"""Apache Airflow provider that keeps email-marketing audiences in step with customer segments.

Imported by every Airflow process: nothing heavy may be imported here.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def get_provider_info() -> dict[str, Any]:
    """Return the metadata for Airflow's providers manager: connection types with their forms, hooks, operators."""
    from airflow_provider_segexport.provider_info import provider_info  # noqa: PLC0415 - read on demand only

    return provider_info(__version__)

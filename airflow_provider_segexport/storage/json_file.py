"""Reads JSON files for display, which another version, a person or a failure may have changed."""

from __future__ import annotations

from typing import Any

from airflow_provider_segexport.json_values import parse_object
from airflow_provider_segexport.storage.paths import StoragePath, read


def read_object(path: StoragePath) -> dict[str, Any] | None:
    """Return the JSON object in a file; None if it is incomplete, was deleted or is no object."""
    try:
        return parse_object(read(path))
    except OSError:
        return None

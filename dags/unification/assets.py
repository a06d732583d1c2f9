"""The segments as assets: what ``unification_refresh`` writes and export DAGs wait for."""

from __future__ import annotations

from airflow.sdk import Asset

SEGMENTS = ("high_value", "newsletter_active", "lapsed")

SEGMENT_ASSETS: dict[str, Asset] = {
    name: Asset(name=f"segment_{name}", uri=f"segexport://segments/{name}", group="segment") for name in SEGMENTS
}

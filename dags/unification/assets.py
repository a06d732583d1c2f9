"""Assets of the segments: ``unification_refresh`` writes them and schedules the export DAGs with them."""

from __future__ import annotations

from airflow.sdk import Asset

SEGMENTS = ("high_value", "newsletter_active", "lapsed")

SEGMENT_ASSETS: dict[str, Asset] = {
    name: Asset(name=f"segment_{name}", uri=f"segexport://segments/{name}", group="segment") for name in SEGMENTS
}

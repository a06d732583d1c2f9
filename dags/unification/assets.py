"""Assets of the segments. The DAG ``unification_refresh`` updates them, and their events start the export DAGs."""

from __future__ import annotations

from airflow.sdk import Asset

SEGMENTS = ("high_value", "newsletter_active", "lapsed")

SEGMENT_ASSETS: dict[str, Asset] = {
    name: Asset(name=f"segment_{name}", uri=f"segexport://segments/{name}", group="segment") for name in SEGMENTS
}

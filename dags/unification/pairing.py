"""Determines the exports of one DAG run: `segments, connections -> arguments of each export`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from types import MappingProxyType
from typing import Any

from unification.data_files import data_root, newest_segment, segment_folder


def segment_paths(
    segments: Iterable[str], events: Mapping[str, list[dict[str, Any]]], day: str | None
) -> dict[str, dict[str, str]]:
    """Return path and `as_of` of each segment.

    Both come from the upstream event. Without an event, the segment of `day` is used, or else of its newest day.

    Args:
        segments: names of segments.
        events: extras of the triggering asset events by asset name, oldest first.
        day: the day as YYYY-MM-DD; None for the newest day of each segment.

    Returns:
        `{"path": ..., "as_of": ...}` by segment name.

    Raises:
        FileNotFoundError: If a segment has not been refreshed yet.
    """
    paths: dict[str, dict[str, str]] = {}
    for segment in segments:
        extra = next((event for event in reversed(events.get(f"segment_{segment}", [])) if event.get("path")), None)
        if extra is not None:
            paths[segment] = {"path": extra["path"], "as_of": extra["as_of"]}
            continue
        root = data_root()
        path = segment_folder(root, segment, date.fromisoformat(day)) if day else newest_segment(root, segment)
        if path is None:
            raise FileNotFoundError(f"Segment {segment} has no files. To fix: run the DAG unification_refresh first.")
        midnight = datetime.combine(date.fromisoformat(path.rsplit("/", 1)[1]), time.min, tzinfo=UTC)
        paths[segment] = {"path": path, "as_of": midnight.isoformat()}
    return paths


def pairs(
    paths: Mapping[str, Mapping[str, str]],
    connections: Iterable[str],
    audiences: Mapping[str, Mapping[str, str]],
    options: Mapping[str, Any],
    of_pair: Mapping[str, Mapping[str, Mapping[str, Any]]] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Return the operator's arguments for every pair of segment and connection.

    Args:
        paths: path and `as_of` by segment name.
        connections: ids of Airflow connections.
        audiences: the vendor's audience id by connection id and segment name; without one, the default audience.
        options: arguments that all exports share.
        of_pair: arguments of single exports by connection id and segment name.
    """
    return [
        {
            "conn_id": connection,
            "segment": file["path"],
            "audience": audiences.get(connection, {}).get(segment),
            "as_of": file["as_of"],
            **options,
            **of_pair.get(connection, {}).get(segment, {}),
        }
        for segment, file in paths.items()
        for connection in connections
    ]


def needs_approval(guards: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether a guard has tripped or is near its limit."""
    from airflow_provider_segexport.guards import is_near_limit  # noqa: PLC0415 - Airflow parses this file over and over

    return any(guard["tripped"] or is_near_limit(guard) for guard in guards)

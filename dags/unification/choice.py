"""Segments and connections -> the exports of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from unification.landing import data_root, newest_segment, segment_folder


def segment_paths(
    segments: Iterable[str], events: Mapping[str, list[dict[str, Any]]], day: str | None
) -> dict[str, dict[str, str]]:
    """Where each segment lies and the time that it stands for.

    The upstream event says it; without one, it is the day asked for, or else the newest day that has been written.

    Raises:
        FileNotFoundError: If a segment has not been refreshed yet.
    """
    found: dict[str, dict[str, str]] = {}
    for segment in segments:
        extra = next((one for one in reversed(events.get(f"segment_{segment}", [])) if one.get("path")), None)
        if extra is not None:
            found[segment] = {"path": extra["path"], "as_of": extra["as_of"]}
            continue
        root = data_root()
        path = segment_folder(root, segment, date.fromisoformat(day)) if day else newest_segment(root, segment)
        if path is None:
            raise FileNotFoundError(f"segment {segment} has never been refreshed: run unification_refresh first")
        stands_for = datetime.combine(date.fromisoformat(path.rsplit("/", 1)[1]), time.min, tzinfo=UTC)
        found[segment] = {"path": path, "as_of": stands_for.isoformat()}
    return found


def pairs(
    paths: Mapping[str, Mapping[str, str]],
    connections: Iterable[str],
    audiences: Mapping[str, Mapping[str, str]],
    how: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """One export a segment and connection, as arguments of the operator; `how` is what all of them are told."""
    return [
        {
            "conn_id": connection,
            "segment": place["path"],
            "audience": audiences.get(connection, {}).get(segment),
            "as_of": place["as_of"],
            **how,
        }
        for segment, place in paths.items()
        for connection in connections
    ]


NEAR = 0.8
"""A measure of so much of its limit is near it."""


def near(guards: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a plan is one that a person should see: a guard has tripped, or one that bounds a share is near that."""
    return any(guard["tripped"] or _is_near(guard) for guard in guards)


def _is_near(guard: Mapping[str, Any]) -> bool:
    bounds = guard["name"].endswith("_share") or guard["name"] in {"max_shrink", "max_growth", "max_removals"}
    return bounds and guard["measured"] is not None and 0 < NEAR * guard["limit"] <= guard["measured"]

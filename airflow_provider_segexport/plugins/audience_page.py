"""The page of one audience: `state root, Airflow's facts -> history, ledger, opt-outs, undo`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.plugins import audiences, charts, labels, list_page
from airflow_provider_segexport.plugins.audiences import AudienceKey, AudienceOverview, RunPoint
from airflow_provider_segexport.plugins.dags import Dags, switched_off
from airflow_provider_segexport.plugins.ledger_versions import Version, versions
from airflow_provider_segexport.plugins.pages import run_address, tab_address
from airflow_provider_segexport.plugins.permissions import Rights
from airflow_provider_segexport.plugins.vendor_link import vendor_link
from airflow_provider_segexport.storage.paths import StoragePath

IN_CHART = 90
"""Runs that the charts show; the table has them all."""

SERIES = (
    ("delivered", "Delivered"),
    ("removed", "Removed"),
    ("rejected", "Rejected"),
    ("withheld", "Withheld"),
    ("unchanged", "Unchanged"),
    ("not_attempted", "Not attempted"),
)


def page(root: StoragePath, key: AudienceKey, user: Rights, now: float) -> dict[str, Any] | None:
    """What the template shows; None where there is nothing that the user may see."""
    place = key.place(root)
    short = audiences.read(place, user.sees) if place is not None else None
    if place is None or short is None:
        return None
    points = _merged(audiences.run_points(place, user.sees), short.points)
    audience = replace(short, points=points)
    dags = Dags(point.identity for point in points)
    row = list_page.row_of(audience, dags, switched_off([short.conn_id]).get(short.conn_id, False), now)
    kept = versions(place, user.sees)
    return {
        "title": audience.name,
        "now": now,
        "row": row,
        "audience": audience,
        "charts": charts_of(points[-IN_CHART:]),
        "runs": [_line(point, dags) for point in reversed(points)],
        "versions": kept,
        "vendor_link": vendor_link(root, audience.key.vendor, audience.newest.identity),
        "undo": undo(audience, kept),
    }


def _merged(long: Sequence[RunPoint], short: Sequence[RunPoint]) -> tuple[RunPoint, ...]:
    """History and card tell the same runs; each may lack one, where a write was cut off."""
    found = {point.run_folder or f"{point.identity}": point for point in (*short, *long)}
    return tuple(sorted(found.values(), key=lambda point: point.ended_at))


def charts_of(points: Sequence[RunPoint]) -> dict[str, Any]:
    """The charts over the same runs, and what each column stands for."""
    members = [point.members for point in points]
    small = []
    for name, title in SERIES:
        values = [point.removed if name == "removed" else point.counts[name] for point in points]
        label = (
            f"{title} by run: {sum(values):,} over {counted(len(values), 'run')}, {max(values, default=0):,} at most"
        )
        small.append(
            {"name": name, "title": title, "values": json.dumps(values), "last": values[-1], "total": sum(values)}
            | {"chart": charts.bars(values, 56, label, name)}
        )
    return {
        "members": charts.line(members, 140, list_page.trend_words(members)),
        "values": json.dumps(members),
        "low": min(members),
        "high": max(members),
        "last": members[-1],
        "small": small,
        "columns": json.dumps([f"{labels.clock(point.ended_at)}, {_end(point)}" for point in points]),
        "count": len(points),
        "first": points[0].ended_at,
        "until": points[-1].ended_at,
    }


def _end(point: RunPoint) -> str:
    return "finished" if point.finished else "did not finish"


def _line(point: RunPoint, dags: Dags) -> dict[str, Any]:
    known = dags.knows(point.identity)
    return {
        "point": point,
        "run": run_address(point.identity) if known else "",
        "tab": tab_address(point.identity, dags.address(point.identity)) if known else "",
    }


def undo(audience: AudienceOverview, kept: Sequence[Version]) -> dict[str, Any] | None:
    """How the last version is taken back; None where there is none before it."""
    if len(kept) < 2:  # noqa: PLR2004 - the one to take back, and the one before
        return None
    version = kept[0].number
    command = ("airflow", "segexport", "undo", audience.conn_id, audience.audience, "--version", str(version))
    return {"version": version, "command": shlex.join(command)}

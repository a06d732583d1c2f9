"""Reads an audience's verifications for its page: `verifications.json -> match rate and drift over time`.

Another version of this provider, or a person, may have written the file. Values of another type are read as empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_segexport.hooks.report_text import percentage
from airflow_provider_segexport.json_values import array, integer, mapping, number, text
from airflow_provider_segexport.plugins import charts
from airflow_provider_segexport.plugins.audiences import MaySee, RunIdentity
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.verifications import recorded

MAX_CHART_POINTS = 90
"""Verifications in the charts; the table lists every verification."""

KINDS = {
    "missing": ("Missing", "rejected", "not in the audience, and have not opted out"),
    "left": ("Left", "not_attempted", "not in the audience; the vendor does not say who took them out"),
    "opted_out": ("Opted out", "withheld", "unsubscribed, suppressed or bounced at the vendor"),
    "barred": ("Withheld", "kept", "an export withholds them, so they are not compared"),
    "unsettled": ("Unsettled", "to_do", "sent just before, or part of a run that has not ended"),
    "changed": ("Changed", "unchanged", "changed by a run while the audience was read"),
    "not_ours": ("Not from exports", "already_gone", "in the audience, and not added by an export"),
}
"""Label, style class and explanation of the kinds of people that are not in sync."""

CHARTED = ("missing", "left", "opted_out")
"""Kinds of people that have a chart."""

BASIS_POINTS = 10_000
"""The chart of the match rate counts hundredths of a per cent, because charts take integers."""


@dataclass(frozen=True, slots=True)
class Verification:
    """One verification.

    Attributes:
        rate: the match rate from 0 to 1; None if the ledger had no members.
        interval: the two bounds of the match rate if a sample was read; empty if the whole audience was read.
        sampled: number of people in the sample; 0 if the whole audience was read.
        people: number of people by kind.
        compared: number of people whose values were compared.
        different: number of these people with other values at the vendor.
        repaired: number of people that the next run sends again.
    """

    identity: RunIdentity
    ended_at: float
    rate: float | None
    interval: tuple[float, ...]
    sampled: int
    people: Mapping[str, int]
    compared: int
    different: int
    repaired: int


def of_audience(path: StoragePath, may_see: MaySee) -> dict[str, Any] | None:
    """Return the template's values; None if there is no verification that the user may see.

    Args:
        path: the audience's ledger.
        may_see: returns whether the user may see a run.
    """
    entries = (_read(entry) for entry in recorded(path))
    shown = [entry for entry in entries if entry is not None and may_see(entry.identity)]
    if not shown:
        return None
    newest = shown[-1]
    return {
        "newest": newest,
        "rate": percentage(newest.rate),
        "interval": " to ".join(map(percentage, newest.interval)),
        "explained": [
            {"label": label, "style": style, "why": why, "count": newest.people[kind]}
            for kind, (label, style, why) in KINDS.items()
            if newest.people[kind]
        ],
        "charts": _charts(shown[-MAX_CHART_POINTS:]),
        "rows": [(entry, percentage(entry.rate)) for entry in reversed(shown)],
        "kinds": {kind: KINDS[kind][0] for kind in CHARTED},
    }


def _charts(shown: Sequence[Verification]) -> list[dict[str, Any]]:
    """Return the charts of the match rate and of each kind of drift, over the same verifications."""
    rated = [entry for entry in shown if entry.rate is not None]
    points = [round(BASIS_POINTS * (entry.rate or 0.0)) for entry in rated]
    drawn = []
    if rated:
        low = min(entry.rate or 0.0 for entry in rated)
        label = f"Match rate by verification: {percentage(rated[-1].rate)} now, {percentage(low)} at least"
        drawn.append({"title": "Match rate", "style": "", "last": percentage(rated[-1].rate), "total": 1})
        drawn[-1]["chart"] = charts.line(points, 90, label)
        drawn[-1]["top"] = percentage(charts.axis_top(max(points)) / BASIS_POINTS)
    top = charts.axis_top(max((entry.people[kind] for entry in shown for kind in CHARTED), default=0))
    for kind in CHARTED:
        values = [entry.people[kind] for entry in shown]
        title, style, _ = KINDS[kind]
        label = f"{title} by verification: {values[-1]:,} now, {max(values):,} at most"
        chart = charts.bars(values, label, style, top)
        figures = {"last": f"{values[-1]:,}", "total": sum(values), "top": f"{top:,}"}
        drawn.append({"title": title, "style": style, "chart": chart, **figures})
    return drawn


def _read(entry: Mapping[str, Any]) -> Verification | None:
    identity = _identity(text(entry.get("run")))
    if identity is None:
        return None
    people, values, rate = mapping(entry.get("people")), mapping(entry.get("values")), entry.get("match_rate")
    return Verification(
        identity,
        ended_at=number(entry.get("ended_at")),
        rate=min(1.0, max(0.0, number(rate))) if isinstance(rate, int | float) else None,
        interval=tuple(number(bound) for bound in array(entry.get("match_rate_interval"))[:2]),
        sampled=integer(entry.get("sampled")),
        people={kind: integer(people.get(kind)) for kind in ("in_sync", *KINDS)},
        compared=integer(values.get("compared")),
        different=integer(values.get("different")),
        repaired=integer(entry.get("repaired")),
    )


def _identity(run: str) -> RunIdentity | None:
    """Return the identity of a verification's run. A command is identified by its connection, as a hook is."""
    parts = run.split("/")
    if len(parts) == 4 and parts[:2] == ["command", "verify"]:  # noqa: PLR2004 - command, verify, connection, time
        return RunIdentity(conn_id=parts[2])
    return RunIdentity.read(run)

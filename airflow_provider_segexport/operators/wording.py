"""What a task says in its log: `report -> a line`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def outcome(report: Mapping[str, Any]) -> str:
    """Where the profiles ended, with the reasons; what is nought is left out."""
    counts, reasons = report["counts"], report["reasons"]
    parts = []
    for name, count in counts.items():
        if name != "profiles" and count:
            why = ", ".join(f"{number:,} {reason}" for reason, number in reasons.get(name, {}).items())
            parts.append(f"{count:,} {name.replace('_', ' ')}{f' ({why})' if why else ''}")
    return f"{counts['profiles']:,} profiles: {', '.join(parts) or 'none sent'}"


def effort(report: Mapping[str, Any]) -> str:
    """What it took."""
    traffic = report["traffic"]
    waited = f", {traffic['waited_s']:.0f} s of it waiting for the vendor" if traffic["waited_s"] >= 1 else ""
    again = f", {traffic['retries']:,} tries again" if traffic["retries"] else ""
    return f"{traffic['calls']:,} calls{again}, {report['seconds']:.1f} s{waited}"


def warnings(report: Mapping[str, Any]) -> str:
    """Values that were changed or left out of their rows."""
    found = [
        f"{field}: {count:,} {what.replace('_', ' ')}"
        for field, whats in report["warnings"].items()
        for what, count in whats.items()
    ]
    return "; ".join(found)

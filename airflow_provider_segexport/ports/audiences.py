"""What stands beside an audience's ledger for people to look at: its newest state, and one record of every run.

    <root>/ledgers/<vendor>/<account>/<audience>/card.json                  the newest state, with a short history
    <root>/ledgers/<vendor>/<account>/<audience>/history/<ms>-<mark>.json   one run each, as its summary tells it

No row and no address of a person is in either. What is told here decides nothing: the ledger does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_segexport.ports.places import Place, folder, names, read, write

SHORT = 30
"""Runs that the card tells of by itself."""

KEPT = 400
"""Runs whose records stay."""

POINT = ("ended_at", "run", "mode", "as_of", "finished", "error", "counts", "removals", "seconds", "ledger_version")
"""What of a run the card keeps."""


def record(place: Place, summary: Mapping[str, Any], *, members: int) -> None:
    """Write a run down beside the ledger at `place`; `members` are the people the ledger holds after it.

    A run that is told again (a retry, a resumed one) replaces what it told before.
    """
    history = folder(place / "history")
    mark = hashlib.blake2b(str(summary["report"]).encode(), digest_size=6).hexdigest()
    content = json.dumps({**summary, "members": members}).encode()
    here, new = names(history), f"{int(summary['ended_at'] * 1000):015d}-{mark}.json"
    write(history / new, content)
    for old in [name for name in here if name.endswith(f"-{mark}.json")] + here[: max(0, len(here) - KEPT)]:
        if old != new:
            (history / old).unlink(missing_ok=True)
    before = [point for point in (card(place) or {}).get("runs", []) if point["report"] != summary["report"]]
    point = {name: summary.get(name) for name in POINT} | {"members": members, "report": summary["report"]}
    newest = {name: value for name, value in summary.items() if name not in {"warnings", "versions", "plan"}}
    write(place / "card.json", json.dumps({**newest, "members": members, "runs": [*before, point][-SHORT:]}).encode())


def card(place: Place) -> dict[str, Any] | None:
    """The newest state of an audience; None where nothing ran yet."""
    return _json(place / "card.json")


def runs(place: Place, most: int = KEPT) -> list[dict[str, Any]]:
    """The records of an audience's runs, oldest first."""
    history = place / "history"
    found = (_json(history / name) for name in names(history)[-most:])
    return [one for one in found if one is not None]


def audiences(root: Place) -> Iterator[Place]:
    """The places of all audiences that have a ledger, or at least a card."""
    ledgers = root / "ledgers"
    for vendor in folders(ledgers):
        for account in folders(ledgers / vendor):
            for audience in folders(ledgers / vendor / account):
                yield ledgers / vendor / account / audience


def folders(place: Place) -> list[str]:
    """The names in a folder; a file that somebody's file manager has left beside the folders holds none."""
    try:
        return names(place)
    except NotADirectoryError:
        return []


def _json(place: Place) -> dict[str, Any] | None:
    """The file's object; one that is half written or gone meanwhile is as good as none."""
    try:
        found: dict[str, Any] = json.loads(read(place))
    except (OSError, ValueError):
        return None
    return found

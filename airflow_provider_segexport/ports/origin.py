"""The run behind a version of a ledger, and what the version says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_PARTS = 1_000
"""Mapped segments of one export whose sizes are kept; Airflow maps a task over 1,024 values by default."""

KEPT_IN_PLAN = ("export", "part", "bit", "joint", "fingerprint", "undoes", "restores")
"""Attributes of `Origin` that a frozen plan keeps."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What stands behind a version of a ledger.

    Attributes:
        as_of: the time that the segment describes, ISO 8601.
        run: who exported it.
        profiles: how many rows the segment had.
        finished: the whole segment has a verdict: the audience is in the state of `as_of` from here on.
        started_at, ended_at: epoch seconds.
        export: the export's name.
        part: which of several mapped segments it was; empty where the task is not mapped.
        bit: of this export in `holders`.
        joint: other exports use the audience too, or have used it.
        in_flight: the run has not come to its end: what it sent without an answer counts as put in, its content as not
            known.
        keeps_left: whoever is found to have left on their own stays on record: the vendor would bring them back.
        fingerprint: of data matching and the vendor's fields.
        undoes: the version that this run takes back; 0 for an export.
        restores: of an undo, the facts of the export before that version; empty where there were none.
    """

    as_of: str
    run: str
    profiles: int = 0
    finished: bool = True
    started_at: float = 0.0
    ended_at: float = 0.0
    export: str = ""
    part: str = ""
    bit: int = 1
    joint: bool = False
    in_flight: bool = False
    keeps_left: bool = False
    fingerprint: str = ""
    undoes: int = 0
    restores: Mapping[str, Any] = field(default_factory=dict)


def facts_of(origin: Origin, before: Mapping[str, Any]) -> dict[str, Any]:
    """What the next version says of itself. A run that did not finish changes nothing that was known of its export."""
    exports = dict(before.get("exports", {}))
    facts = {name: before[name] for name in ("as_of", "run") if name in before}
    if origin.finished:
        facts |= {"as_of": origin.as_of, "run": origin.run}
        of_export = dict(origin.restores)
        if not origin.undoes:
            rows: dict[str, int] = dict(exports.get(origin.export, {}).get("profiles", {}))
            rows.pop(origin.part, None)
            newest = dict([*rows.items(), (origin.part, origin.profiles)][-MOST_PARTS:])
            of_export = {
                "as_of": origin.as_of,
                "run": origin.run,
                "fingerprint": origin.fingerprint,
                "profiles": newest,
            }
        exports.pop(origin.export, None)
        if of_export:
            exports[origin.export] = of_export
    facts |= {"exports": exports, "by": origin.run, "export": origin.export}
    if origin.undoes:
        facts |= {"undoes": origin.undoes, "partial": not origin.finished}
    return facts

"""The run that writes a version of a ledger, and the facts that the version stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_segexport.storage.plan import PlanFacts

MAX_SEGMENT_PARTS = 4_096
"""Mapped segments of one export whose row counts are stored. Airflow maps a task over 1,024 values by default. If an
export had more segments, each run would push out the count that a later run of the day compares with."""

REVERTED_VERSION = "reverted_version"
"""The fact of a version, a plan and a report that names the version which an undo took back."""

FINISHED = "finished"
"""The fact of a version that says whether its run had finished, so that no later version is of the same run."""

FACTS_OF_ONE_RUN = (REVERTED_VERSION, FINISHED, "export_name")
"""Facts of a version that describe the run that wrote it. A version of another writer does not have them."""

SHARER_BITS = "sharer_bits"
"""The fact of a version that holds the bit of each export in `sharers_mask`, by its name. The audience's state, which
also holds them, may be lost."""

MAX_VERSION_DIGITS = 8
"""Digits of a version's number in a file name."""


@dataclass(frozen=True, slots=True)
class LedgerCommit:
    """The run that writes a version of a ledger.

    Attributes:
        as_of: the segment's snapshot, ISO 8601.
        run: name of the run.
        profiles: number of rows of the segment.
        finished: whether every row has a result, so that the audience is now at the snapshot `as_of`.
        started_at, ended_at: epoch seconds.
        export_name: the export's name.
        segment_part: which of several segments of the export it was; empty if it has one.
        sharer_bit: this export's bit in `sharers_mask`.
        is_shared: other exports use the audience too, or have used it.
        count_in_flight_as_sent: the run has not finished, so people sent without a response count as members with
            unknown content.
        keep_left: people who left on their own stay in the ledger, because an import would bring them back.
        mapping_fingerprint: hash of field mapping and vendor fields.
        reverted_version: the version that an undo takes back; 0 for an export.
        restores: of an undo, the facts of the export before that version; empty if there were none.
    """

    as_of: str
    run: str
    profiles: int = 0
    finished: bool = True
    started_at: float = 0.0
    ended_at: float = 0.0
    export_name: str = ""
    segment_part: str = ""
    sharer_bit: int = 1
    is_shared: bool = False
    count_in_flight_as_sent: bool = False
    keep_left: bool = False
    mapping_fingerprint: str = ""
    reverted_version: int = 0
    restores: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_plan(  # noqa: PLR0913 - the run's own share of a version
        cls,
        facts: PlanFacts,
        run: str,
        ended_at: float,
        *,
        profiles: int = 0,
        finished: bool = False,
        keep_left: bool = False,
    ) -> LedgerCommit:
        """Return the commit of a run that carried out a plan.

        Args:
            facts: facts of the plan.
            run: the run that the version is attributed to; empty for none.
            ended_at: epoch seconds.
            profiles: number of rows of the segment.
            finished: whether every batch has a result. If not, calls in flight count as sent.
            keep_left: keep people who have left on their own in the ledger.
        """
        return cls(
            facts.as_of,
            run,
            profiles,
            finished=finished,
            started_at=facts.started_at,
            ended_at=ended_at,
            export_name=facts.export_name,
            segment_part=facts.segment_part,
            sharer_bit=facts.sharer_bit,
            is_shared=facts.is_shared,
            count_in_flight_as_sent=not finished,
            keep_left=keep_left,
            mapping_fingerprint=facts.mapping_fingerprint,
            reverted_version=facts.reverted_version,
            restores=facts.restores,
        )


def facts_of(origin: LedgerCommit, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of the next version. A run that did not finish leaves the facts of its export unchanged."""
    exports = dict(before.get("exports", {}))
    facts = {name: before[name] for name in ("as_of", "run") if name in before}
    if origin.finished:
        facts |= {"as_of": origin.as_of, "run": origin.run}
        own_facts = dict(origin.restores)
        if not origin.reverted_version:
            rows: dict[str, int] = dict(exports.get(origin.export_name, {}).get("profiles", {}))
            rows.pop(origin.segment_part, None)
            newest = dict([*rows.items(), (origin.segment_part, origin.profiles)][-MAX_SEGMENT_PARTS:])
            own_facts = {
                "as_of": origin.as_of,
                "run": origin.run,
                "mapping_fingerprint": origin.mapping_fingerprint,
                "profiles": newest,
            }
        exports.pop(origin.export_name, None)
        if own_facts:
            exports[origin.export_name] = own_facts
    facts |= {"exports": exports, "by": origin.run, "export_name": origin.export_name, FINISHED: origin.finished}
    facts[SHARER_BITS] = _sharer_bits(origin, before.get(SHARER_BITS, {}))
    if origin.reverted_version:
        facts[REVERTED_VERSION] = origin.reverted_version
    return facts


def _sharer_bits(origin: LedgerCommit, before: Mapping[str, int]) -> dict[str, int]:
    """Return the bit of each export in `sharers_mask`. A superseded run does not take over another export's bit."""
    if not origin.run and origin.sharer_bit in before.values():
        return dict(before)
    others = {name: bit for name, bit in before.items() if bit != origin.sharer_bit}
    return {**others, origin.export_name: origin.sharer_bit}


def taken_back(facts: Mapping[str, Any]) -> int:
    """Return the version of the ledger that a version took back; 0 if it took none back, or the fact is no number."""
    text = str(facts.get(REVERTED_VERSION) or "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MAX_VERSION_DIGITS else 0

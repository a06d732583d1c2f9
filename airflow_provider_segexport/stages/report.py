"""Adds up and writes the report: `plan, journal, verdicts -> summary.json, rejects.parquet`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

import pyarrow as pa

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.model import GONE, Outcome, Reason
from airflow_provider_segexport.storage.arrow import int_array, string_array
from airflow_provider_segexport.storage.duckdb_engine import Engine
from airflow_provider_segexport.storage.files import write_parquet
from airflow_provider_segexport.storage.journal import State
from airflow_provider_segexport.storage.plan import Plan
from airflow_provider_segexport.storage.run_folder import RunFolder

REJECTS = pa.schema(
    [
        ("file", pa.string()),
        ("file_row", pa.int64()),
        ("row", pa.int64()),
        ("email", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("field", pa.string()),
        ("vendor_code", pa.string()),
        ("vendor_message", pa.string()),
    ]
)


REMOVALS = pa.schema([(name, pa.string()) for name in ("email", "outcome", "reason", "vendor_code", "vendor_message")])


@dataclass(frozen=True, slots=True)
class Counts:
    """Where the profiles ended. They add up, in every report."""

    profiles: int
    delivered: int
    unchanged: int
    rejected: int
    withheld: int
    not_attempted: int

    def add_up(self) -> bool:
        """The law of conservation."""
        parts = asdict(self)
        return parts.pop("profiles") == sum(parts.values()) and all(count >= 0 for count in parts.values())


def write_rejects(engine: Engine, folder: RunFolder, files: Sequence[tuple[str, int]]) -> dict[str, dict[str, int]]:
    """Every row that was not delivered and has a verdict, by file and row; returns counts by outcome and reason.

    Args:
        engine: where the rows are joined.
        folder: the run.
        files: name and first row of each file of the segment.
    """
    engine.run(f"create or replace table set_aside as select * from {engine.scan([folder.path / 'not_sent.parquet'])}")
    parts = folder.result_files()
    sources = "select row, email, outcome, reason, field, '' as code, '' as message from set_aside"
    if parts:
        withheld = f"reason in ('{Reason.LEFT_AUDIENCE}', '{Reason.DELETED}')"
        outcome = f"if({withheld}, '{Outcome.WITHHELD}', '{Outcome.REJECTED}')"
        sources += f""" union all
            select row, email, {outcome}, reason, '', code, message from {engine.scan(parts)}
            where reason is not null"""
    engine.table(
        "segment_files",
        pa.table(
            {
                "file": string_array(name for name, _ in files),
                "first_row": int_array(row for _, row in files),
            }
        ),
    )
    engine.run(f"create or replace table rejects as {sources}")
    rows = """select f.file, r.row - f.first_row as file_row, r.row, r.email, r.outcome, r.reason, r.field,
            r.code as vendor_code, r.message as vendor_message
        from rejects r asof join segment_files f on r.row >= f.first_row order by r.row"""
    write_parquet(folder.path / "rejects.parquet", engine.stream(rows), REJECTS)
    reasons: dict[str, dict[str, int]] = {}
    for outcome, reason, count in engine.rows(
        "select outcome, reason, count(*) from rejects group by all order by all"
    ):
        reasons.setdefault(outcome, {})[reason] = count
    return reasons


def count(planned: Plan, accepted: int, reasons: Mapping[str, Mapping[str, int]]) -> Counts:
    """Counts of a run as far as it came; what has no verdict was not attempted."""
    rejected = sum(reasons.get(Outcome.REJECTED, {}).values())
    withheld = sum(reasons.get(Outcome.WITHHELD, {}).values())
    rest = planned.profiles - accepted - planned.unchanged - rejected - withheld
    counts = Counts(planned.profiles, accepted, planned.unchanged, rejected, withheld, rest)
    if not counts.add_up():
        raise SegexportError(f"The counts of this run do not add up: {counts}. Please report it with the run folder.")
    return counts


def write_removals(engine: Engine, folder: RunFolder, planned: Plan) -> dict[str, int]:
    """Where the leavers ended, with each of whom there is something to tell; returns counts that add up."""
    leavers = folder.removals
    states = leavers.journal.states().values()
    settled = [entry for entry in states if entry.state is State.SETTLED]
    removed = sum(entry.accepted - entry.unattributed for entry in settled)
    parts = leavers.result_files()
    gone = ", ".join(f"'{reason}'" for reason in sorted(GONE))
    sources = ["select '' as email, '' as outcome, '' as reason, '' as vendor_code, '' as vendor_message where false"]
    aside = folder.path / "leavers_not_sent.parquet"
    if aside.exists():
        sources.append(f"select email, outcome, reason, '', '' from {engine.scan([aside])}")
    if parts:
        sources.append(
            f"""select email, if(reason in ({gone}), 'already_gone', 'rejected'), reason, code, message
            from {engine.scan(parts)} where reason is not null"""
        )
    engine.run("create or replace table leavers_told as " + " union all ".join(f"({one})" for one in sources))
    if len(sources) > 1:
        write_parquet(folder.path / "removals.parquet", engine.stream("from leavers_told order by email"), REMOVALS)
    told = dict(engine.rows("select outcome, count(*) from leavers_told group by all"))
    counts = {
        "planned": sum(planned.leaver_counts.values()),
        "removed": removed,
        **{name: told.get(name, 0) for name in ("already_gone", "kept", "rejected")},
    }
    counts["not_attempted"] = counts["planned"] - sum(number for name, number in counts.items() if name != "planned")
    if counts["not_attempted"] < 0:
        raise SegexportError(f"The removals of this run do not add up: {counts}. Please report it with the run folder.")
    return counts


def summarize(counts: Counts, reasons: Mapping[str, Mapping[str, int]], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The report as one JSON object; `facts` are the run's own: who, what, when, how much."""
    return {
        **facts,
        "counts": asdict(counts),
        "reasons": {outcome: dict(found) for outcome, found in reasons.items()},
    }


def versions() -> dict[str, str]:
    """The versions of what did the work, for whoever compares two reports."""
    names = ("airflow-provider-segexport", "duckdb", "pyarrow", "requests")
    return {name: metadata.version(name) for name in names}

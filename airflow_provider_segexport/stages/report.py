"""Add up a run's counts and write its report: `plan, journal, batch results -> summary.json, rejects.parquet`.

`write_proof_warnings` adds `proof_warnings.parquet`, if the export sends proof of consent.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

import pyarrow as pa

from airflow_provider_segexport.errors import REPORT_IT, SegexportError
from airflow_provider_segexport.model import GONE, PROOF_NOT_APPLIED, Outcome, Reason
from airflow_provider_segexport.storage.arrow import int_array, string_array
from airflow_provider_segexport.storage.duckdb_engine import Engine
from airflow_provider_segexport.storage.files import write_parquet
from airflow_provider_segexport.storage.journal import State
from airflow_provider_segexport.storage.local_copies import is_written
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

PROOF_WARNINGS = pa.schema(
    [
        ("file", pa.string()),
        ("file_row", pa.int64()),
        ("row", pa.int64()),
        ("email", pa.string()),
        ("reason", pa.string()),
        ("vendor_code", pa.string()),
        ("vendor_message", pa.string()),
    ]
)

REMOVALS = pa.schema([(name, pa.string()) for name in ("email", "outcome", "reason", "vendor_code", "vendor_message")])


@dataclass(frozen=True, slots=True)
class Counts:
    """Profiles by outcome. The outcomes add up to `profiles` in every report.

    Attributes:
        profiles: rows of the segment.
        delivered: rows that the vendor accepted.
        unchanged: rows that the vendor already holds with the same values; they are not sent.
        rejected: rows that cannot be sent, or that the vendor did not accept.
        withheld: rows that must not be sent, because of consent, suppression lists or opt-outs.
        not_attempted: rows that the run did not reach; of a dry run, the rows that it would send.
    """

    profiles: int
    delivered: int
    unchanged: int
    rejected: int
    withheld: int
    not_attempted: int

    def add_up(self) -> bool:
        """Return whether every profile has exactly one outcome."""
        parts = asdict(self)
        return parts.pop("profiles") == sum(parts.values()) and all(count >= 0 for count in parts.values())


def write_rejects(engine: Engine, folder: RunFolder, files: Sequence[tuple[str, int]]) -> dict[str, dict[str, int]]:
    """Write every row that was rejected or withheld, by file and row; return counts by outcome and reason.

    Args:
        engine: joins the rows.
        folder: the run folder.
        files: name and first row of each file of the segment.
    """
    not_sent = engine.scan([folder.path / "not_sent.parquet"])
    results = folder.result_files()
    sources = f"select row, email, outcome, reason, field, '' as code, '' as message from {not_sent}"
    if results:
        withheld = f"reason in ('{Reason.LEFT_AUDIENCE}', '{Reason.DELETED}')"
        outcome = f"if({withheld}, '{Outcome.WITHHELD}', '{Outcome.REJECTED}')"
        sources += f""" union all
            select row, email, {outcome}, reason, '', code, message from {engine.scan(results)}
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
    engine.run(f"create or replace table reject_rows as {sources}")
    rows = """select f.file, r.row - f.first_row as file_row, r.row, r.email, r.outcome, r.reason, r.field,
            r.code as vendor_code, r.message as vendor_message
        from reject_rows r asof join segment_files f on r.row >= f.first_row order by r.row"""
    write_parquet(folder.path / "rejects.parquet", engine.stream(rows), REJECTS)
    reasons: dict[str, dict[str, int]] = {}
    for outcome, reason, count in engine.rows(
        "select outcome, reason, count(*) from reject_rows group by all order by all"
    ):
        reasons.setdefault(outcome, {})[reason] = count
    return reasons


def write_proof_warnings(engine: Engine, folder: RunFolder) -> int:
    """Write every row whose proof of consent was not sent although it has a moment, or was not applied by the vendor.

    Rows that were rejected or withheld are in the rejects only.

    Args:
        engine: holds the tables of `write_rejects`.
        folder: the run folder.

    Returns:
        The number of accepted rows whose proof the vendor did not apply.
    """
    sources = ["select 0::bigint as row, '' as email, '' as reason, '' as code, '' as message where false"]
    planned, results = folder.path / "without_proof.parquet", folder.result_files()
    if is_written(planned):
        sources.append(f"select row, email, reason, '', '' from {engine.scan([planned])}")
    if results:
        sources.append(
            f"""select row, email, '{PROOF_NOT_APPLIED}', code, message from {engine.scan(results)}
            where reason is null and code is not null"""
        )
    engine.run(
        f"""create or replace table proof_warning_rows as
        select * from ({" union all ".join(f"({source})" for source in sources)}) w
        anti join reject_rows r on r.row = w.row"""
    )
    rows = """select f.file, w.row - f.first_row as file_row, w.row, w.email, w.reason,
            w.code as vendor_code, w.message as vendor_message
        from proof_warning_rows w asof join segment_files f on w.row >= f.first_row order by w.row"""
    write_parquet(folder.path / "proof_warnings.parquet", engine.stream(rows), PROOF_WARNINGS)
    return int(engine.single_row(f"select count(*) from proof_warning_rows where reason = '{PROOF_NOT_APPLIED}'")[0])


def count(planned: Plan, accepted: int, reasons: Mapping[str, Mapping[str, int]]) -> Counts:
    """Count the profiles of a run by outcome. A row without a result was not attempted.

    Args:
        planned: the plan.
        accepted: rows that the vendor has accepted.
        reasons: rows by outcome and reason, from `write_rejects`.

    Raises:
        SegexportError: the counts do not add up, which is an error of this provider.
    """
    rejected = sum(reasons.get(Outcome.REJECTED, {}).values())
    withheld = sum(reasons.get(Outcome.WITHHELD, {}).values())
    not_attempted = planned.profiles - accepted - planned.unchanged - rejected - withheld
    counts = Counts(planned.profiles, accepted, planned.unchanged, rejected, withheld, not_attempted)
    if not counts.add_up():
        raise SegexportError(f"The counts of this run do not add up: {counts}. {REPORT_IT}")
    return counts


def write_removals(engine: Engine, folder: RunFolder, planned: Plan) -> dict[str, int]:
    """Write the leavers who were not removed, with reasons; return counts of all leavers by outcome.

    Args:
        engine: joins the rows.
        folder: the run folder.
        planned: the plan.

    Raises:
        SegexportError: the counts do not add up, which is an error of this provider.
    """
    entries = folder.removals.journal.states().values()
    settled = [entry for entry in entries if entry.state is State.SETTLED]
    removed = sum(entry.accepted - entry.unattributed for entry in settled)
    results = folder.removals.result_files()
    gone = ", ".join(f"'{reason}'" for reason in sorted(GONE))
    sources = ["select '' as email, '' as outcome, '' as reason, '' as vendor_code, '' as vendor_message where false"]
    not_sent = folder.path / "leavers_not_sent.parquet"
    if is_written(not_sent):
        sources.append(f"select email, outcome, reason, '', '' from {engine.scan([not_sent])}")
    if results:
        sources.append(
            f"""select email, if(reason in ({gone}), 'already_gone', 'rejected'), reason, code, message
            from {engine.scan(results)} where reason is not null"""
        )
    union = " union all ".join(f"({source})" for source in sources)
    engine.run(f"create or replace table leavers_not_removed as {union}")
    if len(sources) > 1:
        write_parquet(
            folder.path / "removals.parquet", engine.stream("from leavers_not_removed order by email"), REMOVALS
        )
    not_removed = dict(engine.rows("select outcome, count(*) from leavers_not_removed group by all"))
    counts = {
        "planned": sum(planned.leaver_counts.values()),
        "removed": removed,
        **{name: not_removed.get(name, 0) for name in ("already_gone", "kept", "rejected")},
    }
    counts["not_attempted"] = counts["planned"] - sum(number for name, number in counts.items() if name != "planned")
    if counts["not_attempted"] < 0:
        raise SegexportError(f"The removals of this run do not add up: {counts}. {REPORT_IT}")
    return counts


def summarize(counts: Counts, reasons: Mapping[str, Mapping[str, int]], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report as one JSON object.

    Args:
        counts: profiles by outcome.
        reasons: rows by outcome and reason.
        facts: further entries of the report: vendor, audience, export, times, traffic.
    """
    return {
        **facts,
        "counts": asdict(counts),
        "reasons": {outcome: dict(by_reason) for outcome, by_reason in reasons.items()},
    }


def versions() -> dict[str, str]:
    """Return the versions of the packages that process the rows, to compare reports."""
    names = ("airflow-provider-segexport", "duckdb", "pyarrow", "requests")
    return {name: _version(name) for name in names}


@functools.cache
def _version(name: str) -> str:
    """Return the version of an installed package. Reading it takes 3 ms."""
    return metadata.version(name)

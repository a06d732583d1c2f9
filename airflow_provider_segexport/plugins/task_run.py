"""Reads what the run of a task instance has done: `run folder -> Report`.

Until the run is over, plan and journal show its progress.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.json_values import integer, mapping
from airflow_provider_segexport.plugins.audiences import OUTCOMES, RunIdentity
from airflow_provider_segexport.plugins.charts import BarPart
from airflow_provider_segexport.plugins.labels import OUTCOMES as OUTCOME_LABELS
from airflow_provider_segexport.plugins.labels import REMOVALS
from airflow_provider_segexport.plugins.run_facts import facts_of
from airflow_provider_segexport.plugins.verification_history import KINDS
from airflow_provider_segexport.storage.folder_names import task_folder
from airflow_provider_segexport.storage.journal import Journal
from airflow_provider_segexport.storage.journal_entries import Entry, State, upserted_rows
from airflow_provider_segexport.storage.json_file import read_object
from airflow_provider_segexport.storage.paths import StoragePath, list_names
from airflow_provider_segexport.storage.plan import Plan, PlanFacts
from airflow_provider_segexport.storage.rejects_csv import any_rows
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.vendors.links import page_link
from airflow_provider_segexport.vendors.registry import VENDORS

REJECTS = "rejects.parquet"


@dataclass(frozen=True, slots=True)
class Job:
    """An import or removal job at the vendor."""

    job_id: str
    state: Literal["running", "ended"]
    rows: int
    accepted: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Report:
    """One run as the page shows it.

    Attributes:
        over: the run has written its report, at its end or when it failed.
        facts: vendor, audience, times and more, from the report or the plan, as `run_facts.facts_of` returns them.
        profiles: number of profiles.
        outcomes: profiles by outcome; until the run is over, `to_do` counts profiles without a result.
        removals: leavers by outcome; empty if no removal was planned.
        reasons: profiles by outcome and reason.
        batches: number of planned batches with a result, and number of planned batches.
        jobs: the vendor's jobs, running jobs first.
        rejects: the run folder has rejected or withheld rows.
        generation: name of the run folder.
    """

    over: bool
    facts: Mapping[str, Any]
    profiles: int
    outcomes: tuple[BarPart, ...]
    removals: tuple[BarPart, ...] = ()
    reasons: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    batches: tuple[int, int] = (0, 0)
    jobs: tuple[Job, ...] = ()
    rejects: bool = False
    generation: str = ""


def home(root: StoragePath, run: RunIdentity) -> StoragePath:
    """Return the folder of a task instance's run folders. Each id becomes the name of one folder, also with slashes."""
    return task_folder(root, (run.dag_id, run.task_id, run.run_id, str(max(run.map_index, 0))))


def newest(path: StoragePath) -> StoragePath | None:
    """Return the newest run folder; None if the export has not begun."""
    folder = RunFolder.latest(path)
    return folder.path if folder is not None else None


def later_calls(first: StoragePath, *, at_work: bool) -> list[tuple[int, Report]]:
    """Return number and report of the second and later calls of `hook.export` in a task.

    The folder of the second call, such as `0.2`, is in the same folder as that of the first call, `0`.

    Args:
        first: the run folder of the first call.
        at_work: the task instance has not ended.
    """
    task, index = first.parent.parent, first.parent.name
    calls: list[tuple[int, Report]] = []
    for name in list_names(task):
        call_number = name.removeprefix(f"{index}.")
        if name != call_number and call_number.isdecimal() and (folder := newest(task / name)) is not None:
            call_report = report(folder, at_work=at_work)
            calls += [(int(call_number), call_report)] if call_report is not None else []
    return sorted(calls, key=lambda call: call[0])


def report(folder: StoragePath, *, at_work: bool) -> Report | None:
    """Return the report on the run in a folder; None if nothing is planned yet.

    Args:
        folder: the run folder.
        at_work: the task instance has not ended, so the report of an earlier try that failed does not count.
    """
    summary = read_object(folder / "summary.json")
    if summary is not None and (summary.get("finished") or not at_work):
        return _ended(folder, summary)
    with suppress(OSError, DamagedState):
        if (planned := RunFolder(folder).plan()) is not None:
            return _under_way(folder, *planned)
    return None


def vendor_link(root: StoragePath, run: RunIdentity) -> str:
    """Return the address of a run's audience in the vendor's web pages; empty if the run's plan cannot be read."""
    folder = None
    with suppress(OSError):
        folder = newest(home(root / "runs", run))
    return link_of(folder) if folder is not None else ""


def link_of(folder: StoragePath) -> str:
    """Return the address of the audience in the vendor's web pages; empty if the run folder has no plan."""
    planned = None
    with suppress(OSError, DamagedState):
        planned = RunFolder(folder).plan()
    if planned is None or (vendor := VENDORS.get(planned[1].vendor)) is None:
        return ""
    link = page_link(vendor, planned[1].audience)
    return link if link.startswith(("https://", "http://")) else ""


def seconds(report: Report, now: float) -> float:
    """Return how many seconds the run took, or has taken so far; 0 if its report does not have the time."""
    began = report.facts["started_at"]
    return float(report.facts["seconds"] if report.over or not began else max(0.0, now - began))


MIN_SETTLED = 3
"""Least number of batches with a result from which the time left is estimated."""


def time_left(report: Report, now: float) -> float | None:
    """Return an estimate of the seconds until the run ends, at its pace so far; None if that is unknown.

    Args:
        report: the report on the run.
        now: epoch seconds.
    """
    settled, planned = report.batches
    began = report.facts["started_at"]
    if report.over or settled < MIN_SETTLED or planned <= settled or not 0 < began < now:
        return None
    return float((now - began) / settled * (planned - settled))


def _verified(folder: StoragePath, summary: Mapping[str, Any]) -> Report:
    """Return the report of a verification, with kinds of people as outcomes."""
    people = mapping(summary.get("people"))
    styles = {"in_sync": ("In sync", "delivered")} | {
        kind: (label, style) for kind, (label, style, _) in KINDS.items() if kind != "not_ours"
    }
    outcomes = [BarPart(style, label, integer(people.get(kind))) for kind, (label, style) in styles.items()]
    total = sum(part.count for part in outcomes)
    return Report(True, facts_of(summary), total, tuple(outcomes), generation=folder.name)  # noqa: FBT003 - `over`


def _ended(folder: StoragePath, summary: Mapping[str, Any]) -> Report:
    if summary.get("mode") == "verify":
        return _verified(folder, summary)
    counts, removals = mapping(summary.get("counts")), mapping(summary.get("removals"))
    entries = _entries(folder)
    total = integer(summary.get("batches"))
    return Report(
        over=True,
        facts=facts_of(summary),
        profiles=integer(counts.get("profiles")),
        outcomes=tuple(_outcome(name, integer(counts.get(name)), summary) for name in OUTCOMES),
        removals=_removals(removals) if integer(removals.get("planned")) and not summary.get("dry_run") else (),
        reasons=_reasons(summary.get("reasons")),
        batches=(total if summary.get("finished") else min(_settled_batches(entries), total), total),
        jobs=_jobs(entries),
        rejects=any_rows(folder / REJECTS),
        generation=folder.name,
    )


def _outcome(name: str, count: int, summary: Mapping[str, Any]) -> BarPart:
    """Return the part of the bar for an outcome. The rows that a dry run has not attempted would be sent."""
    if name == "not_attempted" and summary.get("dry_run"):
        return BarPart("to_do", "Would be sent", count)
    return BarPart(name, OUTCOME_LABELS[name], count)


def _under_way(folder: StoragePath, planned: Plan, facts: PlanFacts) -> Report:
    entries = _entries(folder)
    counts = planned.counts_so_far(*upserted_rows(entries.values()))
    pending = counts.pop("pending")
    entries_of_plan = {
        "vendor": facts.vendor,
        "audience": facts.audience.audience,
        "audience_name": facts.audience.audience_name,
        "account": facts.audience.account_name,
        "mode": facts.mode,
        "as_of": facts.as_of,
        "started_at": facts.started_at,
        "held_after_rejection": facts.held_after_rejection,
        "consent": facts.consent,
        "consent_proof": facts.proof,
        "suppression": list(facts.suppression),
        "guards": [asdict(guard) for guard in facts.guards],
    }
    return Report(
        over=False,
        facts=facts_of(entries_of_plan),
        profiles=planned.profiles,
        outcomes=(
            *(BarPart(name, OUTCOME_LABELS[name], count) for name, count in counts.items()),
            BarPart("to_do", "Pending", pending),
        ),
        reasons=_reasons(planned.not_sent),
        batches=(_settled_batches(entries), len(planned.batches)),
        jobs=_jobs(entries),
        generation=folder.name,
    )


def _entries(folder: StoragePath) -> dict[str, Entry]:
    """Return the last journal entry by batch. Another process may be writing the journal."""
    try:
        return Journal(folder, lenient=True).states()
    except OSError:  # the journal was removed after it was listed
        return {}


def _removals(counts: Mapping[str, Any]) -> tuple[BarPart, ...]:
    return tuple(BarPart(name, label, integer(counts.get(name))) for name, label in REMOVALS.items())


def _settled_batches(entries: Mapping[str, Entry]) -> int:
    """Count the planned batches with a result. Parts of a batch that were sent again do not count."""
    return sum(entry.state in {State.SETTLED, State.SPLIT} and entry.is_planned for entry in entries.values())


def _jobs(entries: Mapping[str, Entry]) -> tuple[Job, ...]:
    """Return the vendor's jobs, running jobs first."""
    jobs = [
        Job(
            entry.job_id,
            "running" if entry.state is State.SUBMITTED else "ended",
            entry.rows,
            entry.accepted,
            entry.rejected,
        )
        for entry in entries.values()
        if entry.job_id
    ]
    return tuple(sorted(jobs, key=lambda job: job.state == "ended"))


def _reasons(by_outcome: Any) -> dict[str, dict[str, int]]:
    """Return the counts by outcome and reason, the most frequent reason first."""
    counts = {
        str(outcome): {str(code): integer(count) for code, count in mapping(reasons).items()}
        for outcome, reasons in mapping(by_outcome).items()
    }
    return {
        outcome: dict(sorted(reasons.items(), key=lambda reason: -reason[1]))
        for outcome, reasons in counts.items()
        if reasons
    }

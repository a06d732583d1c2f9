"""What one task instance's export did, or is doing: `run folder -> Report`.

Where the run is not over yet, its plan and its journal tell how far it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_segexport.plugins.audiences import OUTCOMES, RunIdentity, number, whole
from airflow_provider_segexport.plugins.charts import BarPart
from airflow_provider_segexport.plugins.labels import OUTCOMES as OUTCOME_WORDS
from airflow_provider_segexport.plugins.labels import REMOVALS
from airflow_provider_segexport.plugins.live_journal import BatchState, batch_states
from airflow_provider_segexport.storage.journal import State
from airflow_provider_segexport.storage.paths import StoragePath, list_names, read
from airflow_provider_segexport.storage.run_folder import RunFolder, safe_name

REJECTS = "rejects.parquet"
CONSENT_WORDS = {"yes": "Yes", "no": "No", "empty": "Empty", "unclear": "Neither yes nor no"}
"""What the values of the consent column say; all but yes withhold the profile."""


@dataclass(frozen=True, slots=True)
class Job:
    """A vendor's import job and what is known of it."""

    job_id: str
    state: Literal["running", "ended"]
    rows: int
    accepted: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Report:
    """One run for people to look at.

    Attributes:
        over: it has written its summary: at its end, or when it failed.
        facts: who, what, when, as the summary or the plan tells it.
        outcomes: where the profiles ended, or stand now; `to do` stands for those without a verdict while it runs.
        removals: where the leavers ended; empty where none were planned.
        reasons: by outcome: code and count.
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


def home(root: StoragePath, who: RunIdentity) -> StoragePath:
    """Where the run folders of a task instance stand. Each part becomes one folder's name, whatever it holds."""
    place = root
    for part in (who.dag_id, who.task_id, who.run_id, str(max(who.map_index, 0))):
        place /= safe_name(part)
    return place


def newest(path: StoragePath) -> StoragePath | None:
    """The folder of the last generation; None where the export has not begun."""
    found = RunFolder.latest(path)
    return found.path if found is not None else None


def later_calls(first: StoragePath, *, at_work: bool) -> list[tuple[int, Report]]:
    """The second `hook.export` of a task and those after it, each by its number: `0.2` is beside `0`.

    Args:
        first: the run folder of the first call.
        at_work: the task instance has not ended.
    """
    task, index = first.parent.parent, first.parent.name
    calls: list[tuple[int, Report]] = []
    for name in list_names(task):
        number = name.removeprefix(f"{index}.")
        if name != number and number.isdecimal() and (folder := newest(task / name)) is not None:
            shown = report(folder, at_work=at_work)
            calls += [(int(number), shown)] if shown is not None else []
    return sorted(calls, key=lambda call: call[0])


def report(folder: StoragePath, *, at_work: bool) -> Report | None:
    """The run in this folder; None where nothing is planned yet. `at_work`: the task instance has not ended.

    What an earlier try wrote at its end is passed over while another one goes on.
    """
    summary, plan = _json(folder / "summary.json"), _json(folder / "plan.json")
    if summary is None and plan is None:
        return None
    batches = batch_states(folder)
    jobs = _jobs(batches)
    if summary is not None and (summary.get("finished") or not at_work):
        return _ended(folder, summary, batches, jobs)
    return _under_way(folder, plan or {}, batches, jobs)


def _ended(
    folder: StoragePath, summary: Mapping[str, Any], batches: Mapping[str, BatchState], jobs: tuple[Job, ...]
) -> Report:
    counts, removals = _mapping(summary.get("counts")), _mapping(summary.get("removals"))
    total = whole(summary.get("batches"))
    return Report(
        over=True,
        facts=_facts(summary),
        profiles=whole(counts.get("profiles")),
        outcomes=tuple(BarPart(name, OUTCOME_WORDS[name], whole(counts.get(name))) for name in OUTCOMES),
        removals=_removals(removals) if whole(removals.get("planned")) else (),
        reasons=_reasons(summary.get("reasons")),
        batches=(total if summary.get("finished") else min(_settled(batches), total), total),
        jobs=jobs,
        rejects=(folder / REJECTS).exists(),
        generation=folder.name,
    )


def _under_way(
    folder: StoragePath, plan: Mapping[str, Any], batches: Mapping[str, BatchState], jobs: tuple[Job, ...]
) -> Report:
    planned = _mapping(plan.get("planned"))
    reasons = _reasons(planned.get("not_sent"))
    aside = {name: sum(found.values()) for name, found in reasons.items()}
    profiles, unchanged = whole(planned.get("profiles")), whole(planned.get("unchanged"))
    settled = [one for one in batches.values() if one.state is State.SETTLED and not one.removal]
    delivered = sum(one.accepted for one in settled)
    rejected, withheld = aside.get("rejected", 0) + sum(one.rejected for one in settled), aside.get("withheld", 0)
    rest = max(0, profiles - unchanged - delivered - rejected - withheld)
    counts = {"delivered": delivered, "unchanged": unchanged, "rejected": rejected, "withheld": withheld}
    target = _mapping(plan.get("audience_facts"))
    return Report(
        over=False,
        facts=_facts({**plan, "audience_name": target.get("audience_name"), "account": target.get("account_name")}),
        profiles=profiles,
        outcomes=(
            *(BarPart(name, OUTCOME_WORDS[name], count) for name, count in counts.items()),
            BarPart("to_do", "Pending", rest),
        ),
        reasons=reasons,
        batches=(_settled(batches), len(planned.get("batches") or ())),
        jobs=jobs,
        generation=folder.name,
    )


def _facts(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the page tells of a run, each of its type; what a report lacks, or holds in another type, is empty."""
    texts = ("vendor", "audience", "audience_name", "account", "mode", "as_of", "error")
    numbers = ("seconds", "started_at", "ended_at")
    traffic = _mapping(found.get("http"))
    guards, lists = found.get("guards"), found.get("suppression")
    consent = {name: whole(_mapping(found.get("consent")).get(name)) for name in CONSENT_WORDS}
    return {
        **{name: value if isinstance(value := found.get(name), str) else "" for name in texts},
        **{name: number(found.get(name)) for name in numbers},
        "finished": bool(found.get("finished")),
        "dry_run": bool(found.get("dry_run")),
        "ledger_version": whole(found.get("ledger_version")),
        "held_after_rejection": whole(found.get("held_after_rejection")),
        "http": {name: number(traffic.get(name)) for name in ("calls", "retries", "wait_s", "bytes_sent")},
        "consent": consent if any(consent.values()) else {},
        "suppression": [_list(one) for one in lists if isinstance(one, Mapping)] if isinstance(lists, list) else [],
        "guards": [_guard(one) for one in guards if isinstance(one, Mapping)] if isinstance(guards, list) else [],
    }


def _list(found: Mapping[str, Any]) -> dict[str, Any]:
    """A suppression list: its name, and what its entries came to."""
    counts = {name: whole(found.get(name)) for name in ("read", "blank", "understood", "not_understood", "matched")}
    return {"name": str(found.get("name") or ""), **counts}


def _guard(found: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: str(found.get(name) or "") for name in ("name", "action", "message")}
    return {**texts, "tripped": bool(found.get("tripped"))}


def _removals(found: Mapping[str, Any]) -> tuple[BarPart, ...]:
    return tuple(BarPart(name, words, whole(found.get(name))) for name, words in REMOVALS.items())


def _settled(batches: Mapping[str, BatchState]) -> int:
    """Planned batches with a verdict; those that were sent again, under another generation's name, count once."""
    return sum(one.state in {State.SETTLED, State.SPLIT} and one.planned for one in batches.values())


def _jobs(batches: Mapping[str, BatchState]) -> tuple[Job, ...]:
    """The vendor's jobs, those that still run first."""
    known = [
        Job(one.job_id, "running" if one.state is State.SUBMITTED else "ended", one.rows, one.accepted, one.rejected)
        for one in batches.values()
        if one.job_id
    ]
    return tuple(sorted(known, key=lambda job: job.state == "ended"))


def _reasons(found: Any) -> dict[str, dict[str, int]]:
    """By outcome, the most frequent first."""
    kept = {str(name): _mapping(counts) for name, counts in _mapping(found).items()}
    return {
        name: dict(sorted(((str(code), whole(count)) for code, count in counts.items()), key=lambda one: -one[1]))
        for name, counts in kept.items()
        if counts
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _json(path: StoragePath) -> dict[str, Any] | None:
    """The file's object; one that is half written or gone is as good as none."""
    try:
        found = json.loads(read(path))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def seconds(report: Report, now: float) -> float:
    """How long it took, or has taken so far."""
    return float(report.facts["seconds"] or max(0.0, now - report.facts["started_at"]))

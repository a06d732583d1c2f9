"""What one task instance's export did, or is doing: `run folder -> Report`.

Where the run is not over yet, its plan and its journal tell how far it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_segexport.plugins.cards import OUTCOMES, Identity, number, whole
from airflow_provider_segexport.plugins.charts import Part
from airflow_provider_segexport.plugins.progress import Sent, sent
from airflow_provider_segexport.plugins.words import OUTCOMES as OUTCOME_WORDS
from airflow_provider_segexport.plugins.words import REMOVALS
from airflow_provider_segexport.ports.journal import State
from airflow_provider_segexport.ports.places import Place, names, read
from airflow_provider_segexport.ports.run_folder import RunFolder, safe

REJECTS = "rejects.parquet"
CONSENT_WORDS = {"yes": "Yes", "no": "No", "empty": "Empty", "unclear": "Neither yes nor no"}
"""What the values of the consent column say; all but yes withhold the profile."""


@dataclass(frozen=True, slots=True)
class Job:
    """A vendor's import job and what is known of it."""

    ticket: str
    state: Literal["running", "ended"]
    rows: int
    accepted: int
    refused: int


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
    outcomes: tuple[Part, ...]
    removals: tuple[Part, ...] = ()
    reasons: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    batches: tuple[int, int] = (0, 0)
    jobs: tuple[Job, ...] = ()
    rejects: bool = False
    generation: str = ""


def home(root: Place, who: Identity) -> Place:
    """Where the run folders of a task instance stand. Each part becomes one folder's name, whatever it holds."""
    place = root
    for part in (who.dag_id, who.task_id, who.run_id, str(max(who.map_index, 0))):
        place /= safe(part)
    return place


def newest(place: Place) -> Place | None:
    """The folder of the last generation; None where the export has not begun."""
    found = RunFolder.newest(place)
    return found.place if found is not None else None


def later_calls(first: Place, *, at_work: bool) -> list[tuple[int, Report]]:
    """The second `hook.export` of a task and those after it, each by its number: `0.2` is beside `0`.

    Args:
        first: the run folder of the first call.
        at_work: the task instance has not ended.
    """
    task, index = first.parent.parent, first.parent.name
    calls: list[tuple[int, Report]] = []
    for name in names(task):
        number = name.removeprefix(f"{index}.")
        if name != number and number.isdecimal() and (folder := newest(task / name)) is not None:
            shown = report(folder, at_work=at_work)
            calls += [(int(number), shown)] if shown is not None else []
    return sorted(calls, key=lambda call: call[0])


def report(folder: Place, *, at_work: bool) -> Report | None:
    """The run in this folder; None where nothing is planned yet. `at_work`: the task instance has not ended.

    What an earlier try wrote at its end is passed over while another one goes on.
    """
    summary, plan = _json(folder / "summary.json"), _json(folder / "plan.json")
    if summary is None and plan is None:
        return None
    batches = sent(folder)
    jobs = _jobs(batches)
    if summary is not None and (summary.get("finished") or not at_work):
        return _ended(folder, summary, batches, jobs)
    return _under_way(folder, plan or {}, batches, jobs)


def _ended(folder: Place, summary: Mapping[str, Any], batches: Mapping[str, Sent], jobs: tuple[Job, ...]) -> Report:
    counts, removals = _mapping(summary.get("counts")), _mapping(summary.get("removals"))
    total = whole(summary.get("batches"))
    return Report(
        over=True,
        facts=_facts(summary),
        profiles=whole(counts.get("profiles")),
        outcomes=tuple(Part(name, OUTCOME_WORDS[name], whole(counts.get(name))) for name in OUTCOMES),
        removals=_removals(removals) if whole(removals.get("planned")) else (),
        reasons=_reasons(summary.get("reasons")),
        batches=(total if summary.get("finished") else min(_settled(batches), total), total),
        jobs=jobs,
        rejects=(folder / REJECTS).exists(),
        generation=folder.name,
    )


def _under_way(folder: Place, plan: Mapping[str, Any], batches: Mapping[str, Sent], jobs: tuple[Job, ...]) -> Report:
    planned = _mapping(plan.get("planned"))
    reasons = _reasons(planned.get("aside"))
    aside = {name: sum(found.values()) for name, found in reasons.items()}
    profiles, unchanged = whole(planned.get("profiles")), whole(planned.get("unchanged"))
    settled = [one for one in batches.values() if one.state is State.SETTLED and not one.removal]
    delivered = sum(one.accepted for one in settled)
    rejected, withheld = aside.get("rejected", 0) + sum(one.refused for one in settled), aside.get("withheld", 0)
    rest = max(0, profiles - unchanged - delivered - rejected - withheld)
    counts = {"delivered": delivered, "unchanged": unchanged, "rejected": rejected, "withheld": withheld}
    target = _mapping(plan.get("target"))
    return Report(
        over=False,
        facts=_facts({**plan, "audience_name": target.get("audience_name"), "account": target.get("account_name")}),
        profiles=profiles,
        outcomes=(
            *(Part(name, OUTCOME_WORDS[name], count) for name, count in counts.items()),
            Part("to_do", "To do", rest),
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
    traffic = _mapping(found.get("traffic"))
    guards, lists = found.get("guards"), found.get("suppression")
    consent = {name: whole(_mapping(found.get("consent")).get(name)) for name in CONSENT_WORDS}
    return {
        **{name: value if isinstance(value := found.get(name), str) else "" for name in texts},
        **{name: number(found.get(name)) for name in numbers},
        "finished": bool(found.get("finished")),
        "dry_run": bool(found.get("dry_run")),
        "ledger_version": whole(found.get("ledger_version")),
        "waiting": whole(found.get("waiting")),
        "traffic": {name: number(traffic.get(name)) for name in ("calls", "retries", "waited_s", "bytes_sent")},
        "consent": consent if any(consent.values()) else {},
        "suppression": [_list(one) for one in lists if isinstance(one, Mapping)] if isinstance(lists, list) else [],
        "guards": [_guard(one) for one in guards if isinstance(one, Mapping)] if isinstance(guards, list) else [],
    }


def _list(found: Mapping[str, Any]) -> dict[str, Any]:
    """A suppression list: its name, and what its entries came to."""
    counts = {name: whole(found.get(name)) for name in ("read", "blank", "understood", "not_understood", "matched")}
    return {"name": str(found.get("name") or ""), **counts}


def _guard(found: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: str(found.get(name) or "") for name in ("name", "then", "words")}
    return {**texts, "tripped": bool(found.get("tripped"))}


def _removals(found: Mapping[str, Any]) -> tuple[Part, ...]:
    return tuple(Part(name, words, whole(found.get(name))) for name, words in REMOVALS.items())


def _settled(batches: Mapping[str, Sent]) -> int:
    """Planned batches with a verdict; those that were sent again, under another generation's name, count once."""
    return sum(one.state in {State.SETTLED, State.SPLIT} and one.planned for one in batches.values())


def _jobs(batches: Mapping[str, Sent]) -> tuple[Job, ...]:
    """The vendor's jobs, those that still run first."""
    known = [
        Job(one.ticket, "running" if one.state is State.SUBMITTED else "ended", one.rows, one.accepted, one.refused)
        for one in batches.values()
        if one.ticket
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


def _json(place: Place) -> dict[str, Any] | None:
    """The file's object; one that is half written or gone is as good as none."""
    try:
        found = json.loads(read(place))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def seconds(report: Report, now: float) -> float:
    """How long it took, or has taken so far."""
    return float(report.facts["seconds"] or max(0.0, now - report.facts["started_at"]))

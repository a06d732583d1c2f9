"""Invariants 7 and 8: no personal data or secret in any text of a process, and no call above the vendor's quota."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from chaos.run_records import Run, RunRecords

ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")


def nothing_personal_leaves(evidence: RunRecords) -> Iterator[str]:
    """7. No address, no name of a person and no secret in any output of a process."""
    names = {row.name for run in evidence.runs.values() for row in run.rows}
    canaries = re.compile("|".join(map(re.escape, sorted({*evidence.secrets, *names} - {""}))) or r"(?!)")
    for run in evidence.runs.values():
        for attempt in run.tries:
            for text in attempt.texts:
                leak = ADDRESS.search(text) or canaries.search(text)
                if leak:
                    yield f"{run.name} (try {attempt.number}) told {leak[0]!r} in: {text[:200]}"
    for path in (evidence.root / "ledgers").rglob("*.json"):
        text = path.read_text(errors="replace")  # a schedule may have damaged it
        if leak := ADDRESS.search(text) or canaries.search(text):
            yield f"{path.relative_to(evidence.root)} holds {leak[0]!r}"


def never_above_quota(evidence: RunRecords) -> Iterator[str]:
    """8. The vendor never has to say "too many", and its published windows are never full beyond their size.

    A process that is suspended between the rate limiter's permission and the call makes the call when it goes on: at
    most as many calls as it has connections, each time.
    """
    late = max((_suspended_calls(run) for run in evidence.runs.values()), default=0)
    refused = [call for call in evidence.calls if call.entry["status"] == 429 and not call.spoilt]
    counts = Counter(call.run for call in refused)
    for call in refused:
        if counts[call.run] > late:
            yield f"call {call.number} of {call.run} to {call.entry['path']} was one too many (429)"
    for window in evidence.dialect.quota:
        times = [float(call.entry["time"]) for call in evidence.calls if re.search(window.path, call.entry["path"])]
        if window.resets:
            most = max(Counter(time // window.seconds for time in times).values(), default=0)
        else:
            most = max((_within(times, at, window.seconds) for at in range(len(times))), default=0)
        if most > window.calls + late:
            yield f"{most} calls to {window.path or 'the vendor'} in {window.seconds} s, and {window.calls} are allowed"


def _suspended_calls(run: Run) -> int:
    """Return how many calls of a run a suspension may have held back after the rate limiter's permission."""
    return max((attempt.in_flight for attempt in run.tries if attempt.ended != "killed"), default=0)


def _within(times: list[float], start: int, seconds: float) -> int:
    """Return the number of calls in the window that begins with the call at `start`."""
    end = start
    while end < len(times) and times[end] < times[start] + seconds:
        end += 1
    return end - start

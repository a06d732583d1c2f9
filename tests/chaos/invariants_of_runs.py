"""Invariants 4, 5, 6 and 9: the order of snapshots, retries, one writer at a time, and checks before writes."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator

from chaos.run_records import CONFIGURATION, Call, Run, RunRecords
from chaos.vendor_log_readers import LATE_S


def older_never_overwrites_newer(evidence: RunRecords) -> Iterator[str]:
    """4. Once a snapshot of an export has begun to arrive, or has ended, no call of an older one changes anything.

    After an undo the export is where it was before the version that was taken back.
    """
    newest: dict[str, tuple[str, str]] = defaultdict(lambda: ("", ""))
    finishing = {evidence.last_call(run): run for run in evidence.runs.values()}
    for call in evidence.calls:
        run = evidence.runs.get(call.run)
        if run is not None and call.writes and call.arrived and run.mode != "undo":  # which is of no snapshot
            as_of, name = newest[run.export]
            if run.as_of < as_of:
                yield (
                    f"call {call.number} of {run.name} (as of {run.as_of}) changes what {name} "
                    f"(as of {as_of}) has brought"
                )
                return
            newest[run.export] = max(newest[run.export], (run.as_of, run.name))
        ended = finishing.get(call.number)
        if ended is None or not ended.finished or ended.dry:
            continue
        if ended.mode == "undo":
            newest[ended.export] = min(newest[ended.export], _restored(evidence, ended))
        else:
            newest[ended.export] = max(newest[ended.export], (ended.as_of, ended.name))


def _restored(evidence: RunRecords, undo: Run) -> tuple[str, str]:
    """Return the snapshot that an undo brings an export back to: one of a finished run of that export, or none."""
    restores = json.loads(max(undo.folder.glob("*/plan.json")).read_text())["facts"]["restores"]
    run = evidence.runs.get(restores.get("run", ""))
    if run is None:
        return ("", "")
    if run.export != undo.export or not run.finished or run.as_of != restores["as_of"]:
        return ("9", "")  # it was never there, so it takes nothing back
    return (run.as_of, run.name)


def a_retry_goes_on(evidence: RunRecords) -> Iterator[str]:
    """5. At most the batches in flight at a kill arrive twice, those whose answer was lost, and those read too late."""
    for run in evidence.runs.values():
        if any(attempt.closed and attempt.ended == "killed" for attempt in run.tries):
            continue  # it was done, and died before it could say so: its next try looks like a wish to do it again
        calls = [call for call in evidence.calls_of(run) if (call.items or call.leavers) and call.arrived]
        arrived = Counter(call.batch for call in calls)
        extra = sum(times - 1 for times in arrived.values())
        in_flight = sum(attempt.in_flight for attempt in run.tries)
        lost_answers = sum(call.spoilt for call in calls)
        late = sum(_is_late(first, second) for first, second in _first_two(calls))
        allowed = in_flight + lost_answers + late + evidence.asked_again
        if extra > allowed:
            yield (
                f"{run.name}: {extra} batches arrived again, and at most {allowed} may "
                f"({in_flight} in flight at kills, {lost_answers} answers lost, {late} read too late, "
                f"{evidence.asked_again} asked for again)"
            )


def _first_two(calls: list[Call]) -> Iterator[list[Call]]:
    """Yield the first two calls of each batch that arrived more than once."""
    batches: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        batches[call.batch].append(call)
    return (same[:2] for same in batches.values() if len(same) > 1)


def _is_late(first: Call, second: Call) -> bool:
    return first.dialect.resent_late(first.entry) and second.entry["time"] - first.entry["time"] > LATE_S


def one_writer_an_audience(evidence: RunRecords) -> Iterator[str]:
    """6. Between two writes of one try, or of a run that only waits, no other run writes."""
    writes = [call for call in evidence.calls if call.run and call.writes]
    spans: dict[tuple[str, int], list[int]] = defaultdict(list)
    for call in writes:
        spans[_holding(evidence, call)].append(call.number)
    for (name, number), numbers in spans.items():
        between = [call for call in writes if numbers[0] < call.number < numbers[-1] and call.run != name]
        if between:
            yield (
                f"{name} (try {number}) writes from call {numbers[0]} to {numbers[-1]}, and {between[0].run} "
                f"writes in between, at call {between[0].number}"
            )


def _holding(evidence: RunRecords, call: Call) -> tuple[str, int]:
    """Attempts with only waits between them count as one holder of the audience."""
    name, number = call.by
    run = evidence.runs.get(name)
    tries = {attempt.number: attempt for attempt in run.tries} if run else {}
    while number - 1 in tries and tries[number - 1].ended == "waiting":
        number -= 1
    return name, number


def nothing_is_sent_before_the_checks(evidence: RunRecords) -> Iterator[str]:
    """9. A run makes its checks before its first write, and writes nothing if a check fails."""
    for run in evidence.runs.values():
        calls = evidence.calls_of(run)
        writes = [call for call in calls if call.writes]
        if not writes:
            continue
        if run.dry:
            yield f"{run.name} is a dry run, and its call {writes[0].number} writes"
        looks = [call for call in calls if call.entry["method"] == "GET" and not call.refused]
        if not looks or looks[0].number > writes[0].number:
            yield f"{run.name} writes at call {writes[0].number} before it has looked at the audience"
        spoilt = {call.by[1] for call in calls if call.spoilt}  # a redirect in the middle reads as a wrong base URL
        tries = (attempt for attempt in run.tries if attempt.ended in CONFIGURATION)
        stopped = next((attempt for attempt in tries if attempt.number not in spoilt), None)
        if stopped is not None and any(call.by[1] == stopped.number for call in writes):
            yield f"{run.name} ended with {stopped.ended} in try {stopped.number}, which had sent something by then"

"""The lines of "What must always hold", each a function that tells what breaks it.

`broken(evidence)` runs all of them. What it tells is meant to be read by who has to mend it: what happened, in which
run, at which call of the simulator's log.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from chaos import proofs
from chaos.claims import barred_by_others, held_by_others, perhaps_barred, protected
from chaos.run_records import CONFIGURATION, Call, Run, RunRecords, rejects

from airflow_provider_segexport.model import Reason

Law = Callable[[RunRecords], Iterator[str]]

OUTCOMES = ("delivered", "unchanged", "rejected", "withheld", "not_attempted")
BETWEEN_S = 660.0
"""A plan of ten minutes is sent without another look at who is in the audience, and a call may take a while."""

ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")


def every_row_ends_once(evidence: RunRecords) -> Iterator[str]:
    """1. Conservation: in every report each row is in exactly one place, and what it says is what happened."""
    for run in evidence.runs.values():
        for folder, report in run.reports():
            where = f"{run.name}/{folder.name}"
            yield from _counts(where, run, report)
            if run.mode != "undo" and run.ended not in {"killed", "disk", "waiting"}:  # the report is of an earlier try
                yield from _rejected_rows(where, run, folder, report)
        if run.finished and not run.dry and run.mode != "undo":
            yield from _delivered(evidence, run)


def _counts(where: str, run: Run, report: dict[str, Any]) -> Iterator[str]:
    counts = report["counts"]
    if counts["profiles"] != len(run.rows) and run.mode != "undo":
        yield f"{where}: the segment has {len(run.rows)} rows, and the report {counts['profiles']}"
    if counts["profiles"] != sum(counts[name] for name in OUTCOMES) or min(counts.values()) < 0:
        yield f"{where}: the counts do not add up: {counts}"
    if report["finished"] and not run.dry and counts["not_attempted"]:
        yield f"{where}: finished, and {counts['not_attempted']} rows were not attempted"
    for outcome in ("rejected", "withheld"):
        told = sum(report["reasons"].get(outcome, {}).values())
        if told != counts[outcome]:
            yield f"{where}: {counts[outcome]} rows are {outcome}, and the reasons are of {told}"
    removals = report.get("removals") or {}
    if removals and removals["planned"] != sum(number for name, number in removals.items() if name != "planned"):
        yield f"{where}: the removals do not add up: {removals}"
    if any(number < 0 for number in removals.values()):
        yield f"{where}: a count of removals is negative: {removals}"


def _rejected_rows(where: str, run: Run, folder: Any, report: dict[str, Any]) -> Iterator[str]:
    lines = [line for line in rejects(folder) if line["row"] is not None and line["row"] >= 0]
    twice = [row for row, times in Counter(line["row"] for line in lines).items() if times > 1]
    if twice:
        yield f"{where}: rows {twice} stand in the rejects more than once"
    told = Counter((line["outcome"], line["reason"]) for line in lines if line["row"] < len(run.rows))
    reasons = {(outcome, reason): n for outcome, found in report["reasons"].items() for reason, n in found.items()}
    if told != reasons:
        yield f"{where}: rejects.parquet holds {dict(told)}, and the report says {reasons}"
    by_row = {line["row"]: (line["outcome"], line["reason"]) for line in lines}
    for number, row in enumerate(run.rows):
        if row.wrong is not None and by_row.get(number) != row.wrong:
            yield f"{where}: row {number} must end as {row.wrong}, and ended as {by_row.get(number, 'sent')}"


def _delivered(evidence: RunRecords, run: Run) -> Iterator[str]:
    """Who is delivered has arrived in this run, who is unchanged in an earlier one, with the very same content."""
    _, report = list(run.reports())[-1]
    aside = run.aside()
    arrived, own = _newest(evidence, run)
    here = [email for email in run.wanted if arrived.get(email, ("",))[0] == run.name]
    refused = evidence.ever_refused()
    lost = [
        email
        for email, name in run.wanted.items()
        if email not in aside | refused
        and name not in arrived.get(email, ("", ""))[1]
        and name not in own.get(email, "")  # the last change wins, among exports that share the audience
    ]
    if lost:
        yield f"{run.name}: {len(lost)} people are lost, their newest content never arrived: {lost[:3]}"
    delivered = sum(email not in aside for email in here)
    if run.mode == "full" and report["counts"]["delivered"] != delivered:
        yield f"{run.name}: the report says {report['counts']['delivered']} delivered, and {delivered} arrived"


def _newest(evidence: RunRecords, run: Run) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """What had arrived last of each person when a run ended, with the run; and what its own export had sent last."""
    arrived: dict[str, tuple[str, str]] = {}
    own: dict[str, str] = {}
    last = evidence.last_call(run)
    for call in evidence.calls:
        if call.number > last or not call.arrived:
            continue
        other = evidence.runs.get(call.run)
        for email, item in call.items.items():
            arrived[email] = (call.run, str(item))
            if other is not None and other.export == run.export:
                own[email] = str(item)
    return arrived, own


def consent_is_never_upgraded(evidence: RunRecords) -> Iterator[str]:
    """2. Nobody is subscribed without a proof that is newer than their last opt-out, and no mail is set off."""
    yield from proofs.broken(evidence)
    dialect = evidence.dialect
    taken_out: set[str] = set()
    for call in evidence.calls:
        if call.items:
            yield from (f"call {call.number} of {call.run}: {words}" for words in set(dialect.says(call.entry)))
        taken_out |= {evidence.address(leaver) for leaver in call.leavers if call.arrived}
        ours = [email for email in call.items if email in taken_out]
        if dialect.revival and call.fact(dialect.revival) > len(ours):
            yield f"call {call.number} of {call.run} brought back people whom we have not taken out"
        yield from _without_consent(evidence, call)
        for fact in ("mails", "consent_upgraded", "permission_changed", "unsuppressed", "status_sent"):
            if call.fact(fact) > proofs.allowed(evidence, call, fact):
                yield f"call {call.number} of {call.run}: {fact} is {call.fact(fact)}"
    for email, since in {**evidence.opted_out, **evidence.left}.items():
        if email not in evidence.members or not dialect.mailable(evidence.members[email]):
            continue
        if proofs.agreed_again(evidence, email):
            continue
        if email in evidence.opted_out or not _unseen(evidence, email, since):
            yield f"{email} opted out after call {since}, and gets mail through the audience again"


def _without_consent(evidence: RunRecords, call: Call) -> Iterator[str]:
    """What is wrong with the people whom a call carries."""
    run = evidence.runs.get(call.run)
    if run is None or not call.items:
        return
    if withheld := call.items.keys() & run.withheld:
        yield f"call {call.number} of {call.run} carries {len(withheld)} people whose consent is missing"
    if elsewhere := call.items.keys() & barred_by_others(evidence, run):
        yield f"call {call.number} of {call.run} carries people whom another export has barred: {elsewhere}"


def _unseen(evidence: RunRecords, email: str, since: int) -> bool:
    """Whether a person left just between a run's look at the audience and its call, which nothing can prevent."""
    back = next((call for call in evidence.calls if call.number > since and call.arrived and email in call.items), None)
    if back is None:
        return False
    if _never_confirmed(evidence, email, since) or _only_counted(evidence, email, since):
        return True
    before = [call for call in evidence.calls_of(evidence.runs[back.run]) if call.number < back.number]
    looks = [call for call in before if re.search(evidence.dialect.looks, call.entry["path"])] or before[:1]
    return looks[-1].number <= since and back.entry["time"] - looks[-1].entry["time"] <= BETWEEN_S


def _never_confirmed(evidence: RunRecords, email: str, since: int) -> bool:
    """Return whether no response and no reading of the audience has shown a person there before they left."""
    before = [call for call in evidence.calls if call.number <= since]
    sent = [call for call in before if call.arrived and email in call.items]
    if not sent or not all(call.entry.get("fault") for call in sent):
        return False
    looks = (call for call in before if re.search(evidence.dialect.looks, call.entry["path"]))
    return not any(call.number > sent[0].number and call.entry["status"] == 200 for call in looks)


def _only_counted(evidence: RunRecords, email: str, since: int) -> bool:
    """Return whether the vendor counted rejections without naming them, and the run could not tell whose they were.

    docs/consent.md names this case: who left before the run looked who is missing may be a rejected row.
    """
    sent = [call for call in evidence.calls if call.number <= since and call.arrived and email in call.items]
    if not sent:
        return False
    run = evidence.runs[sent[-1].run]
    reports = list(run.reports())
    if not reports:
        return False
    unnamed = (line["row"] for line in rejects(reports[-1][0]) if line["reason"] == Reason.NO_RESULT)
    return any(run.rows[row].address == email for row in unnamed if row is not None and 0 <= row < len(run.rows))


def leaving_is_not_unsubscribing(evidence: RunRecords) -> Iterator[str]:
    """3. A leaver stays in the account as they were; only people whom the ledger says we put there are taken out."""
    for call in evidence.calls:
        for fact in evidence.dialect.damage - {"mails", "consent_upgraded", "permission_changed", "status_sent"}:
            if call.fact(fact) > proofs.allowed(evidence, call, fact):
                yield f"call {call.number} of {call.run}: {fact} is {call.fact(fact)}"
        run = evidence.runs.get(call.run)
        if call.leavers and run is not None:
            yield from _taken_out(evidence, run, call)


def _taken_out(evidence: RunRecords, run: Run, call: Call) -> Iterator[str]:
    """What is wrong with a call that takes people out."""
    known = frozenset().union(*(attempt.members for attempt in run.tries))
    people = {evidence.address(leaver) for leaver in call.leavers}
    if strangers := people - known:
        yield f"call {call.number} of {call.run} takes out people whom the ledger does not hold: {strangers}"
    barred = perhaps_barred(evidence, call.number)  # by an export that shares the audience: out for all of them
    held = held_by_others(evidence, run, call.number) - set().union(*barred.values())
    if run.mode == "mirror" and (theirs := people & held):
        yield f"call {call.number} of {call.run} takes out people whom another export holds: {theirs}"
    elsewhere = set().union(*(found for export, found in barred.items() if export != run.export))
    if wanted := people & run.wanted.keys() - elsewhere:
        yield f"call {call.number} of {call.run} takes out people who are in the segment: {wanted}"
    unwilling = set().union(*(one.withheld for one in evidence.runs.values()))
    if theirs := people & protected(evidence) - unwilling:
        yield f"call {call.number} of {call.run} takes out people who were there before: {theirs}"
    if run.mode not in {"mirror", "undo"}:
        yield f"call {call.number} of {call.run} takes people out, and the mode is {run.mode}"
    if call.arrived and any("state is lost" in note for note in call.entry["notes"]):
        yield f"call {call.number} of {call.run} deleted somebody who was not active: {call.entry['notes']}"


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
    """5. At most the batches that were in flight at a kill arrive twice, and those whose answer was lost."""
    for run in evidence.runs.values():
        if any(attempt.closed and attempt.ended == "killed" for attempt in run.tries):
            continue  # it was done, and died before it could say so: its next try looks like a wish to do it again
        calls = [call for call in evidence.calls_of(run) if (call.items or call.leavers) and call.arrived]
        arrived = Counter(call.batch for call in calls)
        extra = sum(times - 1 for times in arrived.values())
        in_flight = sum(attempt.in_flight for attempt in run.tries)
        lost_answers = sum(call.spoilt for call in calls)
        allowed = in_flight + lost_answers + evidence.asked_again
        if extra > allowed:
            yield (
                f"{run.name}: {extra} batches arrived again, and at most {allowed} may "
                f"({in_flight} in flight at kills, {lost_answers} answers lost, {evidence.asked_again} asked for again)"
            )


def one_writer_an_audience(evidence: RunRecords) -> Iterator[str]:
    """6. Between two writes of one try, or of a run that only waits, nobody else writes."""
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
    """Tries with nothing but waiting between them hold the audience as one."""
    name, number = call.by
    run = evidence.runs.get(name)
    tries = {attempt.number: attempt for attempt in run.tries} if run else {}
    while number - 1 in tries and tries[number - 1].ended == "waiting":
        number -= 1
    return name, number


def nothing_personal_leaves(evidence: RunRecords) -> Iterator[str]:
    """7. No address, no name of a person and no secret in anything that a process tells."""
    names = {row.name for run in evidence.runs.values() for row in run.rows}
    canaries = re.compile("|".join(map(re.escape, sorted({*evidence.secrets, *names} - {""}))) or r"(?!)")
    for run in evidence.runs.values():
        for attempt in run.tries:
            for text in attempt.texts:
                found = ADDRESS.search(text) or canaries.search(text)
                if found:
                    yield f"{run.name} (try {attempt.number}) told {found[0]!r} in: {text[:200]}"
    for path in (evidence.root / "ledgers").rglob("*.json"):
        text = path.read_text()
        if found := ADDRESS.search(text) or canaries.search(text):
            yield f"{path.relative_to(evidence.root)} holds {found[0]!r}"


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
    """Calls in the span that begins with one of them."""
    end = start
    while end < len(times) and times[end] < times[start] + seconds:
        end += 1
    return end - start


def nothing_is_sent_before_the_checks(evidence: RunRecords) -> Iterator[str]:
    """9. A run looks before it writes, and one that cannot be done writes nothing."""
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


def vendor_and_segment_agree(evidence: RunRecords) -> Iterator[str]:
    """What the laws are for: after a calm last run the audience is what the newest segment says."""
    yield from evidence.unexpected
    run = list(evidence.runs.values())[-1]
    if not evidence.settled or not run.finished:
        return
    aside = run.aside()
    gone = {**evidence.opted_out, **evidence.left}
    for email, name in run.wanted.items():
        if email in aside or email in gone:
            continue
        member = evidence.members.get(email)
        if member is None or not evidence.dialect.mailable(member):
            yield f"{email} is in the segment and was delivered, and is not in the audience"
        elif evidence.dialect.name_of(member) != name and not _changed_by_another(evidence, run, email, name):
            yield f"{email} is {evidence.dialect.name_of(member)!r} at the vendor, and {name!r} in the segment"
    if run.mode == "mirror":
        known = frozenset().union(*(attempt.members for one in evidence.runs.values() for attempt in one.tries))
        mailable = {email for email, member in evidence.members.items() if evidence.dialect.mailable(member)}
        stayed = (mailable & known) - {row.address for row in run.rows if row.consent}
        held = held_by_others(evidence, run, len(evidence.entries) + 1, perhaps=True) - barred_by_others(evidence, run)
        existed = evidence.there_before - run.withheld - barred_by_others(evidence, run)  # they stay: docs/modes.md
        if stayed := stayed - held - existed:
            yield f"{sorted(stayed)} have left the segment and are still in the audience"


def _changed_by_another(evidence: RunRecords, run: Run, email: str, name: str) -> bool:
    """Whether an export that shares the audience has changed a value since: the last change wins."""
    arrived, own = _newest(evidence, run)
    by, content = arrived.get(email, ("", ""))
    if by not in evidence.runs or evidence.runs[by].export == run.export:
        return False
    return name in own.get(email, "") and evidence.dialect.name_of(evidence.members[email]) in content


def what_belongs_to_others_survives(evidence: RunRecords) -> Iterator[str]:
    """10. Tags that no export has set are as they were, and no experiment leaves a trace."""
    if evidence.settled:
        for email in evidence.harmed_tags:
            yield f"{email} has lost the tag of others, or has a temporary tag"


LAWS: dict[str, Law] = {
    "conservation": every_row_ends_once,
    "consent": consent_is_never_upgraded,
    "leavers": leaving_is_not_unsubscribing,
    "order": older_never_overwrites_newer,
    "retry": a_retry_goes_on,
    "one writer": one_writer_an_audience,
    "privacy": nothing_personal_leaves,
    "quota": never_above_quota,
    "checks first": nothing_is_sent_before_the_checks,
    "agreement": vendor_and_segment_agree,
    "others": what_belongs_to_others_survives,
}
"""The lines, and what they are for."""


def broken(evidence: RunRecords) -> list[str]:
    """Everything that is wrong, each line with the law that it breaks."""
    return [f"{name}: {words}" for name, law in LAWS.items() for words in law(evidence)]

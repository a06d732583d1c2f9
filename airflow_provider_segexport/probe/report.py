"""Describes a probe before and after it, without personal data: `questions, results -> texts, probe.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.probe.engine import STOPPED, Result
from airflow_provider_segexport.probe.planning import Planned, probe_of
from airflow_provider_segexport.storage.account_record import account_of
from airflow_provider_segexport.vendors.base import Vendor
from airflow_provider_segexport.vendors.probe import Probe

FORMAT = 1
"""Version of the format of `probe.json`."""

AS_ASSUMED, INCOMPLETE, DIFFERS = 0, 1, 3
"""Exit codes. 2 is argparse's, for wrong arguments."""

FIXED_CALLS = 10
"""Calls of a probe in addition to its questions: it reads account and audience, and the audience once more."""


def describe_plan(vendor: Vendor, probe: Probe, planned: Sequence[Planned], audience: Audience) -> Iterator[str]:
    """Yield the lines about what a probe is going to do, without addresses.

    Args:
        vendor: the account's vendor.
        probe: the vendor's questions.
        planned: the questions to ask.
        audience: the test audience. If its account has no id, no answer can be recorded.
    """
    questions = [item.question for item in planned if not item.why_not]
    yield from _table(
        ("question", "addresses", "calls at most", "what it changes, and undoes at once"),
        [(item.name, str(item.people), str(item.calls), item.changes or "nothing") for item in questions],
    )
    for item in planned:
        if item.why_not:
            yield f"Not asked: {item.question.name}: {item.why_not}"
    recordable = [question.name for question in questions if question.fact]
    if recordable and not account_of(audience):
        names = ", ".join(recordable)
        yield f"Exports will not follow the answer to {names}, because it cannot be recorded for the account."
        yield probe.without_id
    calls = FIXED_CALLS + sum(question.calls for question in questions)
    minutes = -(-sum(question.seconds for question in questions) // 60)
    people = sum(question.people for question in questions)
    yield (
        f"In all {counted(people, 'address')}, at most {counted(calls, 'call')}, about {counted(minutes, 'minute')}. "
        "Without --keep-going, the probe stops at the first answer that is not as assumed."
    )
    if people:
        yield f"What remains at {vendor.title}: {probe.leaves}"
    for question in questions:
        if question.leaves:
            yield f"After {question.name}, {question.leaves} {'remain' if 'names' in question.leaves else 'remains'}."


def describe_questions(probe: Probe) -> Iterator[str]:
    """Yield the lines of `--list`."""
    yield from _table(
        ("question", "text", "exports assume", "because"),
        [(item.name, item.text, item.assumed, f"{item.confidence}: {item.source}") for item in probe.questions],
    )


RECORDED = " This is recorded for the account."
NOT_RECORDED = " This is not recorded, because the vendor's responses do not contain the account's id."


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """The answers of an account, and what could not be undone.

    Attributes:
        vendor: the account's vendor.
        results: the results of all questions.
        not_undone: texts on changes that could not be undone.
        version: version of this package.
    """

    vendor: Vendor
    results: Sequence[Result]
    not_undone: Sequence[str]
    version: str

    @property
    def api_version(self) -> str:
        """The version of the vendor's API that the answers are about."""
        return probe_of(self.vendor).api_version

    @property
    def exit_code(self) -> int:
        """0 if all answers are as assumed, 3 if one differs, 1 if the probe was not completed or not undone."""
        outcomes = {result.outcome for result in self.results}
        is_stopped = any(result.reason == STOPPED for result in self.results)
        if self.not_undone or outcomes & {"failed", "unclear"} or (is_stopped and "differs" not in outcomes):
            return INCOMPLETE
        return DIFFERS if "differs" in outcomes else AS_ASSUMED

    def describe_answers(self) -> Iterator[str]:
        """Yield the lines about the answers. They have no personal data, so they may be pasted into an issue."""
        yield f"{self.vendor.title}, API {self.api_version}, airflow-provider-segexport {self.version}:"
        yield ""
        yield from _table(
            ("question", "answer", "assumed", "result"),
            [(item.question.name, item.answer or "-", item.question.assumed, item.outcome) for item in self.results],
        )
        yield ""
        for result in self.results:
            if result.outcome == "differs":
                yield f"{result.question.name}: {_consequence(result)}"
                if result.question.fact and not result.recorded:
                    yield probe_of(self.vendor).without_id
            elif result.reason and result.reason != STOPPED:
                yield f"{result.question.name}: {result.outcome}: {result.reason}"

    def describe_end(self) -> Iterator[str]:
        """Yield the last lines: the number of questions by outcome, and what could not be undone."""
        counts = Counter(result.outcome for result in self.results)
        shown = ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
        yield f"{counted(len(self.results), 'question')}: {shown}."
        if self.not_undone:
            yield f"NOT UNDONE: {'; '.join(self.not_undone)}. To fix: run the probe again, which undoes it first."
        else:
            yield "Every change was undone."

    def as_json(self, now: float, *, simulated: bool) -> dict[str, Any]:
        """Return the content of `probe.json`.

        Args:
            now: epoch seconds.
            simulated: the vendor's API is a simulator on this machine.
        """
        return {
            "format": FORMAT,
            "provider_version": self.version,
            "vendor": self.vendor.name,
            "api_version": self.api_version,
            "simulated": simulated,
            "ended_at": datetime.fromtimestamp(int(now), UTC).isoformat().replace("+00:00", "Z"),
            "exit_code": self.exit_code,
            "questions": [_question_json(result) for result in self.results],
            "not_undone": list(self.not_undone),
        }


def _consequence(result: Result) -> str:
    """Return the meaning of an answer that differs, and what exports of the account do from now on."""
    question = result.question
    answer, assumed = question.answers[result.answer], question.answers[question.assumed]
    if question.fact and not result.recorded:
        return f"{answer.meaning}{NOT_RECORDED} Exports go on as before: {assumed.exports}"
    return f"{answer.meaning} {answer.exports}{RECORDED if result.recorded else ''}"


def _question_json(result: Result) -> dict[str, Any]:
    question = result.question
    answer = question.answers.get(result.answer)
    return {
        "name": question.name,
        "question": question.text,
        "assumed": question.assumed,
        "answer": result.answer,
        "result": result.outcome,
        "meaning": answer.meaning if answer else "",
        "exports": answer.exports if answer else "",
        "recorded": result.recorded,
        "reason": result.reason,
        "calls": result.calls,
    }


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table with columns of one width."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for number, line in enumerate(lines):
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        yield f"| {' | '.join(cells)} |"
        if not number:
            yield f"|{'|'.join('-' * (width + 2) for width in widths)}|"

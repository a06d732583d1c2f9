"""Labels on the pages: of reasons, outcomes, facts, numbers and times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow_provider_segexport.json_values import mapping, number
from airflow_provider_segexport.json_values import text as as_text
from airflow_provider_segexport.model import Reason
from airflow_provider_segexport.plugins.health import span
from airflow_provider_segexport.reasons import MEANINGS as REASONS
from airflow_provider_segexport.vendors.probe_answers import DIFFERENT, EMAIL_CASE_FACT
from airflow_provider_segexport.vendors.registry import VENDORS

OUTCOMES = {
    "delivered": "Delivered",
    "unchanged": "Unchanged",
    "rejected": "Rejected",
    "withheld": "Withheld",
    "not_attempted": "Not attempted",
}
MEANINGS = {
    "delivered": "sent, and accepted by the vendor",
    "unchanged": "not sent, because the vendor has these values already",
    "rejected": "could not be sent, or the vendor rejected them",
    "withheld": "not sent because of consent, a suppression list or another rule",
    "not_attempted": "the run stopped first",
}
REMOVALS = {
    "removed": "Removed",
    "already_gone": "Already gone",
    "kept": "Kept",
    "rejected": "Rejected by the vendor",
    "not_attempted": "Not attempted",
}

ACCOUNT_FACTS = {
    "tags_on_upsert": (
        "Tags in an upsert",
        {
            "merge": "are added to a contact's tags",
            "replace": "replace a contact's tags, so they are sent separately",
            "unknown": "not clear, so they are sent separately",
        },
    ),
    EMAIL_CASE_FACT: (
        "Upper and lower case of an address",
        {
            "same": "are the same person",
            DIFFERENT: "are two people, so those who have opted out in any case are withheld",
        },
    ),
}
"""Label of each fact that an experiment finds out about an account, and labels of its values."""


def fact_labels() -> dict[str, tuple[str, Mapping[str, str]]]:
    """Return by fact about an account its label, and the labels of its values.

    The label of a fact that a probe finds out is the probe's question.
    """
    questions = [question for vendor in VENDORS.values() if vendor.probe for question in vendor.probe.questions]
    by_question = {
        question.fact: (question.text, {name: answer.meaning for name, answer in question.answers.items()})
        for question in questions
        if question.fact
    }
    return {**by_question, **ACCOUNT_FACTS}


YEAR_10000_S = 253_402_300_800.0
"""Epoch seconds of the year 10000, which a Python date cannot hold."""


def account_facts(facts: Mapping[str, Any]) -> list[tuple[str, str, float]]:
    """Return label, label of the value, and time of each fact of a report. Unknown facts and values are left out."""
    lines = []
    for name, (title, values) in fact_labels().items():
        fact = mapping(facts.get(name))
        value = values.get(as_text(fact.get("value")))
        if value:
            learnt_at = number(fact.get("learnt_at"))
            lines.append((title, value, learnt_at if is_moment(learnt_at) else 0.0))
    return lines


def reason(code: str) -> str:
    """Return a reason's label; for an unknown code, the code with blanks in place of underscores."""
    return REASONS[Reason(code)] if code in set(Reason) else code.replace("_", " ")


def is_moment(moment: float) -> bool:
    """Return whether epoch seconds are a moment after 1970 that a date can hold."""
    return 0 < moment < YEAR_10000_S


def ago(moment: float, now: float) -> str:
    """Return how long ago a moment was, or how soon it will be."""
    if not moment:
        return "never"
    gap = now - moment
    if abs(gap) < 1.5:  # noqa: PLR2004 - about a second
        return "just now"
    length = span(abs(gap))
    if length[0].isalpha():
        length = f"an {length}" if length == "hour" else f"a {length}"
    return f"{length} ago" if gap > 0 else f"in {length}"


def clock(moment: float) -> str:
    """Return a moment in UTC, to the second; empty for 0 and for a number that is no moment."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC" if is_moment(moment) else ""


def iso(moment: float) -> str:
    """Return a moment in ISO 8601, empty as from `clock`. The script shows it in the time zone of Airflow's UI."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}" if is_moment(moment) else ""


def day(text: str) -> str:
    """Return a snapshot's time in UTC to the minute, or its date at midnight; any other text is returned unchanged."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return text
    is_midnight = (moment.hour, moment.minute, moment.second) == (0, 0, 0)
    return f"{moment:%Y-%m-%d}" if is_midnight else f"{moment:%Y-%m-%d %H:%M} UTC"


def lasted(seconds: float) -> str:
    """Return a length of time, such as `8.5 s`, `2 min 5 s` or `1 h 20 min`."""
    if seconds < 10:  # noqa: PLR2004 - below ten seconds tenths matter
        return f"{seconds:.1f} s"
    all_minutes, secs = divmod(round(seconds), 60)
    hours, minutes = divmod(all_minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {secs} s" if minutes else f"{secs} s"


def size(count: float) -> str:
    """Return a number of bytes with its decimal unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":  # noqa: PLR2004 - thousands
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError

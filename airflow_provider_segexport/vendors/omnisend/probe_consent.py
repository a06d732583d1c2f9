"""Omnisend: a probe's questions about status dates, which decide whether a proof of consent subscribes a person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_segexport.model import Audience, Operation
from airflow_provider_segexport.vendors.omnisend import probe_calls as calls
from airflow_provider_segexport.vendors.omnisend.account_facts import LAST_WINS, LATEST_WINS, STATUS_DATES_FACT
from airflow_provider_segexport.vendors.omnisend.tag_experiment import upsert_one
from airflow_provider_segexport.vendors.probe import UNCLEAR, Answer, NotAsked, Question, Subject
from airflow_provider_segexport.vendors.responses import as_text

CONSENTED_AT = datetime(2024, 1, 1, tzinfo=UTC)
"""A time before the creation of any contact of a probe."""
OPTED_OUT_AT = CONSENTED_AT + timedelta(days=1)

OLD_CONSENT = {
    "subscribes": Answer(
        "A consent from before the contact's creation subscribes it.", 'With `subscribe="with_proof"`, nothing changes.'
    ),
    "ignored": Answer(
        "A consent from before the contact's creation is ignored.",
        "A contact that was created without proof is subscribed only by a consent that is newer than the contact.",
    ),
}
STATUS_DATES = {
    LATEST_WINS: Answer("A status with an older date is ignored.", "Nothing changes."),
    LAST_WINS: Answer(
        "A status with an older date replaces a newer one.",
        'Exports with `subscribe="with_proof"` send nothing, because an opt-out during the run would be undone.',
    ),
}


def with_status(email: str, status: str, moment: datetime) -> str:
    """Return a contact with a status; `subscribed` as an export with proof sends it.

    Args:
        email: the contact's address.
        status: `subscribed` or `unsubscribed`.
        moment: start of the status, in UTC.
    """
    changed_at = moment.isoformat().replace("+00:00", "Z")
    channels = {"email": {"status": status, "statusChangedAt": changed_at}}
    identifier: dict[str, Any] = {"type": "email", "id": email, "sendWelcomeMessage": False, "channels": channels}
    if status == "subscribed":
        identifier["consent"] = {"createdAt": changed_at}
    return calls.item_of(email, identifiers=[identifier])


def read_status(audience: Audience, email: str) -> Operation[str]:
    """Return a contact's status for email; empty if there is no contact."""
    contacts = yield from calls.read_contacts(audience, email)
    return as_text(contacts[0].get("status")) if contacts else ""


def ask_old_consent(subject: Subject) -> Operation[str | NotAsked]:
    """Create a contact without a status, send a consent of 2024, and read the status."""
    email = subject.emails[0]
    refusal = calls.why_not_new((yield from calls.read_contacts(subject.audience, email)))
    if refusal is not None:
        return refusal
    for item in (calls.item_of(email), with_status(email, "subscribed", CONSENTED_AT)):
        if not (yield from upsert_one(subject.audience, email, item)):
            return UNCLEAR
    answers = {"subscribed": "subscribes", "nonSubscribed": "ignored"}
    return answers.get((yield from read_status(subject.audience, email)), UNCLEAR)


def ask_status_dates(subject: Subject) -> Operation[str | NotAsked]:
    """Create a contact that has opted out, send an older consent, and read the status."""
    email = subject.emails[0]
    refusal = calls.why_not_new((yield from calls.read_contacts(subject.audience, email)))
    if refusal is not None:
        return refusal
    if not (yield from upsert_one(subject.audience, email, with_status(email, "unsubscribed", OPTED_OUT_AT))):
        return UNCLEAR
    if (yield from read_status(subject.audience, email)) != "unsubscribed":
        return UNCLEAR
    if not (yield from upsert_one(subject.audience, email, with_status(email, "subscribed", CONSENTED_AT))):
        return UNCLEAR
    answers = {"unsubscribed": LATEST_WINS, "subscribed": LAST_WINS}
    return answers.get((yield from read_status(subject.audience, email)), UNCLEAR)


CONSENT_QUESTIONS = (
    Question(
        name="old_consent",
        text="Does a consent from before a contact's creation subscribe the contact?",
        confidence="assumed",
        source="the status date of a contact that was created without a status is not documented",
        answers=OLD_CONSENT,
        assumed="ignored",
        people=1,
        calls=30,
        seconds=25,
        changes="creates one contact, and subscribes it as of 2024-01-01",
        leaves="one address that may be subscribed",
        ask=ask_old_consent,
    ),
    Question(
        name=STATUS_DATES_FACT,
        text="Does a newer opt-out stay after a status with an older date?",
        confidence="documented",
        source="the contacts page of v3; the page of 2026-03-15 does not repeat it",
        answers=STATUS_DATES,
        assumed=LATEST_WINS,
        people=1,
        calls=30,
        seconds=25,
        changes="creates one contact, which has opted out as of 2024-01-02",
        leaves="one address that has opted out",
        fact=STATUS_DATES_FACT,
        ask=ask_status_dates,
    ),
)

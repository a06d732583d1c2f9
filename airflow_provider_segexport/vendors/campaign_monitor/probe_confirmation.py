"""Campaign Monitor: the calls of a probe's questions about a list with confirmed opt-in.

The vendor sends a mail with a link to each person who is added there by a single call. Until the person follows the
link, the person's state is Unconfirmed.
"""

from __future__ import annotations

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import BatchRejected
from airflow_provider_segexport.model import Audience, Operation, Sleep
from airflow_provider_segexport.vendors.campaign_monitor.account import CONFIRMED_OPT_IN
from airflow_provider_segexport.vendors.campaign_monitor.probe_calls import IMPORTS, import_email, item_of, post
from airflow_provider_segexport.vendors.campaign_monitor.removals import delete
from airflow_provider_segexport.vendors.campaign_monitor.subscribers import ACTIVE, read_state, subscriber_url
from airflow_provider_segexport.vendors.probe import UNCLEAR, NotAsked, Subject
from airflow_provider_segexport.vendors.probe_steps import import_rows

UNCONFIRMED = "Unconfirmed"
ALREADY_THERE = "an address is already in the list; give --address another pattern"


def why_not_confirmed(audience: Audience) -> str:
    """Return why a question that needs a list with confirmed opt-in cannot be asked; empty if it can."""
    return "" if audience.extra.get(CONFIRMED_OPT_IN) else "the list does not confirm opt-ins; use one that does"


def ask_confirmed_opt_in(subject: Subject) -> Operation[str | NotAsked]:
    """Import a new person into a list with confirmed opt-in, and read the person's state."""
    email = subject.emails[0]
    if (yield from read_state(subject.audience, email)):
        return NotAsked(ALREADY_THERE)
    if not (yield from import_email(subject, email)):
        return UNCLEAR
    state = yield from read_state(subject.audience, email)
    return {ACTIVE: "active", UNCONFIRMED: "unconfirmed"}.get(state, UNCLEAR)


def ask_unconfirmed(subject: Subject) -> Operation[str | NotAsked]:
    """Add a person who then has to confirm, and import this person and a new one in one call."""
    audience, (unconfirmed, new) = subject.audience, subject.emails
    for email in subject.emails:
        if (yield from read_state(audience, email)):
            return NotAsked(ALREADY_THERE)
    added = {"EmailAddress": unconfirmed, "Resubscribe": False, "ConsentToTrack": "Unchanged"}
    yield from post(subscriber_url(audience), added)
    yield Sleep(0)
    if (yield from read_state(audience, unconfirmed)) != UNCONFIRMED:
        return UNCLEAR
    try:
        rows = [(email, item_of(email)) for email in (unconfirmed, new)]
        result = yield from import_rows(IMPORTS, audience, rows)
    except BatchRejected:
        return "batch_rejected"
    yield Sleep(0)
    state = yield from read_state(audience, unconfirmed)
    rejected = {rejection.index for rejection in result.rejected}
    if state == ACTIVE and 0 not in rejected:
        return "activated"
    if state != UNCONFIRMED or rejected not in ({0}, set()):
        return UNCLEAR
    return "by_row" if rejected else "silent"


def undo_confirmation(subject: Subject) -> Operation[tuple[str, ...]]:
    """Delete the people, who may be unconfirmed."""
    left = 0
    for email in subject.emails:
        yield Sleep(0)
        if (yield from read_state(subject.audience, email)) in {ACTIVE, UNCONFIRMED}:
            yield from delete(subject.audience, email)
        yield Sleep(0)
        left += (yield from read_state(subject.audience, email)) in {ACTIVE, UNCONFIRMED}
    return (f"{counted(left, 'address')} in the list",) if left else ()

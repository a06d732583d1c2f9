"""Omnisend: the calls of a probe's questions. No call of the API deletes a contact, so the addresses stay contacts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.model import Audience, Batch, Operation, Sleep
from airflow_provider_segexport.vendors.experiment import TEMPORARY_PREFIX, Notes
from airflow_provider_segexport.vendors.omnisend.account_facts import CLEARED, UNTOUCHED
from airflow_provider_segexport.vendors.omnisend.members import email_of
from airflow_provider_segexport.vendors.omnisend.responses import FORBIDDEN, read_json, versioned
from airflow_provider_segexport.vendors.omnisend.tag_experiment import (
    LOOK_WAITS_S,
    read_tags,
    run,
    undo,
    upsert_one,
)
from airflow_provider_segexport.vendors.omnisend.tags import MERGE, REPLACE, change_tags
from airflow_provider_segexport.vendors.probe import UNCLEAR, NotAsked, Subject
from airflow_provider_segexport.vendors.probe_steps import CLEAN_UP_WAITS_S, capitals, limit_headers
from airflow_provider_segexport.vendors.responses import as_object, as_objects, as_text, get, required_list

KEEP_WAITS_S = (0.0, 1.0, 4.0, 10.0)
"""Seconds before each check whether a tag has disappeared. After the last check, the tag counts as kept."""

FIRST_NAME = "Probe"

STATUSES = frozenset({"nonSubscribed", "subscribed", "unsubscribed"})

NUMBER, MOMENT = 12.5, "2026-01-02T03:04:05Z"


def item_of(email: str, **members: Any) -> str:
    """Return a contact as an export sends it."""
    identifiers = [{"type": "email", "id": email, "sendWelcomeMessage": False}]
    return json.dumps({"identifiers": identifiers, **members}, separators=(",", ":"))


def read_contacts(audience: Audience, email: str) -> Operation[list[dict[str, Any]]]:
    """Return the contacts that have an address, in any case."""
    yield Sleep(0)
    page = as_object(read_json((yield versioned(get(f"{audience.base_url}/contacts", email=email)))))
    contacts = required_list(page.get("contacts"), "contacts")
    return [contact for contact in contacts if canonical(email_of(contact)) == canonical(email)]


def temporary_tags(subject: Subject) -> tuple[str, str]:
    """Return the names of two temporary tags."""
    return f"{TEMPORARY_PREFIX}{subject.mark} 1", f"{TEMPORARY_PREFIX}{subject.mark} 2"


def why_not_new(contacts: Sequence[dict[str, Any]]) -> NotAsked | None:
    """Return why an address cannot be used for a question about a new contact; None if it can."""
    if not contacts:
        return None
    return NotAsked("the address is already a contact of the brand; give --address another pattern")


def why_unfit(subject: Subject) -> Operation[str]:
    """Return an error if an upsert could delete data of the contact: other tags, or a first name."""
    contacts = yield from read_contacts(subject.audience, subject.emails[0])
    for contact in contacts:
        tags = contact.get("tags") or []
        if not isinstance(tags, list) or set(map(as_text, tags)) - {subject.audience.audience}:
            return "the address has other tags, or they cannot be read; give --address another pattern"
        if as_text(contact.get("firstName")) not in {"", FIRST_NAME}:
            return "the address is already a contact with a name; give --address another pattern"
    return ""


def ask_tags(subject: Subject) -> Operation[str | NotAsked]:
    """Run the same experiment on one person as exports do."""
    email = subject.emails[0]
    tags = yield from read_tags(subject.audience, email)
    if tags is None or tags - {subject.audience.audience}:
        return NotAsked("the address has other tags, or they cannot be read; give --address another pattern")
    yield Sleep(0)
    batch = Batch("probe", [0], [email], [item_of(email, tags=[subject.audience.audience])])
    value = yield from run(subject.audience, batch, Notes(0, email, (), temporary_tags(subject)))
    return value if value in {MERGE, REPLACE} else UNCLEAR


def undo_tags(subject: Subject) -> Operation[tuple[str, ...]]:
    """Remove the temporary tags."""
    yield Sleep(0)
    yield from undo(subject.audience, Notes(0, subject.emails[0], (), temporary_tags(subject)))
    for wait_s in CLEAN_UP_WAITS_S:
        yield Sleep(wait_s)
        tags = yield from read_tags(subject.audience, subject.emails[0])
        if tags is not None and not tags & set(temporary_tags(subject)):
            return ()
        yield from change_tags("DELETE", subject.audience, temporary_tags(subject), subject.emails)
    return (f"the tags that begin with {TEMPORARY_PREFIX!r} of one address",)


def ask_left_out_tags(subject: Subject) -> Operation[str | NotAsked]:
    """Send a contact with a tag, then without the member `tags`, and check whether the tag stays."""
    email, tag = subject.emails[0], temporary_tags(subject)[0]
    if not (yield from upsert_one(subject.audience, email, item_of(email, tags=[tag]))):
        return UNCLEAR
    for wait_s in LOOK_WAITS_S:
        yield Sleep(wait_s)
        if tag in ((yield from read_tags(subject.audience, email)) or ()):
            break
    else:
        return UNCLEAR
    if not (yield from upsert_one(subject.audience, email, item_of(email, firstName=FIRST_NAME))):
        return UNCLEAR
    for wait_s in KEEP_WAITS_S:
        yield Sleep(wait_s)
        tags = yield from read_tags(subject.audience, email)
        if tags is None:
            return UNCLEAR
        if tag not in tags:
            return CLEARED
    return UNTOUCHED


def ask_email_case(subject: Subject) -> Operation[str | NotAsked]:
    """Send an address in lower case and in upper case, and compare the ids of the contacts."""
    ids = []
    for email in (subject.emails[0], capitals(subject.emails[0])):
        if not (yield from upsert_one(subject.audience, email, item_of(email))):
            return UNCLEAR
    for email in (subject.emails[0], capitals(subject.emails[0])):
        contacts = yield from read_contacts(subject.audience, email)
        ids.append([as_text(contact.get("id")) for contact in contacts])
    if len(ids[0]) != 1 or len(ids[1]) != 1:
        return UNCLEAR
    return "same" if ids[0] == ids[1] else "different"


def ask_new_status(subject: Subject) -> Operation[str | NotAsked]:
    """Send a new contact without `channels`, and read the status."""
    email = subject.emails[0]
    refusal = why_not_new((yield from read_contacts(subject.audience, email)))
    if refusal is not None:
        return refusal
    if not (yield from upsert_one(subject.audience, email, item_of(email))):
        return UNCLEAR
    contacts = yield from read_contacts(subject.audience, email)
    status = as_text(contacts[0].get("status")) if contacts else ""
    return status if status in STATUSES else UNCLEAR


def properties(subject: Subject) -> tuple[str, str]:
    """Return the names of two custom properties."""
    return f"segexport_check_{subject.mark}_1", f"segexport_check_{subject.mark}_2"


def ask_values(subject: Subject) -> Operation[str | NotAsked]:
    """Send a decimal and a time as custom properties, and read them back."""
    email, (number, moment) = subject.emails[0], properties(subject)
    item = item_of(email, customProperties={number: NUMBER, moment: MOMENT})
    if not (yield from upsert_one(subject.audience, email, item)):
        return "rejected"
    contacts = yield from read_contacts(subject.audience, email)
    values = as_object(contacts[0].get("customProperties")) if contacts else {}
    if values.get(number) == NUMBER and values.get(moment) == MOMENT:
        return "kept"
    return "changed" if number in values and moment in values else UNCLEAR


def undo_values(subject: Subject) -> Operation[tuple[str, ...]]:
    """Empty the two custom properties."""
    email = subject.emails[0]
    yield Sleep(0)
    if not (yield from read_contacts(subject.audience, email)):
        return ()
    empty = item_of(email, customProperties=dict.fromkeys(properties(subject), ""))
    accepted = yield from upsert_one(subject.audience, email, empty)
    contacts = yield from read_contacts(subject.audience, email)
    by_contact = [as_object(contact.get("customProperties")) for contact in contacts]
    values = [by_name.get(name) for by_name in by_contact for name in properties(subject)]
    return () if accepted and not any(values) else ("two custom properties (segexport_check_...) of one address",)


def ask_batch_permission(subject: Subject) -> Operation[str | NotAsked]:
    """Read a page of batches."""
    response = yield versioned(get(f"{subject.audience.base_url}/batches", endpoint="contacts", limit="1"))
    if response.status == FORBIDDEN:
        return "more"
    as_objects(as_object(read_json(response)).get("batches"))
    return "enough"


def ask_rate_headers(subject: Subject) -> Operation[str | NotAsked]:
    """Look for headers that announce the rate limit."""
    response = yield versioned(get(f"{subject.audience.base_url}/brands/current"))
    read_json(response)
    return "absent" if limit_headers(response.headers) == "absent" else "present"


def clean_up(audience: Audience, emails: Sequence[str]) -> Operation[int]:
    """Remove the audience's tag from the addresses, and return how many addresses still have it."""
    both = [*emails, *map(capitals, emails)]
    left = 0
    for wait_s in CLEAN_UP_WAITS_S:
        yield Sleep(wait_s)
        yield from change_tags("DELETE", audience, [audience.audience], both)
        yield Sleep(wait_s)
        page = as_object(read_json((yield versioned(get(f"{audience.base_url}/contacts", tag=audience.audience)))))
        tagged = {canonical(email_of(contact)) for contact in required_list(page.get("contacts"), "contacts")}
        left = len(tagged & set(map(canonical, emails)))
        if not left:
            return 0
    return left

"""Constant Contact: the calls of a probe's questions. The addresses stay as contacts on no list."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from airflow_provider_segexport.errors import BatchRejected
from airflow_provider_segexport.model import Audience, Batch, JobId, JobState, Operation, Request, Sleep
from airflow_provider_segexport.vendors.base import OnPage
from airflow_provider_segexport.vendors.constant_contact import imports
from airflow_provider_segexport.vendors.constant_contact.account import custom_fields
from airflow_provider_segexport.vendors.constant_contact.removals import REMOVAL, find_on_pages
from airflow_provider_segexport.vendors.constant_contact.responses import raise_for, read_json
from airflow_provider_segexport.vendors.probe import UNCLEAR, NotAsked, Subject
from airflow_provider_segexport.vendors.probe_steps import (
    POLL_WAITS_S,
    ImportCalls,
    capitals,
    import_rows,
    limit_headers,
    take_out,
)
from airflow_provider_segexport.vendors.responses import (
    as_int,
    as_object,
    as_objects,
    as_text,
    get,
    required_list,
    send_json,
)

IMPORTS = ImportCalls(imports.upsert, imports.poll, imports.collect)
NOT_FOUND = 404
NUMBER, MOMENT = "12.5", "2026-01-02T03:04:05Z"

FIELD_BODIES: tuple[dict[str, Any], ...] = (
    {"type": "number", "metadata": {"integer": False, "decimal_places": 4, "allow_negative": True}},
    {"type": "datetime"},
)
"""Bodies of two custom fields, for a number and for a time, without their labels."""


def item_of(email: str, **members: Any) -> str:
    """Return a row of an import as an export sends it."""
    return json.dumps({"email": email, **members})


def import_email(subject: Subject, email: str, **members: Any) -> Operation[bool]:
    """Import one address, and return whether its row was accepted."""
    result = yield from import_rows(IMPORTS, subject.audience, [(email, item_of(email, **members))])
    return not result.rejected and not result.unattributed


def read_contacts(audience: Audience, email: str, include: str = "") -> Operation[list[dict[str, Any]]]:
    """Return the contacts that have an address.

    Args:
        audience: any audience of the account.
        email: the address.
        include: sub-resource that the response shall contain; empty for none.
    """
    yield Sleep(0)
    query = {"email": email, "status": "all", **({"include": include} if include else {})}
    page = as_object(read_json((yield get(f"{audience.base_url}/contacts", **query))))
    return required_list(page.get("contacts"), "contacts")


def ask_email_case(subject: Subject) -> Operation[str | NotAsked]:
    """Import an address in lower case and in upper case, and compare the ids of the contacts."""
    ids = []
    for email in (subject.emails[0], capitals(subject.emails[0])):
        if not (yield from import_email(subject, email)):
            return UNCLEAR
    for email in (subject.emails[0], capitals(subject.emails[0])):
        contacts = yield from read_contacts(subject.audience, email)
        ids.append(sorted(as_text(contact.get("contact_id")) for contact in contacts))
    if not ids[0] or not ids[1]:
        return UNCLEAR
    return "same" if ids[0] == ids[1] and len(ids[0]) == 1 else "different"


def ask_new_status(subject: Subject) -> Operation[str | NotAsked]:
    """Import a new contact, and read its permission."""
    email = subject.emails[0]
    if (yield from read_contacts(subject.audience, email)):
        return NotAsked("the address is already a contact of the account; give --address another pattern")
    if not (yield from import_email(subject, email)):
        return UNCLEAR
    contacts = yield from read_contacts(subject.audience, email)
    address = as_object(contacts[0].get("email_address")) if contacts else {}
    permission = as_text(address.get("permission_to_send"))
    return permission if permission in {"implicit", "explicit", "pending_confirmation"} else UNCLEAR


def ask_unknown_field(subject: Subject) -> Operation[str | NotAsked]:
    """Import a row with a custom field that does not exist."""
    try:
        accepted = yield from import_email(subject, subject.emails[0], **{f"cf:segexport_check_{subject.mark}": "x"})
    except BatchRejected:
        return "batch_rejected"
    return "ignored" if accepted else "row_rejected"


def import_with_error(subject: Subject) -> Operation[dict[str, Any]]:
    """Import a valid row, followed by a row with an impossible birthday; return the activity."""
    good, bad = subject.emails
    items = [item_of(good), item_of(bad, birthday_month=13, birthday_day=1)]
    reply = yield from imports.upsert(subject.audience, Batch("probe", [0, 1], [good, bad], items))
    job_id = reply.id if isinstance(reply, JobId) else ""
    for wait_s in POLL_WAITS_S:
        yield Sleep(wait_s)
        activity = yield from imports.read_activity(subject.audience, job_id)
        if imports.job_state(activity) is not JobState.RUNNING:
            return activity
    return {}


def ask_person_count(subject: Subject) -> Operation[str | NotAsked]:
    """Check whether the counter of people includes a row with an error."""
    status = as_object((yield from import_with_error(subject)).get("status"))
    errors = (as_int(status.get("error_count")) or 0) + (as_int(status.get("correctable_count")) or 0)
    people = as_int(status.get("person_count"))
    if errors != 1 or people not in {1, 2}:
        return UNCLEAR
    return "all" if people == 2 else "valid"  # noqa: PLR2004 - both rows


def ask_error_lines(subject: Subject) -> Operation[str | NotAsked]:
    """Read which line the error of the second row names."""
    activity = yield from import_with_error(subject)
    errors = activity.get("activity_errors")
    if not as_object(activity.get("status")):
        return UNCLEAR
    lines = [imports.ERROR_LINE.match(as_text(error)) for error in (errors if isinstance(errors, list) else [])]
    numbers = {int(match[1]) for match in lines if match}
    if not numbers:
        return "none"
    line = numbers.pop() if len(numbers) == 1 else 0
    return {3: "line_2", 2: "line_1"}.get(line, UNCLEAR)


def labels(subject: Subject) -> tuple[str, str]:
    """Return the labels of two custom fields, which are also their names."""
    return f"segexport_check_{subject.mark}_n", f"segexport_check_{subject.mark}_t"


def ask_values(subject: Subject) -> Operation[str | NotAsked]:
    """Send a decimal and a time to custom fields, and read them back."""
    names, ids = labels(subject), dict[str, str]()
    for label, body in zip(names, FIELD_BODIES, strict=True):
        response = yield send_json(
            "POST", f"{subject.audience.base_url}/contact_custom_fields", {"label": label, **body}
        )
        ids[label] = as_text(as_object(read_json(response, 200, 201)).get("custom_field_id"))
    values = dict(zip((f"cf:{name}" for name in names), (NUMBER, MOMENT), strict=True))
    if not (yield from import_email(subject, subject.emails[0], **values)):
        return "rejected"
    contacts = yield from read_contacts(subject.audience, subject.emails[0], "custom_fields")
    entries = as_objects(contacts[0].get("custom_fields")) if contacts else []
    by_id = {as_text(entry.get("custom_field_id")): as_text(entry.get("value")) for entry in entries}
    number, moment = (by_id.get(ids[name], "") for name in names)
    if not number or not moment:
        return UNCLEAR
    return "kept" if is_number(number) and moment[:19] == MOMENT[:19] else "changed"


def is_number(text: str) -> bool:
    """Return whether a value that was read back is the number that was sent."""
    try:
        return float(text) == float(NUMBER)
    except ValueError:  # such as 12,5
        return False


def undo_values(subject: Subject) -> Operation[tuple[str, ...]]:
    """Delete the two custom fields."""
    yield Sleep(0)
    fields = yield from custom_fields(subject.audience.base_url)
    for name in labels(subject):
        if name in fields and fields[name].id:
            url = f"{subject.audience.base_url}/contact_custom_fields/{fields[name].id}"
            response = yield Request("DELETE", url)
            if response.status not in {200, 202, 204, NOT_FOUND}:
                raise_for(response)
    yield Sleep(0)
    remaining = yield from custom_fields(subject.audience.base_url)
    return tuple(f"the custom field {name}" for name in labels(subject) if name in remaining)


def ask_no_list(subject: Subject) -> Operation[str | NotAsked]:
    """Take a contact off its only list, and read its record."""
    if not (yield from import_email(subject, subject.emails[0])):
        return UNCLEAR
    if (yield from clean_up(subject.audience, subject.emails)):
        return UNCLEAR
    contacts = yield from read_contacts(subject.audience, subject.emails[0], "list_memberships")
    live = [contact for contact in contacts if not contact.get("deleted_at")]
    if not live:
        return "gone"
    lists = live[0].get("list_memberships")
    if isinstance(lists, list) and lists:
        return NotAsked("the contact is on other lists; give --address another pattern")
    return "empty" if isinstance(lists, list) else "left_out"


def ask_rate_headers(subject: Subject) -> Operation[str | NotAsked]:
    """Look for headers that announce the rate limit."""
    response = yield get(f"{subject.audience.base_url}/contact_lists", limit="1")
    read_json(response)
    return "absent" if limit_headers(response.headers) == "absent" else "present"


def clean_up(audience: Audience, emails: Sequence[str]) -> Operation[int]:
    """Take addresses off the list."""

    def find(audience: Audience, emails: Sequence[str], on_page: OnPage) -> Operation[None]:
        yield from find_on_pages(audience, set(emails), on_page)

    return (yield from take_out(REMOVAL, find, audience, emails))

"""dotdigital: the calls of a probe's questions. The addresses stay as contacts in no address book."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.errors import BatchRejected
from airflow_provider_segexport.model import Audience, Batch, BatchKind, JobState, Operation, Request, Response, Sleep
from airflow_provider_segexport.vendors.dotdigital import imports
from airflow_provider_segexport.vendors.dotdigital.account import create_field
from airflow_provider_segexport.vendors.dotdigital.members import list_members, statuses_in_book
from airflow_provider_segexport.vendors.dotdigital.removals import (
    BOOK_IN_USE,
    REMOVAL,
    job_json,
    read_state,
)
from airflow_provider_segexport.vendors.dotdigital.responses import error_of, raise_for, read_json
from airflow_provider_segexport.vendors.probe import UNCLEAR, NotAsked, Subject
from airflow_provider_segexport.vendors.probe_steps import (
    ImportCalls,
    capitals,
    import_rows,
    limit_headers,
    take_out,
    wait_for_job,
)
from airflow_provider_segexport.vendors.responses import (
    GUID,
    as_object,
    as_text,
    get,
    required_id,
    required_list,
    send_json,
)

NOT_FOUND = 404
ACCEPTED = frozenset({200, 202})
IMPORTS = ImportCalls(imports.upsert, imports.poll, imports.collect)
REMOVAL_SIZES = (1000, 500, 250, 100)
"""Numbers of ids in one removal; the first is the assumed maximum."""

NUMBER, MOMENT = 12.5, "2026-01-02T03:04:05Z"


def item_of(audience: Audience, email: str, **fields: Any) -> str:
    """Return a contact as an export sends it."""
    item: dict[str, Any] = {"matchIdentifier": "email", "identifiers": {"email": email}}
    if fields:
        item["dataFields"] = fields
    return json.dumps({**item, "lists": [int(audience.audience)]})


def import_email(subject: Subject, email: str, **fields: Any) -> Operation[str]:
    """Import one address, and return the contact's id; empty if the row was rejected or has no id."""
    result = yield from import_rows(IMPORTS, subject.audience, [(email, item_of(subject.audience, email, **fields))])
    return "" if result.rejected else result.contact_ids.get(0, "")


def read_contact(audience: Audience, email: str) -> Operation[dict[str, Any] | None]:
    """Return the contact with an address; None if there is none."""
    yield Sleep(0)
    response = yield get(f"{audience.base_url}/contacts/v3/email/{quote(email, safe='')}")
    return None if response.status == NOT_FOUND else as_object(read_json(response))


def ask_email_case(subject: Subject) -> Operation[str | NotAsked]:
    """Import an address in lower case and in upper case, and compare the ids of the contacts."""
    lower = yield from import_email(subject, subject.emails[0])
    upper = yield from import_email(subject, capitals(subject.emails[0]))
    if not lower or not upper:
        return UNCLEAR
    return "same" if lower == upper else "different"


def ask_new_status(subject: Subject) -> Operation[str | NotAsked]:
    """Import a new contact without a status, and read the status."""
    email = subject.emails[0]
    if (yield from read_contact(subject.audience, email)) is not None:
        return NotAsked("the address is already a contact of the account; give --address another pattern")
    if not (yield from import_email(subject, email)):
        return UNCLEAR
    status = as_text(as_object((yield from read_contact(subject.audience, email))).get("status"))
    return status if status in {"subscribed", "pendingOptIn", "noSubscription"} else UNCLEAR


def unknown_field(subject: Subject) -> str:
    """Return the name of a data field that the account does not have."""
    return f"CHECK_{subject.mark}".upper()


def ask_unknown_field(subject: Subject) -> Operation[str | NotAsked]:
    """Import a row with a data field that does not exist."""
    email, name = subject.emails[0], unknown_field(subject)
    row = (email, item_of(subject.audience, email, **{name: "x"}))
    try:
        result = yield from import_rows(IMPORTS, subject.audience, [row])
    except BatchRejected:
        return "batch_rejected"
    if result.rejected:
        return "row_rejected"
    return "created" if name in (yield from field_names(subject.audience)) else "ignored"


def field_names(audience: Audience) -> Operation[set[str]]:
    """Return the names of the account's data fields."""
    yield Sleep(0)
    fields = required_list(read_json((yield get(f"{audience.base_url}/v2/data-fields"))), "data fields")
    return {as_text(field.get("name")) for field in fields}


def delete_fields(audience: Audience, names: Sequence[str]) -> Operation[tuple[str, ...]]:
    """Delete the data fields with these names, and describe the fields that remain."""
    existing = yield from field_names(audience)
    for name in sorted(existing.intersection(names)):
        response = yield Request("DELETE", f"{audience.base_url}/v2/data-fields/{name}")
        if response.status not in {200, 204, NOT_FOUND}:
            raise_for(response)
    remaining = yield from field_names(audience)
    return tuple(f"the data field {name}" for name in sorted(remaining.intersection(names)))


def undo_unknown_field(subject: Subject) -> Operation[tuple[str, ...]]:
    """Delete the data field if the import created it."""
    return (yield from delete_fields(subject.audience, [unknown_field(subject)]))


def ask_left_book(subject: Subject) -> Operation[str | NotAsked]:
    """Unsubscribe an address from the book, import it again, and check whether it is subscribed to the book."""
    audience, email = subject.audience, subject.emails[0]
    if not (yield from import_email(subject, email)):
        return UNCLEAR
    url = f"{audience.base_url}/v2/address-books/{audience.audience}/contacts/unsubscribe"
    read_json((yield send_json("POST", url, {"email": email})))
    before = as_object((yield from read_contact(audience, email)))
    yield from import_email(subject, email)
    after = as_object((yield from read_contact(audience, email)))
    if not all(isinstance(contact.get("lists"), list) for contact in (before, after)):
        return UNCLEAR
    if "subscribed" in statuses_in_book(before, audience):
        return UNCLEAR  # the address has not left the book
    return "readds" if "subscribed" in statuses_in_book(after, audience) else "stays_out"


def post_removal(audience: Audience, ids: Sequence[str]) -> Operation[Response]:
    """Start a removal of contact ids from the book."""
    url = f"{audience.base_url}/v2/address-books/{audience.audience}/contacts/delete"
    return (yield send_json("POST", url, [int(contact_id) for contact_id in ids]))


def wait_for_removal(audience: Audience, response: Response) -> Operation[None]:
    """Wait until a removal has ended."""
    job_id = required_id(job_json(response), "id", GUID)
    batch = Batch("probe", [0], [""], ["0"], kind=BatchKind.REMOVE)
    yield from wait_for_job(REMOVAL.poll, REMOVAL.collect, audience, batch, job_id)


def ask_ids_per_removal(subject: Subject) -> Operation[str | NotAsked]:
    """Remove one contact by calls that repeat its id. Each call has fewer ids, until the vendor accepts one."""
    contact_id = yield from import_email(subject, subject.emails[0])
    if not contact_id:
        return UNCLEAR
    for size in REMOVAL_SIZES:
        response = yield from post_removal(subject.audience, [contact_id] * size)
        if response.status in ACCEPTED:
            yield from wait_for_removal(subject.audience, response)
            return str(size)
        if response.status != 400:  # noqa: PLR2004 - HTTP's own number
            raise_for(response)
    return UNCLEAR


def ask_two_removals(subject: Subject) -> Operation[str | NotAsked]:
    """Start a second removal while the first one runs."""
    audience, rows = subject.audience, [(email, item_of(subject.audience, email)) for email in subject.emails]
    ids = (yield from import_rows(IMPORTS, audience, rows)).contact_ids
    if len(ids) != len(rows):
        return UNCLEAR
    first = yield from post_removal(audience, [ids[0]] * REMOVAL_SIZES[0])
    if first.status not in ACCEPTED:  # fewer ids, as `ids_per_removal` may have shown
        first = yield from post_removal(audience, [ids[0]])
    read_json(first, *ACCEPTED)
    second = yield from post_removal(audience, [ids[1]])
    first_id = required_id(job_json(first), "id", GUID)
    running = (yield from read_state(audience, first_id)) is JobState.RUNNING
    yield Sleep(0)
    if second.status in ACCEPTED:
        yield from wait_for_removal(audience, second)
        return "both" if running else NotAsked("the first removal had ended before the second one began")
    if error_of(second)[0] != BOOK_IN_USE:
        raise_for(second)
    yield from wait_for_removal(audience, first)
    return "in_use"


def ask_no_book(subject: Subject) -> Operation[str | NotAsked]:
    """Take a contact out of its only book, and read its record."""
    if not (yield from import_email(subject, subject.emails[0])):
        return UNCLEAR
    if (yield from clean_up(subject.audience, subject.emails)):
        return UNCLEAR
    contact = yield from read_contact(subject.audience, subject.emails[0])
    if contact is None:
        return "gone"
    lists = contact.get("lists")
    if isinstance(lists, list) and lists:
        return NotAsked("the contact is in other address books; give --address another pattern")
    return "empty" if isinstance(lists, list) else "left_out"


def fields_of(subject: Subject) -> tuple[str, str]:
    """Return the names of two data fields: for a number and for a date."""
    return f"CHKN_{subject.mark}".upper(), f"CHKD_{subject.mark}".upper()


def ask_values(subject: Subject) -> Operation[str | NotAsked]:
    """Send a decimal and a time to fields of a contact, and read them back."""
    number, date = fields_of(subject)
    yield from create_field(subject.audience, number, "number")
    yield from create_field(subject.audience, date, "date")
    if not (yield from import_email(subject, subject.emails[0], **{number: NUMBER, date: MOMENT})):
        return "rejected"
    contact = as_object((yield from read_contact(subject.audience, subject.emails[0])))
    values = as_object(contact.get("dataFields"))
    if number not in values or date not in values:
        return UNCLEAR
    return "kept" if values[number] == NUMBER and as_text(values[date])[:19] == MOMENT[:19] else "changed"


def undo_values(subject: Subject) -> Operation[tuple[str, ...]]:
    """Delete the two data fields."""
    return (yield from delete_fields(subject.audience, fields_of(subject)))


def ask_rate_headers(subject: Subject) -> Operation[str | NotAsked]:
    """Look for headers that announce the rate limit."""
    response = yield get(f"{subject.audience.base_url}/v2/account-info")
    read_json(response)
    announced = limit_headers(response.headers)
    return announced if announced in {"epoch", "seconds", "absent"} else UNCLEAR


def clean_up(audience: Audience, emails: Sequence[str]) -> Operation[int]:
    """Take addresses out of the book. One address may have two contacts."""
    wanted = set(map(canonical, emails))

    def find(audience: Audience, _: Sequence[str], on_page: Any) -> Operation[None]:
        yield from list_members(audience, lambda page: on_page([row for row in page if row.email in wanted]))

    return (yield from take_out(REMOVAL, find, audience, emails))

"""Campaign Monitor: the calls of a probe's questions. The addresses stay in the list, as Deleted or Unsubscribed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.errors import BatchRejected
from airflow_provider_segexport.model import Audience, Member, Operation, Request, Sleep
from airflow_provider_segexport.vendors.base import OnPage
from airflow_provider_segexport.vendors.campaign_monitor import imports
from airflow_provider_segexport.vendors.campaign_monitor.account import CONFIRMED_OPT_IN, create_field
from airflow_provider_segexport.vendors.campaign_monitor.members import list_members
from airflow_provider_segexport.vendors.campaign_monitor.removals import REMOVAL, delete
from airflow_provider_segexport.vendors.campaign_monitor.responses import error_of, raise_for, read_json
from airflow_provider_segexport.vendors.campaign_monitor.subscribers import (
    ACTIVE,
    DELETED,
    NOT_IN_LIST,
    find_client,
    read_state,
    read_suppression_list,
    subscriber_url,
)
from airflow_provider_segexport.vendors.probe import UNCLEAR, NotAsked, Subject
from airflow_provider_segexport.vendors.probe_steps import (
    ImportCalls,
    capitals,
    import_rows,
    limit_headers,
    take_out,
)
from airflow_provider_segexport.vendors.responses import as_object, as_objects, as_text, get, required_list, send_json

IMPORTS = ImportCalls(imports.upsert)
NOT_SUPPRESSED = 176
UNSUBSCRIBED = "Unsubscribed"
NOT_ACTIVE = "the address is already in the list and not active; give --address another pattern"
NUMBER, DATE = "12.5", "2026/01/02"


def item_of(email: str, fields: Mapping[str, str] | None = None) -> str:
    """Return a subscriber as an export sends it."""
    pairs = [{"Key": key, "Value": value} for key, value in (fields or {}).items()]
    return json.dumps(
        {"EmailAddress": email, **({"CustomFields": pairs} if pairs else {}), "ConsentToTrack": "Unchanged"}
    )


def import_email(subject: Subject, email: str, fields: Mapping[str, str] | None = None) -> Operation[bool]:
    """Import one address, and return whether its row was accepted.

    Args:
        subject: audience and addresses of the question.
        email: the address.
        fields: values of custom fields, by key.
    """
    result = yield from import_rows(IMPORTS, subject.audience, [(email, item_of(email, fields))])
    yield Sleep(0)
    return not result.rejected and not result.unattributed


def why_not_ordinary(audience: Audience) -> str:
    """Return why a question that needs a list without confirmed opt-in cannot be asked; empty if it can."""
    return "the list confirms opt-ins; use a list that does not" if audience.extra.get(CONFIRMED_OPT_IN) else ""


def ask_email_case(subject: Subject) -> Operation[str | NotAsked]:
    """Import an address in lower case and in upper case, and count its active subscribers."""
    lower = subject.emails[0]
    if (yield from read_state(subject.audience, lower)) not in {"", ACTIVE}:
        return NotAsked(NOT_ACTIVE)
    for email in (lower, capitals(lower)):
        if not (yield from import_email(subject, email)):
            return UNCLEAR
    members: list[Member] = []
    yield from list_members(subject.audience, members.extend)
    count = sum(member.email == canonical(lower) for member in members)
    return {1: "same", 2: "different"}.get(count, UNCLEAR)


def undo_email_case(subject: Subject) -> Operation[tuple[str, ...]]:
    """Delete the address in lower case and in upper case."""
    for email in (subject.emails[0], capitals(subject.emails[0])):
        yield Sleep(0)
        if (yield from read_state(subject.audience, email)) == ACTIVE:
            yield from delete(subject.audience, email)
    return ()


def why_suppressed(subject: Subject) -> Operation[str]:
    """Return an error if an address is suppressed already: the undo would take it off the suppression list."""
    client = yield from find_client(subject.audience)
    wanted, suppressed = set(map(canonical, subject.emails)), set[str]()

    def on_entries(entries: Sequence[dict[str, Any]]) -> bool:
        emails = [canonical(as_text(entry.get("EmailAddress"))) for entry in entries]
        suppressed.update(wanted.intersection(emails))
        return not suppressed and (not emails or emails[-1] <= max(wanted))

    yield Sleep(0)
    if client:
        yield from read_suppression_list(subject.audience, client, on_entries)
    return "an address is on the client's suppression list; give --address another pattern" if suppressed else ""


def ask_rejections(subject: Subject) -> Operation[str | NotAsked]:
    """Import a deleted, an unsubscribed, a suppressed and a new person in one call."""
    audience, (deleted, unsubscribed, suppressed, new) = subject.audience, subject.emails
    client = yield from find_client(audience)
    yield Sleep(0)
    if (yield from read_state(audience, new)) or (yield from read_state(audience, suppressed)):
        return NotAsked("two of the addresses are already in the list; give --address another pattern")
    if not (yield from prepare_states(subject, deleted, unsubscribed)):
        return UNCLEAR
    rows = [deleted, unsubscribed]
    if client:
        yield from post(f"{audience.base_url}/clients/{client}/suppress.json", {"EmailAddresses": [suppressed]})
        rows.append(suppressed)
    try:
        result = yield from import_rows(IMPORTS, audience, [(email, item_of(email)) for email in [*rows, new]])
    except BatchRejected:
        return "batch_rejected"
    rejected = {rejection.index for rejection in result.rejected}
    yield Sleep(0)
    for row, email in enumerate(rows):
        if row not in rejected and (yield from read_state(audience, email)) == ACTIVE:
            return "added"
    if rejected == set(range(len(rows))):
        return "by_row"
    return "silent" if not rejected else UNCLEAR


def prepare_states(subject: Subject, deleted: str, unsubscribed: str) -> Operation[bool]:
    """Put one person into the state Deleted and another into Unsubscribed; return whether both have that state.

    Args:
        subject: audience and addresses of the question.
        deleted: address of the first person.
        unsubscribed: address of the second person.
    """
    audience = subject.audience
    for email in (deleted, unsubscribed):
        yield from import_email(subject, email)
    if (yield from read_state(audience, deleted)) == ACTIVE:
        yield from delete(audience, deleted)
    if (yield from read_state(audience, unsubscribed)) == ACTIVE:
        url = f"{subscriber_url(audience).removesuffix('.json')}/unsubscribe.json"
        yield from post(url, {"EmailAddress": unsubscribed})
    yield Sleep(0)
    if (yield from read_state(audience, deleted)) != DELETED:
        return False
    return (yield from read_state(audience, unsubscribed)) == UNSUBSCRIBED


def undo_rejections(subject: Subject) -> Operation[tuple[str, ...]]:
    """Take the addresses off the client's suppression list."""
    yield Sleep(0)
    client = yield from find_client(subject.audience)
    for email in subject.emails if client else ():
        url = f"{subject.audience.base_url}/clients/{client}/unsuppress.json"
        response = yield Request("PUT", url, query={"email": email}, headers={"accept": "application/json"})
        if response.status >= 400 and error_of(response)[0] not in {NOT_SUPPRESSED, NOT_IN_LIST}:  # noqa: PLR2004
            raise_for(response)
    return ()


def post(url: str, body: Mapping[str, Any]) -> Operation[None]:
    """Send a call and check its status; the content of the response is not used."""
    response = yield send_json("POST", url, body)
    if response.status not in {200, 201, 204}:
        raise_for(response)


def ask_unknown_field(subject: Subject) -> Operation[str | NotAsked]:
    """Import a row with a custom field that does not exist."""
    if (yield from read_state(subject.audience, subject.emails[0])) not in {"", ACTIVE}:
        return NotAsked(NOT_ACTIVE)
    try:
        accepted = yield from import_email(subject, subject.emails[0], {f"segexportcheck{subject.mark}": "x"})
    except BatchRejected:
        return "batch_rejected"
    return "ignored" if accepted else "row_rejected"


def names(subject: Subject) -> tuple[str, str]:
    """Return the names of two custom fields, which are also their keys."""
    return f"segexportchecknumber{subject.mark}", f"segexportcheckdate{subject.mark}"


def ask_values(subject: Subject) -> Operation[str | NotAsked]:
    """Send a decimal and a date to custom fields, and read them back."""
    audience, email, (number, date) = subject.audience, subject.emails[0], names(subject)
    if (yield from read_state(audience, email)) not in {"", ACTIVE}:
        return NotAsked(NOT_ACTIVE)
    yield from create_field(audience, number, "number")
    yield from create_field(audience, date, "date")
    if not (yield from import_email(subject, email, {number: NUMBER, date: DATE})):
        return "rejected"
    response = yield get(subscriber_url(audience), email=email, includetrackingpreference="false")
    pairs = as_objects(as_object(read_json(response)).get("CustomFields"))
    values = {as_text(pair.get("Key")).strip("[]"): as_text(pair.get("Value")) for pair in pairs}
    if number not in values or date not in values:
        return "changed"
    is_kept = values[number] == NUMBER and values[date].replace("-", "/")[: len(DATE)] == DATE
    return "kept" if is_kept else "changed"


def undo_values(subject: Subject) -> Operation[tuple[str, ...]]:
    """Delete the two custom fields."""
    audience = subject.audience
    for key in (yield from field_keys(audience)).intersection(names(subject)):
        url = f"{audience.base_url}/lists/{audience.audience}/customfields/{quote(f'[{key}]')}.json"
        response = yield Request("DELETE", url, headers={"accept": "application/json"})
        if response.status not in {200, 204}:
            raise_for(response)
    remaining = (yield from field_keys(audience)).intersection(names(subject))
    return tuple(f"the custom field {key}" for key in sorted(remaining))


def field_keys(audience: Audience) -> Operation[set[str]]:
    """Return the keys of the list's custom fields, without brackets."""
    yield Sleep(0)
    response = yield get(f"{audience.base_url}/lists/{audience.audience}/customfields.json")
    return {as_text(field.get("Key")).strip("[]") for field in required_list(read_json(response), "custom fields")}


def ask_rate_headers(subject: Subject) -> Operation[str | NotAsked]:
    """Look for headers that announce the rate limit."""
    response = yield get(f"{subject.audience.base_url}/systemdate.json")
    read_json(response)
    announced = limit_headers(response.headers)
    return announced if announced in {"absent", "seconds", "epoch"} else UNCLEAR


def clean_up(audience: Audience, emails: Sequence[str]) -> Operation[int]:
    """Delete the active people among the addresses from the list."""

    def find(audience: Audience, _: Sequence[str], on_page: OnPage) -> Operation[None]:
        yield from list_members(audience, on_page)

    return (yield from take_out(REMOVAL, find, audience, emails))

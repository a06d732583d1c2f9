"""The control API's views of an account, and its seeding of people."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.people import is_email, pack, unpack
from airflow_provider_segexport.simulator.settings import ControlError
from airflow_provider_segexport.simulator.vendor import Audience, Json

from .state import STATES, Subscriber

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .oauth import Tokens
    from .state import Account, MailingList

SUPPRESSION = "suppression-list"  # the audience under which the control API shows it


def describe(account: Account, tokens: Tokens, base_url: str) -> Json:
    """Tell a stranger what to fill into a connection form."""
    client = account.client
    return {
        "base_url": base_url,
        "api_url": f"{base_url}/api/v3.3/",
        "token_url": f"{base_url}/oauth/token",
        "credentials": {
            "api_key": account.api_key,
            "client_api_key": client.api_key,
            "oauth": {
                "client_id": tokens.client_id,
                "client_secret": tokens.client_secret,
                "code": tokens.code,
                **tokens.first,
            },
        },
        "client": {"id": client.id, "name": client.name},
        "audiences": [
            {
                "id": held.id,
                "name": held.title,
                "double_opt_in": held.confirmed_opt_in,
                "members": held.counts["Active"],
                "custom_fields": {field.bare: field.kind for field in held.fields.values()},
            }
            for held in client.lists.values()
        ],
        "views": [SUPPRESSION],
        "settings": asdict(account.settings),
    }


def audience(account: Account, audience_id: str) -> Audience:
    """Show a list, or the suppression list."""
    client = account.client
    if audience_id == SUPPRESSION:
        counts = {"Suppressed": len(client.suppressed)}
        return Audience(SUPPRESSION, "Suppression list", counts, {}, lambda: _suppressed(account))
    held = _held(account, audience_id)
    counts = {state: held.counts[state] for state in STATES if held.counts[state]}
    return Audience(held.id, held.title, counts, dict(held.mails), lambda: _people(held))


def _held(account: Account, audience_id: str) -> MailingList:
    lists = account.client.lists
    if audience_id not in lists:
        names = ", ".join(f"{held.id} ({held.title})" for held in lists.values())
        raise ControlError(f"no list {audience_id!r}; there are: {names}, {SUPPRESSION}")
    return lists[audience_id]


def _suppressed(account: Account) -> Iterator[Json]:
    for email, reason, moment in account.client.suppressed.values():
        yield {"email": email, "status": "Suppressed", "reason": reason, "changed": moment}


def _people(held: MailingList) -> Iterator[Json]:
    for person in held.subscribers.values():
        yield {
            "email": person.email,
            "name": person.name,
            "status": person.state,
            "fields": unpack(person.fields),
            "consent_to_track": person.consent,
            "joined": person.joined,
            "changed": person.changed,
            "history": person.history,
        }


def seed(account: Account, people: Sequence[Json], audience_id: str | None, now: float) -> int:
    """Put people into a list, or onto the suppression list with status `suppressed`."""
    for row in people:
        email = row.get("email")
        if not isinstance(email, str) or not is_email(email):
            raise ControlError(f"not an address: {email!r}")
        status = str(row.get("status", "active")).capitalize()
        if status == "Suppressed":
            account.client.suppress(email, str(row.get("reason", "Unsubscribed")), now)
            continue
        if status not in STATES:
            statuses = ", ".join(state.lower() for state in STATES)
            raise ControlError(f"no status {row.get('status')!r}; there are: {statuses}, suppressed")
        if audience_id is None:
            raise ControlError("people with a status other than suppressed need an audience")
        _put(_held(account, audience_id), email, status, row, now)
    return len(people)


def _put(held: MailingList, email: str, status: str, row: Json, now: float) -> None:
    event = f"seeded as {status.lower()}"
    person = held.subscribers.get(email.lower())
    if person is None:
        person = Subscriber(email, status, now, ((now, event),))
        held.join(person)
    else:
        held.move(person, status, now, event)
    fields = row.get("fields")
    if isinstance(fields, dict):
        unknown = fields.keys() - held.fields.keys()
        if unknown:
            raise ControlError(f"list {held.title!r} has no custom field {', '.join(sorted(unknown))}")
        person.fields = pack(fields)
    person.name = str(row.get("name", person.name))


def change_address(account: Account, email: str, to: str, now: float) -> None:
    """Change a person's address in every list, as in the vendor's UI. A person with the new address is replaced.

    Args:
        account: holds the lists.
        email: the present address.
        to: the new address.
        now: time of the change.
    """
    holding = [held for held in account.client.lists.values() if email.lower() in held.subscribers]
    if not holding or not is_email(to):
        raise ControlError(f"No list holds the address {email!r}, or {to!r} is no address.")
    for held in holding:
        person = held.subscribers.pop(email.lower())
        if other := held.subscribers.pop(to.lower(), None):
            held.counts[other.state] -= 1
        person.email = to
        person.history += ((now, f"address changed from {email}"),)
        held.subscribers[to.lower()] = person
        held.version += 1

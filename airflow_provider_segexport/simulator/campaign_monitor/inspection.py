"""Control API of the account: views of its audiences, seeding of people, and changes in the vendor's UI."""

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

SUPPRESSION = "suppression-list"  # name of the view in the control API


def describe(account: Account, tokens: Tokens, base_url: str) -> Json:
    """Return base URL, credentials, audiences, custom fields and settings.

    Args:
        account: the vendor's account.
        tokens: the OAuth application and its tokens.
        base_url: the vendor's URL prefix.
    """
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
                "id": mailing_list.id,
                "name": mailing_list.title,
                "double_opt_in": mailing_list.confirmed_opt_in,
                "members": mailing_list.counts["Active"],
                "custom_fields": {field.bare: field.kind for field in mailing_list.fields.values()},
            }
            for mailing_list in client.lists.values()
        ],
        "views": [SUPPRESSION],
        "settings": asdict(account.settings),
    }


def audience(account: Account, audience_id: str) -> Audience:
    """Return a list, or the view of the suppression list; raise `ControlError` for an unknown id."""
    client = account.client
    if audience_id == SUPPRESSION:
        counts = {"Suppressed": len(client.suppressed)}
        return Audience(SUPPRESSION, "Suppression list", counts, {}, lambda: _suppressed(account))
    mailing_list = _list(account, audience_id)
    counts = {state: mailing_list.counts[state] for state in STATES if mailing_list.counts[state]}
    mails = dict(mailing_list.mails)
    return Audience(mailing_list.id, mailing_list.title, counts, mails, lambda: _people(mailing_list))


def _list(account: Account, audience_id: str) -> MailingList:
    lists = account.client.lists
    if audience_id not in lists:
        names = ", ".join(f"{mailing_list.id} ({mailing_list.title})" for mailing_list in lists.values())
        raise ControlError(f"no list {audience_id!r}; there are: {names}, {SUPPRESSION}")
    return lists[audience_id]


def _suppressed(account: Account) -> Iterator[Json]:
    for email, reason, moment in account.client.suppressed.values():
        yield {"email": email, "status": "Suppressed", "reason": reason, "changed": moment}


def _people(mailing_list: MailingList) -> Iterator[Json]:
    for person in mailing_list.subscribers.values():
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
    """Add people to a list; those with the status `suppressed` go onto the suppression list.

    Args:
        account: the vendor's account.
        people: each with `email`, and optionally `status` and `fields`.
        audience_id: id of the list; None if all people are suppressed.
        now: time of the change, in seconds since the epoch.
    """
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
        _put(_list(account, audience_id), email, status, row, now)
    return len(people)


def _put(mailing_list: MailingList, email: str, status: str, row: Json, now: float) -> None:
    event = f"seeded as {status.lower()}"
    person = mailing_list.subscribers.get(email.lower())
    if person is None:
        person = Subscriber(email, status, now, ((now, event),))
        mailing_list.join(person)
    else:
        mailing_list.move(person, status, now, event)
    fields = row.get("fields")
    if isinstance(fields, dict):
        unknown = fields.keys() - mailing_list.fields.keys()
        if unknown:
            raise ControlError(f"list {mailing_list.title!r} has no custom field {', '.join(sorted(unknown))}")
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
    lists = [candidate for candidate in account.client.lists.values() if email.lower() in candidate.subscribers]
    if not lists or not is_email(to):
        raise ControlError(f"No list has the address {email!r}, or {to!r} is not a valid address.")
    for mailing_list in lists:
        person = mailing_list.subscribers.pop(email.lower())
        if other := mailing_list.subscribers.pop(to.lower(), None):
            mailing_list.counts[other.state] -= 1
        person.email = to
        person.history += ((now, f"address changed from {email}"),)
        mailing_list.subscribers[to.lower()] = person
        mailing_list.version += 1

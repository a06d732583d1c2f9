"""Control API of the account: views of its audiences, seeding of people, and changes in the vendor's UI."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.people import is_email, pack, unpack
from airflow_provider_segexport.simulator.settings import ControlError
from airflow_provider_segexport.simulator.vendor import Audience, Json

from .records import PERMISSIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .keys import ApiKey, Tokens
    from .records import Contact, ContactList
    from .state import Account

ALL, DELETED = "all-contacts", "deleted"
_STATUS_ALIASES = {
    "active": "implicit",
    "bounced": "temp_hold",
    "suppressed": "unsubscribed",
    "unconfirmed": "pending_confirmation",
}
_LEFT = "left_list"


def describe(account: Account, tokens: Tokens, first: dict[str, Json], base_url: str) -> Json:
    """Return base URL, credentials, audiences, custom fields and settings.

    Args:
        account: the vendor's account.
        tokens: the applications and their tokens.
        first: first tokens by application name.
        base_url: the vendor's URL prefix.
    """
    keys = {key.name: _key(tokens, key, first[key.name]) for key in tokens.keys.values()}
    return {
        "base_url": base_url,
        "api_url": f"{base_url}/v3",
        "authorize_url": f"{base_url}/oauth2/default/v1",
        "credentials": keys["main"],
        "keys": keys,
        "account": {"id": account.id, "organization_name": "Example Shop"},
        "audiences": [
            {"id": contact_list.id, "name": contact_list.name, "members": len(contact_list.members.numbers)}
            for contact_list in account.lists.values()
            if contact_list.deleted is None
        ],
        "custom_fields": {field.name: field.kind for field in account.fields.values()},
        "views": [ALL, DELETED],
        "settings": asdict(account.settings),
    }


def _key(tokens: Tokens, key: ApiKey, first: Json) -> Json:
    secret = {} if tokens.is_public(key) else {"client_secret": key.client_secret}
    kind = "rotating" if tokens.is_rotating(key) else "long_lived"
    live = [token for token, issued in tokens.refresh.items() if issued.key == key and issued.live]
    shown = {**first, "refresh_token": live[-1]} if live else first
    return {"client_id": key.client_id, **secret, "refresh_tokens": kind, **shown}


def audience(account: Account, audience_id: str) -> Audience:
    """Return a list, or the view of all contacts or of deleted contacts."""
    if audience_id in (ALL, DELETED):
        contacts = [c for c in account.contacts if (c.deleted is None) == (audience_id == ALL)]
        counts = dict(Counter(_status(contact) for contact in contacts))
        return Audience(audience_id, audience_id, counts, dict(account.mails), lambda: _people(account, contacts))
    target = _list(account, audience_id)
    counts = {name: number for name, number in target.counts.items() if number}
    return Audience(
        target.id,
        target.name,
        counts,
        dict(account.mails),
        lambda: _people(account, (account.contacts[number] for number in target.members.after(-1))),
    )


def _status(contact: Contact) -> str:
    return contact.permission if contact.deleted is None else "deleted"


def _people(account: Account, contacts: Iterable[Contact]) -> Iterator[Json]:
    for contact in contacts:
        yield {
            "id": account.contact_id(contact),
            "email": contact.email,
            "status": _status(contact),
            "opt_in_source": contact.opt_in_source,
            "fields": unpack(contact.fields),
            "lists": contact.lists,
            "left": contact.left,
            "created": contact.created,
            "updated": contact.updated,
            "history": contact.history,
        }


def _list(account: Account, list_id: str) -> ContactList:
    target = account.find_list(list_id)
    if target is None:
        names = ", ".join(f"{other.id} ({other.name})" for other in account.lists.values() if other.deleted is None)
        raise ControlError(f"no list {list_id!r}; there are: {names}, {ALL}, {DELETED}")
    return target


def seed(account: Account, people: Sequence[Json], audience_id: str | None, now: float) -> int:
    """Add people to the account and, if `audience_id` is not None, to that list.

    Args:
        account: the vendor's account.
        people: each with `email`, and optionally `status` and `fields`.
        audience_id: id of the list; None adds them to the account only.
        now: time of the change, in seconds since the epoch.
    """
    target = None if audience_id is None else _list(account, audience_id)
    for row in people:
        email = row.get("email")
        if not isinstance(email, str) or not is_email(email):
            raise ControlError(f"not an address: {email!r}")
        given = str(row.get("status", "implicit"))
        status = _STATUS_ALIASES.get(given, given)
        if status not in (*PERMISSIONS, "deleted", _LEFT):
            statuses = ", ".join([*_STATUS_ALIASES, *PERMISSIONS, "deleted"])
            raise ControlError(f"no status {given!r}; there are: {statuses}, {_LEFT}")
        if status == _LEFT and target is None:
            raise ControlError(f"people with the status {_LEFT} need an audience")
        _put(account, target, row, status, now)
    return len(people)


def _put(account: Account, target: ContactList | None, row: Json, status: str, now: float) -> None:
    email = str(row["email"])
    contact = account.by_email.get(account.key(email)) or account.add_contact(email, "implicit", now, ())
    fields = row.get("fields")
    if isinstance(fields, dict):
        unknown = {name[3:] for name in fields if name.startswith("cf:")} - account.fields.keys()
        if unknown:
            raise ControlError(f"no custom field {', '.join(sorted(unknown))}")
        contact.fields = pack(fields)
    if contact.deleted is not None and status != "deleted":
        account.revive(contact, now)
    if target and status != "deleted":
        account.add_to_list(contact, target, now, f"seeded on list {target.name}")
    if status in PERMISSIONS:
        account.set_permission(contact, status, now, f"seeded as {status}")
    elif status == "deleted":
        account.erase(contact, now)
    elif target:
        leave(account, contact, target, now)


def leave(account: Account, contact: Contact, target: ContactList, now: float) -> None:
    """Remove a person from one list by their own choice; they stay on the other lists.

    Args:
        account: the vendor's account.
        contact: the contact.
        target: the list that the person leaves.
        now: time of the change, in seconds since the epoch.
    """
    account.remove_from_list(contact, target, now, f"left list {target.name}")
    if target.id not in contact.left:
        contact.left = (*contact.left, target.id)


def change_address(account: Account, email: str, to: str, now: float) -> None:
    """Change a contact's address as in the vendor's UI; the id stays. A contact with the new address is merged into it.

    Args:
        account: holds the contact.
        email: the present address.
        to: the new address.
        now: time of the change.
    """
    contact = account.by_email.get(email.lower())
    if contact is None or not is_email(to):
        raise ControlError(f"No contact has the address {email!r}, or {to!r} is not a valid address.")
    other = account.by_email.get(to.lower())
    if other is not None and other is not contact:
        lists = other.lists
        account.erase(other, now)
        for list_id in lists:
            account.add_to_list(contact, account.lists[list_id], now, "merged")
    del account.by_email[email.lower()]
    contact.email, contact.updated = to, now
    account.by_email[to.lower()] = contact
    account.record_event(contact, now, f"address changed from {email}")

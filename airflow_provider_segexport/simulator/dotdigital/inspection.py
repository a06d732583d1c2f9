"""Control API of the account: views of its audiences, seeding of people, and changes in the vendor's UI."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.people import is_email, pack, unpack
from airflow_provider_segexport.simulator.settings import ControlError
from airflow_provider_segexport.simulator.vendor import Audience, Json

from .state import STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .state import Account, AddressBook, Contact

ALL, DELETED, GLOBAL = "all-contacts", "deleted", "global-suppression"
_STATUS_ALIASES = {"active": "subscribed", "bounced": "hardBounced", "unconfirmed": "pendingOptIn"}


def describe(account: Account, base_url: str) -> Json:
    """Return base URL, credentials, audiences, custom fields and settings."""
    return {
        "base_url": base_url,
        "credentials": {"username": account.user, "password": account.password},
        "account": {"id": account.id},
        "audiences": [
            {"id": book.id, "name": book.name, "members": len(book.members.by_id)} for book in account.books.values()
        ],
        "custom_fields": {field.name: field.kind for field in account.fields.values()},
        "views": [ALL, DELETED, GLOBAL],
        "settings": asdict(account.settings),
    }


def audience(account: Account, audience_id: str) -> Audience:
    """Return a list, or the view of all contacts, of deleted contacts or of the global suppressions."""
    mails = dict(account.mails)
    if audience_id == GLOBAL:
        emails = sorted(account.globally_suppressed)
        status = "globallySuppressed"
        return Audience(
            GLOBAL,
            "Global suppression",
            {status: len(emails)},
            mails,
            lambda: ({"email": email, "status": status} for email in emails),
        )
    if audience_id in (ALL, DELETED):
        contacts = account.contacts.by_id.values() if audience_id == ALL else account.deleted
        return _audience(audience_id, audience_id, contacts, mails, lambda _: {})
    book = _book(account, audience_id)
    return _audience(
        str(book.id),
        book.name,
        book.members.by_id.values(),
        mails,
        lambda contact: {"in_list": "suppressed" if contact.id in book.suppressed else "subscribed"},
    )


def _audience(
    audience_id: str,
    name: str,
    contacts: Iterable[Contact],
    mails: dict[str, int],
    more: Callable[[Contact], Json],
) -> Audience:
    counts = dict(Counter(contact.status for contact in contacts))

    def people() -> Iterator[Json]:
        for contact in contacts:
            yield {
                "id": contact.id,
                "email": contact.email,
                "identifiers": unpack(contact.identifiers),
                "status": contact.status,
                "opt_in": contact.opt_in,
                "fields": unpack(contact.fields),
                "consent_records": contact.consents,
                "lists": contact.lists,
                "created": contact.created,
                "updated": contact.updated,
                "history": contact.history,
                **more(contact),
            }

    return Audience(audience_id, name, counts, mails, people)


def _book(account: Account, audience_id: str) -> AddressBook:
    book = account.books.get(int(audience_id)) if audience_id.isdigit() else None
    if book is None:
        names = ", ".join(f"{book.id} ({book.name})" for book in account.books.values())
        raise ControlError(f"no list {audience_id!r}; there are: {names}, {ALL}, {DELETED}, {GLOBAL}")
    return book


def seed(account: Account, people: Sequence[Json], audience_id: str | None, now: float) -> int:
    """Add people to the account and, if `audience_id` is not None, to that list.

    Args:
        account: the vendor's account.
        people: each with `email`, and optionally `status` and `fields`.
        audience_id: id of the list; None adds them to the account only.
        now: time of the change, in seconds since the epoch.
    """
    book = None if audience_id is None else _book(account, audience_id)
    for row in people:
        email = row.get("email")
        if not isinstance(email, str) or not is_email(email):
            raise ControlError(f"not an address: {email!r}")
        given = str(row.get("status", "subscribed"))
        status = _STATUS_ALIASES.get(given, given)
        if status == "globallySuppressed":
            account.globally_suppressed.add(email.lower())
        elif status in STATUSES or status in ("deleted", "unsubscribedFromList"):
            _put(account, book, row, status, now)
        else:
            statuses = ", ".join([*_STATUS_ALIASES, *STATUSES, "deleted", "globallySuppressed"])
            raise ControlError(f"no status {given!r}; there are: {statuses}, unsubscribedFromList")
    return len(people)


def _put(account: Account, book: AddressBook | None, row: Json, status: str, now: float) -> None:
    email = str(row["email"])
    contact = account.by_email.get(account.key(email)) or account.add_contact(email, now, ())
    fields = row.get("fields")
    if isinstance(fields, dict):
        unknown = fields.keys() - account.fields.keys()
        if unknown:
            raise ControlError(f"no data field {', '.join(sorted(unknown))}")
        contact.fields = pack(fields)
    if status in STATUSES:
        contact.set_status(status, now, f"seeded as {status}")
    if book and status == "deleted":
        # the contact was removed from this list, and is still in the account
        account.add_to_list(contact, book, now)
        account.remove_from_list(contact, book, now)
    elif status == "deleted":
        account.erase(contact, now)
    elif book:
        account.add_to_list(contact, book, now)
        if status == "unsubscribedFromList":
            book.suppressed[contact.id] = now
            contact.history += ((now, f"seeded as unsubscribed from list {book.id}"),)


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
            account.add_to_list(contact, account.books[list_id], now)
    del account.by_email[email.lower()]
    contact.email, contact.updated = to, now
    contact.history += ((now, f"address changed from {email}"),)
    account.by_email[to.lower()] = contact

"""Control API of the brand: views of its audiences, seeding of people, and changes in the vendor's UI."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.people import is_email, pack, unpack
from airflow_provider_segexport.simulator.settings import ControlError
from airflow_provider_segexport.simulator.vendor import Audience, Json

from .checking import TEXTS
from .records import CUSTOM, STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .records import Contact
    from .state import Account

ALL, OTHER = "all-contacts", "other-store"
TAGS = ("Customers", "Newsletter", "Lapsed")  # shown as audiences from the start; a tag need not be created
_STATUS_ALIASES = {
    "active": "subscribed",
    "suppressed": "unsubscribed",
    "bounced": "unsubscribed",
    "unconfirmed": "nonSubscribed",
}
_OWN = (*TEXTS, "gender", "birthdate", "countryCode")


def describe(account: Account, keys: dict[str, str], base_url: str) -> Json:
    """Return base URL, credentials, audiences, custom fields and settings.

    Args:
        account: the brand.
        keys: API keys by name.
        base_url: the vendor's URL prefix.
    """
    names = dict.fromkeys((*TAGS, *account.tags))
    members = {name: len(account.tags[name].numbers) if name in account.tags else 0 for name in names}
    return {
        "base_url": base_url,
        "api_url": f"{base_url}/api",
        "credentials": {"api_key": keys["main"]},
        "keys": keys,
        "brand": {"id": account.id, "name": account.name},
        "audiences": [{"id": name, "name": name, "members": number} for name, number in members.items()],
        "custom_fields": {},
        "views": [ALL, OTHER],
        "settings": asdict(account.settings),
    }


def audience(account: Account, audience_id: str) -> Audience:
    """Return the people with a tag (none for an unused tag), or all people of the brand."""
    if audience_id in (ALL, OTHER):
        contacts = [contact for contact in account.contacts if not contact.deleted]
    else:
        tagged = account.tags.get(audience_id)
        contacts = [account.contacts[number] for number in tagged.after(-1)] if tagged else []
    counts = dict(Counter(contact.status for contact in contacts))
    return Audience(audience_id, audience_id, counts, dict(account.mails), lambda: _people(account, contacts))


def _people(account: Account, contacts: Iterable[Contact]) -> Iterator[Json]:
    for contact in contacts:
        yield {
            "id": account.contact_id(contact),
            "email": contact.email,
            "phones": contact.phones,
            "status": contact.status,
            "status_changed": contact.changed,
            "consents": contact.consents,
            "fields": {name.removeprefix(CUSTOM): value for name, value in unpack(contact.fields).items()},
            "tags": contact.tags,
            "created": contact.created,
            "updated": contact.updated,
            "history": contact.history,
        }


def seed(account: Account, people: Sequence[Json], tag: str | None, now: float) -> int:
    """Add people to the brand and, if `tag` is not None, add the tag to them.

    Args:
        account: the brand.
        people: each with `email`, and optionally `status` and `fields`.
        tag: tag to add; None for none.
        now: time of the change, in seconds since the epoch.
    """
    for row in people:
        email = row.get("email")
        if not isinstance(email, str) or not is_email(email):
            raise ControlError(f"not an address: {email!r}")
        given = str(row.get("status", "subscribed"))
        status = _STATUS_ALIASES.get(given, given)
        if status not in (*STATUSES, "deleted"):
            statuses = ", ".join([*_STATUS_ALIASES, *STATUSES])
            raise ControlError(f"no status {given!r}; there are: {statuses}, deleted")
        contact = account.by_email.get(account.key(email)) or account.add_contact(email, now, ())
        fields = row.get("fields")
        if isinstance(fields, dict):
            contact.fields = pack({n if n in _OWN else CUSTOM + n: value for n, value in fields.items()})
        if tag is not None:
            account.tag(contact, [tag], now)
        if status == "deleted":
            account.erase(contact, now)
        else:
            account.set_status(contact, status, now, now, f"seeded as {status}")
    return len(people)


def change_address(account: Account, email: str, to: str, now: float) -> None:
    """Change a contact's address as in the vendor's UI; the id stays. A contact with the new address is merged into it.

    Args:
        account: holds the contact.
        email: the present address.
        to: the new address.
        now: time of the change.
    """
    contact = account.by_email.get(account.key(email))
    if contact is None or not is_email(to):
        raise ControlError(f"No contact has the address {email!r}, or {to!r} is not a valid address.")
    other = account.by_email.get(account.key(to))
    if other is not None and other is not contact:
        tags = other.tags
        account.erase(other, now)
        account.tag(contact, tags, now)
    del account.by_email[account.key(email)]
    contact.email, contact.updated = to, now
    account.by_email[account.key(to)] = contact
    account.record_event(contact, now, f"address changed from {email}")

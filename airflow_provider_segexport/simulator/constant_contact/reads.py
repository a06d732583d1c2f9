"""Reading of contacts: the JSON of one contact, and pages of contacts."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.clock import iso, local_iso
from airflow_provider_segexport.simulator.people import unpack
from airflow_provider_segexport.simulator.wire import Call, Reply

from .errors import invalid
from .paging import page_link, page_size, position
from .records import ACTIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .records import Contact
    from .state import Account

Json = dict[str, object]

_MAX_LISTS = 25  # in one filter; swagger 3.0.178
_SUBRESOURCES = ("custom_fields", "list_memberships", "taggings", "notes", "phone_numbers", "street_addresses")
# Without the permissions that are active: swagger 3.0.178.
_STATUSES = ("all", "active", "deleted", "not_set", "pending_confirmation", "temp_hold", "unsubscribed")
_DATES = ("updated_after", "updated_before", "created_after", "created_before", "optout_after", "optout_before")
_FILTERS = ("status", "email", "lists", "include", "include_count", *_DATES)
_UNSIMULATED = ("segment_id", "tags", "sms_status")
_CORE = ("first_name", "last_name", "job_title", "company_name", "birthday_month", "birthday_day", "anniversary")
_PARTS = {"street": "street", "city": "city", "state": "state", "zip": "postal_code", "country": "country"}


def contact_of(account: Account, contact: Contact, include: Iterable[str]) -> Json:
    """Return the JSON of a contact, with the sub-resources that `include` lists.

    Args:
        account: the vendor's account.
        contact: the contact.
        include: names of the sub-resources to include.
    """
    fields = unpack(contact.fields)
    shown: Json = {
        "contact_id": account.contact_id(contact),
        "email_address": _address(contact),
        **{name: fields[name] for name in _CORE if name in fields},
        "update_source": "Account",
        "create_source": contact.opt_in_source,
        "created_at": local_iso(contact.created),
        "updated_at": local_iso(contact.updated),
    }
    if contact.deleted is not None:
        shown["deleted_at"] = iso(contact.deleted)[:10]
    for name in include:
        if name == "list_memberships" and not contact.lists and account.settings.no_list == "left_out":
            continue
        shown[name] = _SHOW_SUBRESOURCE[name](account, contact, fields)
    return shown


def _address(contact: Contact) -> Json:
    shown: Json = {
        "address": contact.email,
        "permission_to_send": contact.permission,
        "created_at": local_iso(contact.created),
        "updated_at": local_iso(contact.updated),
        "confirm_status": "pending" if contact.permission == "pending_confirmation" else "off",
    }
    if contact.opted_out is not None:
        shown |= {"opt_out_source": contact.opt_out_source, "opt_out_date": iso(contact.opted_out)}
    else:
        shown |= {"opt_in_source": contact.opt_in_source, "opt_in_date": iso(contact.created)}
    return shown


def _custom_fields(account: Account, _contact: Contact, fields: Json) -> object:
    values = ((account.fields.get(name[3:]), value) for name, value in fields.items() if name.startswith("cf:"))
    return [{"custom_field_id": field.id, "value": value} for field, value in values if field]


def _phones(_account: Account, _contact: Contact, fields: Json) -> object:
    kinds = {"phone": "other", "home_phone": "home", "work_phone": "work", "mobile_phone": "mobile"}
    return [{"phone_number": fields[name], "kind": kind} for name, kind in kinds.items() if name in fields]


def _addresses(_account: Account, _contact: Contact, fields: Json) -> object:
    """Build the addresses; `street2` is appended to the street (swagger 3.0.178)."""
    addresses = []
    for kind, prefix in (("home", ""), ("work", "work_"), ("other", "other_")):
        parts = {shown: fields[prefix + name] for name, shown in _PARTS.items() if prefix + name in fields}
        more = fields.get(f"{prefix}street2")
        if more:
            parts["street"] = f"{parts.get('street', '')} {more}".strip()
        if parts:
            addresses.append({"kind": kind, **parts})
    return addresses


def _nothing(_account: Account, _contact: Contact, _fields: Json) -> object:
    return []


_SHOW_SUBRESOURCE: dict[str, Callable[[Account, Contact, Json], object]] = {
    "custom_fields": _custom_fields,
    "list_memberships": lambda _account, contact, _fields: list(contact.lists),
    "taggings": _nothing,
    "notes": _nothing,
    "phone_numbers": _phones,
    "street_addresses": _addresses,
}


def includes(text: str) -> list[str]:
    """Return the names of sub-resources in the query parameter `include`; reject unknown names."""
    names = [name for name in text.split(",") if name]
    if not set(names) <= set(_SUBRESOURCES):
        raise invalid("include does not have a valid value")
    return names


class Reader:
    """Reads pages of contacts. The result of a search is cached until the account changes."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._cache: tuple[object, Sequence[int]] = (None, ())
        self._counted: tuple[object, int] = (None, 0)

    def page(self, call: Call) -> Reply:
        """Handle GET /contacts."""
        for name in _UNSIMULATED:
            if name in call.query:
                call.note(f"the filter {name} is not simulated")
                raise invalid(f"{name} does not have a valid value")
        size = page_size(call, 500)
        filters = {name: call.query[name] for name in _FILTERS if name in call.query}
        after, filters = position(call, filters, -1)
        include = includes(filters.get("include", ""))
        is_match = self._test(filters)
        numbers = list(islice(self._numbers(filters, after, is_match), size + 1))
        contacts = [self._account.contacts[number] for number in numbers[:size]]
        call.count("rows", len(contacts))
        body: Json = {"contacts": [contact_of(self._account, contact, include) for contact in contacts]}
        if filters.get("include_count", "").lower() == "true":
            body["contacts_count"] = self._count(filters, is_match)
        if len(numbers) > size:
            body["_links"] = page_link("contacts", numbers[size - 1], size, filters)
        return Reply.json(body)

    def _numbers(self, filters: dict[str, str], after: int, is_match: Callable[[Contact], bool]) -> Iterable[int]:
        """Return the numbers above `after` of the contacts that match, in ascending order."""
        contacts = self._account.contacts
        if "email" in filters:
            contact = self._account.by_email.get(self._account.key(filters["email"]))
            return [contact.number] if contact and contact.number > after and is_match(contact) else []
        names = self._list_ids(filters)
        dated = any(name in filters for name in _DATES)
        if len(names) == 1 and not dated:
            members = self._account.lists[names[0]].members
            return (number for number in members.after(after) if is_match(contacts[number]))
        if not names and not dated:
            return (number for number in range(after + 1, len(contacts)) if is_match(contacts[number]))
        matches = self._searched(filters, is_match)
        return (matches[at] for at in range(bisect_right(matches, after), len(matches)))

    def _searched(self, filters: dict[str, str], is_match: Callable[[Contact], bool]) -> Sequence[int]:
        wanted = (self._account.version, tuple(sorted(filters.items())))
        if self._cache[0] != wanted:
            names = self._list_ids(filters)
            lists = self._account.lists
            numbers: Iterable[int] = range(len(self._account.contacts))
            if "optout_after" in filters or "optout_before" in filters:
                numbers = sorted(self._account.opted_out)
            elif names:
                numbers = sorted({number for name in names for number in lists[name].members.numbers})
            wanted_lists, contacts = set(names), self._account.contacts
            matches = [number for number in numbers if is_match(contacts[number])]
            self._cache = (wanted, [n for n in matches if not names or wanted_lists & set(contacts[n].lists)])
        return self._cache[1]

    def _count(self, filters: dict[str, str], is_match: Callable[[Contact], bool]) -> int:
        wanted = (self._account.version, tuple(sorted(filters.items())))
        if self._counted[0] != wanted:
            self._counted = (wanted, sum(1 for _ in self._numbers(filters, -1, is_match)))
        return self._counted[1]

    def _list_ids(self, filters: dict[str, str]) -> list[str]:
        names = [name for name in filters.get("lists", "").split(",") if name]
        if len(names) > _MAX_LISTS or any(name not in self._account.lists for name in names):
            raise invalid("lists does not have a valid value")
        return names

    @staticmethod
    def _test(filters: dict[str, str]) -> Callable[[Contact], bool]:
        """Return a function that checks status and dates; assumed: without `status`, all but deleted contacts match."""
        wanted = set(filter(None, filters.get("status", "").split(",")))
        if not wanted <= set(_STATUSES):
            raise invalid("status does not have a valid value")
        if "active" in wanted:
            wanted = (wanted - {"active"}) | ACTIVE
        spans = {name: _moment(name, filters[name]) for name in _DATES if name in filters}

        def is_match(contact: Contact) -> bool:
            status = contact.permission if contact.deleted is None else "deleted"
            has_status = status in wanted if wanted else status != "deleted"
            if not has_status and "all" not in wanted:
                return False
            moments = {"updated": contact.updated, "created": contact.created, "optout": contact.opted_out}
            for name, limit in spans.items():
                what, _, side = name.partition("_")
                moment = moments[what]
                if moment is None or (moment < limit if side == "after" else moment > limit):
                    return False
            return True

        return is_match


def _moment(name: str, text: str) -> float:
    try:
        return datetime.fromisoformat(text.replace(" ", "+")).timestamp()
    except ValueError:
        raise invalid(f"{name} does not have a valid value") from None

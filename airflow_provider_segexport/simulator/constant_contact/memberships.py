"""Activities on existing contacts: add them to lists, remove them from lists, delete them from the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.counted import noun
from airflow_provider_segexport.simulator.wire import Call, Reply

from .errors import invalid, not_found
from .lists import body_of
from .records import ACTIVE

if TYPE_CHECKING:
    from collections.abc import Callable

    from .activities import Activity, ActivityRoutes
    from .contacts import ContactRoutes
    from .records import Contact, ContactList
    from .state import Account

Json = dict[str, object]

_MAX_CONTACTS, _MAX_LISTS = 500, 50  # descriptions in swagger 3.0.178, whose maxItems of 0 is an error
_SOURCES = ("contact_ids", "list_ids", "all_active_contacts")
_UNSIMULATED = ("tag_ids", "engagement_level", "segment_id", "new_subscriber")


class MembershipRoutes:
    """The routes below /activities that select existing contacts.

    Args:
        account: the vendor's account.
        activities: starts activities.
        contacts: finds contacts.
    """

    def __init__(self, account: Account, activities: ActivityRoutes, contacts: ContactRoutes) -> None:
        self._account = account
        self._activities = activities
        self._contacts = contacts

    def add(self, call: Call) -> Reply:
        """Handle POST /activities/add_list_memberships; assumed: unsubscribed contacts are not added."""
        account = self._account

        def work(contact: Contact, target: ContactList, moment: float) -> bool:
            if contact.permission == "unsubscribed" or len(contact.lists) >= _MAX_LISTS:
                return False
            return account.add_to_list(contact, target, moment, f"added to list {target.name} by activity")

        return self._change(call, work, "added")

    def remove(self, call: Call) -> Reply:
        """Handle POST /activities/remove_list_memberships; permissions are unchanged."""
        account = self._account

        def work(contact: Contact, target: ContactList, moment: float) -> bool:
            return account.remove_from_list(contact, target, moment, f"removed from list {target.name} by activity")

        return self._change(call, work, "removed")

    def delete(self, call: Call) -> Reply:
        """Handle POST /activities/contact_delete: an activity deletes the contacts from the account."""
        self._activities.check_room(call.now)
        body = body_of(call)
        select_contacts = self._source(body, ("contact_ids", "list_ids"))
        facts = call.facts

        def work(activity: Activity, moment: float) -> None:
            contacts = select_contacts()
            for contact in contacts:
                if contact.deleted is None:
                    self._contacts.erase(facts, contact, moment)
            activity.status = {"items_total_count": len(contacts), "items_completed_count": len(contacts)}

        return self._activities.created(self._activities.accept(call, len(select_contacts()), {}, work))

    def _change(self, call: Call, work: Callable[[Contact, ContactList, float], bool], what: str) -> Reply:
        self._activities.check_room(call.now)
        body = body_of(call)
        source = body.get("source")
        if not isinstance(source, dict):
            raise invalid("source is required")
        exclude = body.get("exclude")
        excluded = _ids(exclude, "contact_ids", _MAX_CONTACTS) if isinstance(exclude, dict) else []
        if excluded and "contact_ids" in source:
            raise invalid("exclude cannot be used with source.contact_ids")
        select_contacts = self._source(source, _SOURCES)
        targets = [self._list(list_id) for list_id in _ids(body, "list_ids", _MAX_LISTS)]
        facts = call.facts

        def apply(activity: Activity, moment: float) -> None:
            left_out = set(excluded)
            contacts = [contact for contact in select_contacts() if self._account.contact_id(contact) not in left_out]
            live = [target for target in targets if target.deleted is None]
            changed = sum(work(contact, target, moment) for contact in contacts for target in live)
            facts[what] = changed
            activity.status = {
                "items_total_count": len(contacts),
                "items_completed_count": len(contacts),
                "list_count": len(targets),
            }

        status: Json = {
            "items_total_count": len(select_contacts()),
            "items_completed_count": 0,
            "list_count": len(targets),
        }
        return self._activities.created(self._activities.accept(call, len(select_contacts()), status, apply))

    def _source(self, given: Json, supported: tuple[str, ...]) -> Callable[[], list[Contact]]:
        """Return a function that selects the contacts when the activity runs; unknown ids are ignored."""
        given_sources = [name for name in (*supported, *_UNSIMULATED) if given.get(name)]
        if len(given_sources) != 1 or given_sources[0] in _UNSIMULATED:
            raise invalid(f"exactly one source is required, of those simulated: {', '.join(supported)}")
        account = self._account
        if given_sources[0] == "contact_ids":
            ids = _ids(given, "contact_ids", _MAX_CONTACTS)
            return lambda: [contact for contact_id in dict.fromkeys(ids) if (contact := account.contact(contact_id))]
        if given_sources[0] == "list_ids":
            sources = [self._list(list_id) for list_id in _ids(given, "list_ids", _MAX_LISTS)]
            return lambda: _united(account, sources)
        return lambda: [c for c in account.contacts if c.deleted is None and c.permission in ACTIVE]

    def _list(self, list_id: str) -> ContactList:
        target = self._account.find_list(list_id)
        if target is None:
            raise not_found()
        return target


def _united(account: Account, sources: list[ContactList]) -> list[Contact]:
    numbers = dict.fromkeys(number for source in sources for number in source.members.numbers)
    return [account.contacts[number] for number in numbers]


def _ids(body: Json, name: str, max_count: int) -> list[str]:
    given = body.get(name)
    if not isinstance(given, list) or not 1 <= len(given) <= max_count or not all(isinstance(i, str) for i in given):
        raise invalid(f"{name} takes 1 to {max_count} {noun(max_count, 'id')}")
    return given

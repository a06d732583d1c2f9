"""Export activities: each writes a CSV file of contacts, which is kept as long as the activity."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.clock import iso
from airflow_provider_segexport.simulator.people import unpack
from airflow_provider_segexport.simulator.wire import Call, Reply

from .errors import invalid, not_found
from .lists import body_of
from .records import ACTIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .activities import Activity, ActivityRoutes
    from .records import Contact
    from .state import Account

Json = dict[str, object]

_MAX_CONTACTS, _MAX_LISTS = 500, 50
_STATUSES = ("active", "unsubscribed", "removed")  # export_contacts.html, read 2026-08
# Fields: export_contacts.html, read 2026-08; fields that the simulator does not have are empty. Assumed: the titles,
# and that columns are named by the fields by default.
_FIELDS = {
    "first_name": "First name",
    "last_name": "Last name",
    "email_address": "Email address",
    "email_lists": "Email Lists",
    "phone_number": "Phone",
    "company_name": "Company",
    "job_title": "Job title",
    "website": "Website",
    "notes": "Notes",
    "street": "Street address line 1",
    "city": "City",
    "state": "State/Province",
    "zip": "Zip/Postal Code",
    "country": "Country",
    "anniversary": "Anniversary",
    "birthday": "Birthday",
    "birthday_day": "Birthday day",
    "birthday_month": "Birthday month",
    "source_name": "Source Name",
    "created_at": "Created At",
    "updated_at": "Updated At",
    "email_permission_status": "Email status",
    "email_optin_source": "Email permission source",
    "email_optin_date": "Email optin date",
    "email_optout_source": "Email optout source",
    "email_optout_date": "Email optout date",
    "email_optout_reason": "Email optout reason",
}
_DEPENDENT = ("email_optin_source", "email_optin_date", "email_optout_source", "email_optout_date")


class ExportRoutes:
    """The export routes."""

    def __init__(self, account: Account, activities: ActivityRoutes) -> None:
        self._account = account
        self._activities = activities
        self._files: dict[str, bytes] = {}

    def accept(self, call: Call) -> Reply:
        """Handle POST /activities/contact_exports."""
        self._activities.check_room(call.now)
        body = body_of(call)
        select_contacts = self._source(body)
        fields = self._fields(body)
        status = body.get("status")
        if status is not None and status not in _STATUSES:
            raise invalid("status does not have a valid value")
        facts = call.facts

        def work(activity: Activity, moment: float) -> None:
            del moment
            contacts = [contact for contact in select_contacts() if _matches(contact, status)]
            self._files[activity.job.id] = self._csv(contacts, fields)
            activity.status = {"items_total_count": len(contacts), "items_completed_count": len(contacts)}
            facts["exported"] = len(contacts)

        activity = self._activities.accept(call, 0, {"items_total_count": 0, "items_completed_count": 0}, work)
        activity.results = f"/v3/contact_exports/{activity.job.id}"
        return self._activities.created(activity)

    def file(self, call: Call) -> Reply:
        """Handle GET /contact_exports/{file_export_id}."""
        export_id = call.params["file"]
        if self._activities.file(export_id) is None:
            self._files.pop(export_id, None)
        if export_id not in self._files:
            raise not_found()
        return Reply(200, self._files[export_id], {"content-type": "text/csv"})

    def _source(self, body: Json) -> Callable[[], Iterable[Contact]]:
        account = self._account
        if body.get("contact_ids") and body.get("list_ids"):
            raise invalid("contact_ids and list_ids are mutually exclusive")
        for name in ("tag_ids", "segment_id", "new_subscriber"):
            if body.get(name):
                raise invalid(f"{name} is not simulated")
        if "contact_ids" in body:
            ids = body["contact_ids"]
            if not isinstance(ids, list) or not 1 <= len(ids) <= _MAX_CONTACTS:
                raise invalid(f"contact_ids takes 1 to {_MAX_CONTACTS} ids")
            return lambda: [contact for contact_id in ids if (contact := account.contact(str(contact_id)))]
        if "list_ids" not in body:
            return lambda: account.contacts
        lists = body["list_ids"]
        if not isinstance(lists, list) or not 1 <= len(lists) <= _MAX_LISTS:
            raise invalid(f"list_ids takes 1 to {_MAX_LISTS} ids")
        sources = [source for list_id in lists if (source := account.find_list(list_id))]
        if len(sources) < len(lists):
            raise not_found()
        return lambda: (
            account.contacts[number]
            for number in dict.fromkeys(number for source in sources for number in source.members.after(-1))
        )

    def _fields(self, body: Json) -> Sequence[str]:
        custom = [f"cf:{name}" for name in self._account.fields]
        available = [*_FIELDS, *custom]
        if self._account.settings.export_contact_id:
            available.insert(0, "contact_id")
        wanted = body.get("fields")
        if wanted is None:
            return available
        if not isinstance(wanted, list) or not wanted:
            raise invalid("fields must be an array of field names")
        columns = [name if name not in self._account.fields else f"cf:{name}" for name in map(str, wanted)]
        for name in columns:
            if name not in available or (name in _DEPENDENT and "email_address" not in columns):
                raise invalid(f"fields does not have a valid value: {name}")
        return columns

    def _csv(self, contacts: Iterable[Contact], fields: Sequence[str]) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\r\n")
        titles = self._account.settings.export_headers == "titles"
        writer.writerow([_FIELDS.get(name, name.removeprefix("cf:")) if titles else name for name in fields])
        writer.writerows(self._row(contact, fields) for contact in contacts)
        return text.getvalue().encode()

    def _row(self, contact: Contact, fields: Sequence[str]) -> list[object]:
        stored = unpack(contact.fields)
        return [
            _COMPUTED[name](self._account, contact) if name in _COMPUTED else stored.get(name, "") for name in fields
        ]


def _matches(contact: Contact, status: object) -> bool:
    if status is None or status == "removed":
        return (contact.deleted is not None) == (status == "removed")
    return contact.permission == "unsubscribed" if status == "unsubscribed" else contact.permission in ACTIVE


def _birthday(_account: Account, contact: Contact) -> str:
    stored = unpack(contact.fields)
    return f"{stored['birthday_month']}/{stored['birthday_day']}" if "birthday_month" in stored else ""


_COMPUTED: dict[str, Callable[[Account, Contact], str]] = {
    "contact_id": lambda account, contact: account.contact_id(contact),
    "email_address": lambda _, contact: contact.email,
    "email_lists": lambda account, contact: ", ".join(account.lists[list_id].name for list_id in contact.lists),
    "phone_number": lambda _, contact: str(unpack(contact.fields).get("phone", "")),
    "birthday": _birthday,
    "created_at": lambda _, contact: iso(contact.created),
    "updated_at": lambda _, contact: iso(contact.updated),
    "email_permission_status": lambda _, contact: contact.permission,
    "email_optin_source": lambda _, contact: contact.opt_in_source,
    "email_optin_date": lambda _, contact: iso(contact.created),
    "email_optout_source": lambda _, contact: "" if contact.opted_out is None else "Contact",
    "email_optout_date": lambda _, contact: "" if contact.opted_out is None else iso(contact.opted_out),
    "email_optout_reason": lambda _account, _contact: "",
}

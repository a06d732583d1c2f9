"""The v2 routes of opt-outs: reading them, unsubscribing, and resubscribing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.clock import iso
from airflow_provider_segexport.simulator.wire import Call, Reply

from .books import v2_body
from .errors import v2_refused
from .reads import Json, v2_cut, v2_row
from .state import OPTED_OUT

if TYPE_CHECKING:
    from .books import BookRoutes
    from .state import Account, Contact


class OptOutRoutes:
    """The opt-out routes. An export must not call those that write."""

    def __init__(self, account: Account, books: BookRoutes) -> None:
        self._account = account
        self._books = books

    def suppressed_since(self, call: Call) -> Reply:
        """Handle GET /v2/contacts/suppressed-since/{date}."""
        since = _date(call)
        people = self._account.contacts.after(0)
        opted_out = (c for c in people if c.status in OPTED_OUT and c.since >= since)
        return v2_cut((_opt_out(c, c.since) for c in opted_out), call)

    def unsubscribed_since(self, call: Call) -> Reply:
        """Handle GET /v2/contacts/unsubscribed-since/{date}."""
        since = _date(call)
        people = self._account.contacts.after(0)
        opted_out = (c for c in people if c.status == "unsubscribed" and c.since >= since)
        return v2_cut((_opt_out(c, c.since) for c in opted_out), call)

    def list_unsubscribed_since(self, call: Call) -> Reply:
        """Handle GET /v2/address-books/{id}/contacts/unsubscribed-since/{date}."""
        since, book = _date(call), self._books.book(call)
        opted_out = []
        for contact in book.members.after(0):
            moment = book.suppressed.get(contact.id)
            if moment is None and contact.status == "unsubscribed":
                moment = contact.since
            if moment is not None and moment >= since:
                opted_out.append(_opt_out(contact, moment, "Unsubscribed"))
        return v2_cut(opted_out, call)

    def unsubscribe(self, call: Call) -> Reply:
        """Handle POST /v2/contacts/unsubscribe: unsubscribe a contact from all lists."""
        contact = self._meant(v2_body(call))
        contact.set_status("unsubscribed", call.now, f"unsubscribed through the API, was {contact.status}")
        call.count("unsubscribed")
        return Reply.json(_opt_out(contact, call.now))

    def unsubscribe_from_list(self, call: Call) -> Reply:
        """Handle POST /v2/address-books/{id}/contacts/unsubscribe."""
        book = self._books.book(call)
        contact = self._meant(v2_body(call))
        if contact.id not in book.members.by_id:
            raise v2_refused("Error: ERROR_CONTACT_NOT_FOUND", 404)
        book.suppressed[contact.id] = call.now
        contact.history += ((call.now, f"unsubscribed from list {book.id} through the API"),)
        call.count("unsubscribed")
        return Reply.json(_opt_out(contact, call.now, "Unsubscribed"))

    def resubscribe(self, call: Call) -> Reply:
        """Handle POST .../resubscribe, which mails a challenge, and ...-with-no-challenge, which does not."""
        body = v2_body(call)
        given = body.get("unsubscribedContact")
        contact = self._meant(given if isinstance(given, dict) else body)
        call.count("resubscribed")
        if not call.path.endswith("-with-no-challenge"):
            self._account.mail(contact, "resubscription challenge", call.now)
            call.count("mails")
            return Reply.json({"contact": v2_row(contact), "status": "ContactChallenged"})
        if "book" in call.params:
            book = self._books.book(call)
            book.suppressed.pop(contact.id, None)
            self._account.add_to_list(contact, book, call.now)
        contact.set_status("subscribed", call.now, f"resubscribed through the API, was {contact.status}")
        return Reply.json({"contact": v2_row(contact), "status": "ContactAdded"})

    def delete(self, call: Call) -> Reply:
        """Handle DELETE /v2/contacts/{id}: delete the contact from the account."""
        number = call.params["contact"]
        contact = self._account.contacts.by_id.get(int(number)) if number.isdigit() else None
        if contact is None:
            raise v2_refused("Error: ERROR_CONTACT_NOT_FOUND", 404)
        self._account.erase(contact, call.now)
        call.count("account_deleted")
        return Reply(204)

    def _meant(self, body: Json) -> Contact:
        contact = self._account.by_email.get(self._account.key(str(body.get("email", ""))))
        if contact is None:
            raise v2_refused("Error: ERROR_CONTACT_NOT_FOUND", 404)
        return contact


def _opt_out(contact: Contact, moment: float, reason: str | None = None) -> Json:
    row = v2_row(contact)
    return {
        "suppressedContact": row,
        "dateRemoved": iso(moment),
        "reason": reason or row["status"],
    }


def _date(call: Call) -> float:
    try:
        return datetime.fromisoformat(call.params["date"]).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise v2_refused("Error: ERROR_PARAMETER_INVALID") from None

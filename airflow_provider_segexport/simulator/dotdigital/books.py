"""The v2 routes of address books and their members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.simulator.wire import BodyError, Call, Reply

from .errors import v2_refused
from .reads import Json, v2_cut, v2_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .state import Account, AddressBook

_RESERVED = ("test", "all contacts")  # error registry, read 2026-08
_INVALID = "Error: ERROR_PARAMETER_INVALID"
_INT32 = range(1, 2**31)  # the format of the ids in a removal, address books spec 2.0.2


def v2_json(call: Call) -> object:
    """Parse the body; reject a body that is not JSON with a v2 error."""
    if call.has_other_type:  # assumed
        raise v2_refused("The request entity's media type is not supported for this resource.", 415)
    try:
        return call.json()
    except BodyError:
        raise v2_refused(_INVALID) from None


def v2_body(call: Call) -> Json:
    """Return the body's object; reject any other body with a v2 error."""
    body = v2_json(call)
    if not isinstance(body, dict):
        raise v2_refused(_INVALID)
    return body


class BookRoutes:
    """The routes below /v2/address-books."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def book(self, call: Call) -> AddressBook:
        """Return the address book that the path names."""
        book_id = call.params["book"]
        book = self._account.books.get(int(book_id)) if book_id.isdigit() else None
        if book is None:
            # The code is in the vendor's Magento client, the 404 is assumed; read 2026-08.
            raise v2_refused("Error: ERROR_ADDRESSBOOK_NOT_FOUND", 404)
        return book

    def list(self, call: Call) -> Reply:
        """Handle GET /v2/address-books, /public and /private."""
        visibility = call.params.get("visibility")
        books = self._account.books.values()
        wanted = (b for b in books if visibility in (None, b.visibility.lower()))
        return v2_cut((book.as_json() for book in wanted), call)

    def show(self, call: Call) -> Reply:
        """Handle GET /v2/address-books/{id}."""
        return Reply.json(self.book(call).as_json())

    def create(self, call: Call) -> Reply:
        """Handle POST /v2/address-books."""
        name, visibility = self._named(call)
        return Reply.json(self._account.open_book(name, visibility).as_json())

    def change(self, call: Call) -> Reply:
        """Handle PUT /v2/address-books/{id}."""
        book = self.book(call)
        book.name, book.visibility = self._named(call, book)
        return Reply.json(book.as_json())

    def _named(self, call: Call, itself: AddressBook | None = None) -> tuple[str, str]:
        body = v2_body(call)
        name, visibility = str(body.get("name") or "").strip(), str(body.get("visibility", "Private"))
        if not name or len(name) > 128 or visibility not in ("Private", "Public"):  # noqa: PLR2004 - spec
            raise v2_refused(_INVALID)
        if name.lower() in _RESERVED:
            raise v2_refused("Error: ERROR_ADDRESSBOOK_NOTWRITABLE")
        books = self._account.books.values()
        if any(b.name.lower() == name.lower() and b is not itself for b in books):
            raise v2_refused("Error: ERROR_ADDRESSBOOK_DUPLICATE")
        return name, visibility

    def delete(self, call: Call) -> Reply:
        """Handle DELETE /v2/address-books/{id}: delete the address book; its contacts stay."""
        book = self.book(call)
        for contact in list(book.members.by_id.values()):
            self._account.remove_from_list(contact, book, call.now)
        del self._account.books[book.id]
        call.count("lists_deleted")
        return Reply(204)

    def members(self, call: Call) -> Reply:
        """Handle GET /v2/address-books/{id}/contacts."""
        full = call.query.get("withFullData", "").lower() == "true"
        return v2_cut((v2_row(c, full=full) for c in self.book(call).members.after(0)), call)

    def remove_one(self, call: Call) -> Reply:
        """Handle DELETE /v2/address-books/{id}/contacts/{contactId}."""
        book = self.book(call)
        contact_id = call.params["contact"]
        contact = book.members.by_id.get(int(contact_id)) if contact_id.isdigit() else None
        if contact is None:
            raise v2_refused("Error: ERROR_CONTACT_NOT_FOUND", 404)
        self._account.remove_from_list(contact, book, call.now)
        call.count("removed")
        return Reply(204)

    def remove_many(self, call: Call) -> Reply:
        """Handle POST /v2/address-books/{id}/contacts/delete; the body is an array of contact ids."""
        book, ids = self.book(call), v2_json(call)
        if not isinstance(ids, list) or not all(type(number) is int and number in _INT32 for number in ids):
            raise v2_refused(_INVALID)
        max_ids = self._account.settings.max_delete_ids
        if not ids or (max_ids is not None and len(ids) > max_ids):
            raise v2_refused(_INVALID)
        return self._remove(call, book, ids)

    def remove_all(self, call: Call) -> Reply:
        """Handle POST /v2/address-books/{id}/contacts/delete-all."""
        book = self.book(call)
        return self._remove(call, book, list(book.members.by_id))

    def _remove(self, call: Call, book: AddressBook, ids: Sequence[int]) -> Reply:
        settings = self._account.settings
        facts, notes = call.facts, call.notes
        call.count("rows", len(ids))
        jobs = self._account.list_removals
        if not settings.removals_at_once and jobs.active(call.now):  # a removal in any address book blocks all of them
            raise v2_refused("Error: ERROR_ADDRESSBOOK_IN_USE")

        def work(moment: float) -> str:
            contacts = [book.members.by_id[number] for number in dict.fromkeys(ids) if number in book.members.by_id]
            for contact in contacts:
                self._account.remove_from_list(contact, book, moment)
            facts["removed"] = len(contacts)
            if len(contacts) < len(ids):
                notes.append(f"{counted(len(ids) - len(contacts), 'id')} not in the list")
            return "Completed"

        job_id = self._account.ids.guid()
        seconds = settings.job_seconds + settings.job_seconds_per_row * len(ids)
        job = self._account.list_removals.add(job_id, call.now, seconds, work)
        return Reply.json({"id": job.id, "status": job.state}, 202)

    def removal(self, call: Call) -> Reply:
        """Handle GET /v2/contacts/deletion/{id}."""
        job = self._account.list_removals.poll(call.params["id"], call.now)
        if job is None:
            raise v2_refused("Error: ERROR_JOB_NOT_FOUND", 404)
        return Reply.json({"id": job.id, "status": job.state})

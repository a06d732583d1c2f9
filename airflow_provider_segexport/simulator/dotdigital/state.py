"""State of a dotdigital account: contacts, address books, data fields, suppressions, jobs."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from airflow_provider_segexport.simulator.jobs import Jobs
from airflow_provider_segexport.simulator.people import NO_FIELDS, Fields, History, Ids

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("String", "Numeric", "Date", "Boolean")  # data-fields spec 2.0.1
# Statuses of the email channel, contacts spec 3.4.3, with the contact status that each implies. The first six are also
# contact statuses; the mapping of the others is assumed.
STATUSES = {
    **{
        status: status
        for status in ("subscribed", "unsubscribed", "pendingOptIn", "suppressed", "binned", "noSubscription")
    },
    "softBounced": "subscribed",
    **dict.fromkeys(("hardBounced", "ispComplained", "directComplaint", "domainSuppressed"), "suppressed"),
    **dict.fromkeys(("sharedsuppression", "sharedDomainSuppression", "blockedlocalpart", "spamTrap"), "suppressed"),
    **dict.fromkeys(("purchased", "knownComplainer", "knownLitigator"), "suppressed"),
}
OPTED_OUT = frozenset(STATUSES) - {"subscribed", "softBounced", "pendingOptIn", "noSubscription"}


@dataclass(frozen=True)
class Settings:
    """Settings of the vendor; the README marks the defaults that are assumptions."""

    rate_scheme: Literal["tiered", "flat", "off"] = "tiered"
    rate_reset: Literal["epoch", "seconds"] = "epoch"
    low_per_minute: int = 150  # the number in the vendor's sample headers; 35 on "Basic"
    medium_per_minute: int = 300
    high_per_minute: int = 600
    flat_per_hour: int = 2000
    max_active_imports: int = 25
    max_import_bytes: int = 50_000_000
    job_seconds: float = 1.0
    job_seconds_per_row: float = 0.00005
    job_states: list[str] = field(default_factory=list)
    unknown_field: Literal["ignore", "fail_record", "fail_request", "create"] = "ignore"
    email_case: Literal["ignore", "keep"] = "ignore"
    new_status: Literal["subscribed", "noSubscription"] = "subscribed"
    value_precision: Literal["keep", "cut"] = "keep"
    no_list: Literal["empty", "left_out", "gone"] = "empty"
    removals_at_once: bool = True
    bad_value: Literal["ignore", "fail_record"] = "fail_record"
    decimals: Literal["keep", "fail_record"] = "keep"
    text_length: int = 255
    duplicates: Literal["first", "none"] = "first"
    failure_codes: Literal["spec", "table"] = "spec"
    contact_limit: int | None = None
    max_delete_ids: int | None = None
    enforce_double_opt_in: bool = False
    readd_list_unsubscribed: bool = False
    custom_identifiers: list[str] = field(default_factory=lambda: ["customerId"])
    api_endpoint: str | None = None
    wrong_region: bool = False


@dataclass(frozen=True, slots=True)
class DataField:
    """A data field of the account."""

    name: str
    kind: str
    visibility: str = "Public"
    default: object = None


class Contact:
    """A person in the account.

    Args:
        contact_id: the API's id.
        email: the address.
        now: time in epoch seconds.
        history: events so far.
    """

    __slots__ = (
        "consents", "created", "email", "email_type", "fields", "history", "id", "identifiers", "lists", "opt_in",
        "since", "status", "updated",
    )  # fmt: skip

    def __init__(self, contact_id: int, email: str, now: float, history: History) -> None:
        self.id = contact_id
        self.email = email
        self.identifiers: Fields = NO_FIELDS  # without email and contactId
        self.status = "subscribed"
        self.since = now  # when the status began
        self.opt_in = "Unknown"
        self.email_type = "Html"
        self.fields: Fields = NO_FIELDS
        self.consents: tuple[dict[str, object], ...] = ()
        self.lists: tuple[int, ...] = ()
        self.created = self.updated = now
        self.history = history

    def set_status(self, status: str, now: float, event: str) -> None:
        """Change the status of the email channel.

        Args:
            status: the new status.
            now: time of the change, in seconds since the epoch.
            event: description for the contact's history.
        """
        self.status, self.since, self.updated = status, now, now
        self.history += ((now, event),)


class ContactIndex:
    """Contacts by id, which can be iterated in ascending order from any id."""

    def __init__(self) -> None:
        self.by_id: dict[int, Contact] = {}
        self._ids: list[int] | None = None

    def add(self, contact: Contact) -> None:
        """Add a contact; a contact that is there is not added again."""
        if contact.id not in self.by_id:
            self.by_id[contact.id] = contact
            self._ids = None

    def remove(self, contact_id: int) -> bool:
        """Remove a contact; return False if it was not there."""
        self._ids = None
        return self.by_id.pop(contact_id, None) is not None

    def after(self, contact_id: int) -> Iterator[Contact]:
        """Yield the contacts with a higher id."""
        if self._ids is None:
            self._ids = sorted(self.by_id)
        for index in range(bisect_right(self._ids, contact_id), len(self._ids)):
            yield self.by_id[self._ids[index]]


class AddressBook:
    """An address book. People who unsubscribed from it alone stay members; `suppressed` has the time by contact id.

    Args:
        book_id: the API's id.
        name: the name.
        visibility: `Private` or `Public`.
    """

    def __init__(self, book_id: int, name: str, visibility: str = "Private") -> None:
        self.id = book_id
        self.name = name
        self.visibility = visibility
        self.members = ContactIndex()
        self.suppressed: dict[int, float] = {}

    def as_json(self) -> dict[str, object]:
        """Return the JSON of the address book; `contacts` does not count people who unsubscribed from it."""
        count = len(self.members.by_id) - len(self.suppressed)
        return {"id": self.id, "name": self.name, "visibility": self.visibility, "contacts": count}


class Account:
    """A new account with three empty address books and the default data fields."""

    def __init__(self, seed: int, settings: Settings) -> None:
        self.settings = settings
        self.ids = Ids(seed, "dotdigital")
        self.id = self.ids.number(10_000, 99_999)
        self.user = f"apiuser-{self.ids.hex(12)}@apiconnector.com"
        self.password = self.ids.hex(24)
        self._next_contact = self.ids.number(30_000_000, 40_000_000)
        self._next_book = self.ids.number(300_000, 400_000)
        self.contacts = ContactIndex()
        self.by_email: dict[str, Contact] = {}
        self.by_identifier: dict[tuple[str, str], Contact] = {}
        self.deleted: list[Contact] = []
        self.globally_suppressed: set[str] = set()
        self.suppressed_domains: set[str] = set()
        self.fields = {data_field.name: data_field for data_field in DEFAULT_FIELDS}
        self.books: dict[int, AddressBook] = {}
        for name in ("Customers", "Newsletter", "Lapsed"):
            self.open_book(name)
        self.mails: Counter[str] = Counter()
        self.imports = Jobs(running="NotFinished", done="Finished")
        self.list_removals = Jobs(running="Started", done="Completed")
        self.deletions = Jobs(running="NotFinished", done="Finished")
        self._list_sets: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._histories: dict[History, History] = {}  # contacts with the same history share one object, to save memory

    def key(self, email: str) -> str:
        """Return the key under which an address is compared: lower case, unless `email_case` is `keep`."""
        return email.lower() if self.settings.email_case == "ignore" else email

    def settle(self, now: float) -> None:
        """Finish the jobs that are due."""
        for jobs in (self.imports, self.list_removals, self.deletions):
            jobs.settle(now)

    def open_book(self, name: str, visibility: str = "Private") -> AddressBook:
        """Create an address book."""
        self._next_book += 1
        book = self.books[self._next_book] = AddressBook(self._next_book, name, visibility)
        return book

    def add_contact(self, email: str, now: float, history: History) -> Contact:
        """Create a contact.

        Args:
            email: the address; may be empty.
            now: time of creation.
            history: first events of the contact.
        """
        self._next_contact += 1
        contact = Contact(self._next_contact, email, now, history)
        contact.status = self.settings.new_status
        self.contacts.add(contact)
        if email:
            self.by_email[self.key(email)] = contact
        return contact

    def add_to_list(self, contact: Contact, book: AddressBook, now: float) -> None:
        """Add a contact to a list; a member is not added again.

        Args:
            contact: the contact.
            book: the address book.
            now: time of the change, in seconds since the epoch.
        """
        if book.id in contact.lists:
            return
        book.members.add(contact)
        lists = (*contact.lists, book.id)
        contact.lists = self._list_sets.setdefault(lists, lists)
        history = (*contact.history, (now, f"added to list {book.id}"))
        contact.history = self._histories.setdefault(history, history)

    def remove_from_list(self, contact: Contact, book: AddressBook, now: float) -> bool:
        """Remove a contact from one list; status and other lists are unchanged. Return False for a non-member.

        Args:
            contact: the contact.
            book: the address book.
            now: time of the change, in seconds since the epoch.
        """
        if not book.members.remove(contact.id):
            return False
        book.suppressed.pop(contact.id, None)
        lists = tuple(list_id for list_id in contact.lists if list_id != book.id)
        contact.lists = self._list_sets.setdefault(lists, lists)
        contact.history += ((now, f"removed from list {book.id}"),)
        if not lists and self.settings.no_list == "gone":
            self.erase(contact, now)
        return True

    def erase(self, contact: Contact, now: float) -> None:
        """Delete a contact from the account."""
        for list_id in contact.lists:
            self.books[list_id].members.remove(contact.id)
            self.books[list_id].suppressed.pop(contact.id, None)
        contact.set_status("deleted", now, "deleted from the account")
        self.contacts.remove(contact.id)
        self.by_email.pop(self.key(contact.email), None)
        for key in [key for key, holder in self.by_identifier.items() if holder is contact]:
            del self.by_identifier[key]
        self.deleted.append(contact)

    def mail(self, contact: Contact, kind: str, now: float) -> None:
        """Record a mail that the real vendor would send now.

        Args:
            contact: the contact.
            kind: kind of mail.
            now: time of the mail.
        """
        self.mails[kind] += 1
        contact.history += ((now, f"mail: {kind}"),)


DEFAULT_FIELDS = (
    DataField("FIRSTNAME", "String"),
    DataField("LASTNAME", "String"),
    DataField("FULLNAME", "String"),
    DataField("GENDER", "String"),
    DataField("POSTCODE", "String"),
    DataField("LASTSUBSCRIBED", "Date", "Private"),
    DataField("BIRTHDAY", "Date", "Private"),
    DataField("LOYALTY_TIER", "String", "Private"),
    DataField("ORDERS", "Numeric", "Private"),
    DataField("VIP", "Boolean", "Private"),
)

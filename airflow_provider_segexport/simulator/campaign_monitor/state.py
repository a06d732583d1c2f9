"""State of a Campaign Monitor account: a client, its lists, their subscribers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from airflow_provider_segexport.simulator.people import NO_FIELDS, Fields, History, Ids, pack, unpack

STATES = ("Active", "Unconfirmed", "Unsubscribed", "Bounced", "Deleted")
SCOPES = ["ImportSubscribers", "ManageLists", "ViewSubscribersInReports"]


@dataclass(frozen=True)
class Settings:
    """Settings of the vendor; the README marks the defaults that are assumptions."""

    max_concurrent: int | None = None
    calls_per_minute: int | None = None
    duplicates: Literal["first", "last"] = "last"
    import_requires_consent: bool = False
    import_sends_confirmation: bool = False
    inactive_rows: Literal["by_row", "whole_batch", "silent", "add"] = "by_row"
    unconfirmed_rows: Literal["by_row", "whole_batch", "silent", "add"] = "by_row"
    unknown_field: Literal["ignore", "fail_row", "fail_batch"] = "ignore"
    values: Literal["keep", "cut", "fail_row"] = "keep"
    email_case: Literal["ignore", "keep"] = "ignore"
    reset_is_epoch: bool = False
    unknown_list_status: int = 401
    token_seconds: float = 1_209_600  # 14 days: fixtures of createsend-python, read 2026-08
    token_error_status: int = 200
    rotate_refresh_token: bool = True
    scopes: list[str] = field(default_factory=lambda: list(SCOPES))
    utc_offset_minutes: int = 0


@dataclass(frozen=True, slots=True)
class CustomField:
    """A custom field of one list."""

    name: str
    kind: str
    options: tuple[str, ...] = ()
    visible: bool = True
    bare: str = field(init=False, default="")  # the key without brackets: the name without spaces

    def __post_init__(self) -> None:
        """Derive the key."""
        object.__setattr__(self, "bare", self.name.replace(" ", ""))


class Subscriber:
    """A person in one list. The address is the only id.

    Args:
        email: the address.
        state: one of `STATES`.
        now: time in epoch seconds.
        history: events so far.
    """

    __slots__ = ("changed", "consent", "email", "fields", "history", "joined", "name", "state")

    def __init__(self, email: str, state: str, now: float, history: History) -> None:
        self.email = email
        self.name = ""
        self.state = state
        self.joined = self.changed = now
        self.consent = "Unchanged"
        self.fields: Fields = NO_FIELDS
        self.history = history


class MailingList:
    """A list with its custom fields and people; `version` increases with every change of membership or state.

    Args:
        list_id: the API's id.
        title: the name.
        confirmed_opt_in: whether new people must confirm.
    """

    def __init__(self, list_id: str, title: str, *, confirmed_opt_in: bool = False) -> None:
        self.id = list_id
        self.title = title
        self.confirmed_opt_in = confirmed_opt_in
        self.unsubscribe_setting = "AllClientLists"
        self.unsubscribe_page = ""
        self.confirmation_page = ""
        self.fields: dict[str, CustomField] = {}
        self.accepted_keys: dict[str, CustomField] = {}
        self.subscribers: dict[str, Subscriber] = {}
        self.counts: Counter[str] = Counter()
        self.mails: Counter[str] = Counter()
        self.version = 0

    def add_field(self, new: CustomField) -> None:
        """Add a custom field; rows may give its key with or without brackets."""
        self.fields[new.bare] = new
        self.accepted_keys[new.bare] = self.accepted_keys[f"[{new.bare}]"] = new

    def drop_field(self, bare: str) -> None:
        """Remove a custom field with all its values."""
        for key in (bare, f"[{bare}]"):
            self.accepted_keys.pop(key, None)
        self.fields.pop(bare, None)
        for person in self.subscribers.values():
            fields = unpack(person.fields)
            if fields.pop(bare, None) is not None:
                person.fields = pack(fields)

    def join(self, subscriber: Subscriber, key: str = "") -> None:
        """Add a new person to the list; `key` is `Account.key` of the address, by default in lower case."""
        self.subscribers[key or subscriber.email.lower()] = subscriber
        self.counts[subscriber.state] += 1
        self.version += 1

    def move(self, subscriber: Subscriber, state: str, now: float, event: str) -> None:
        """Change a person's state.

        Args:
            subscriber: the person.
            state: the new state.
            now: time of the change.
            event: description for the person's history.
        """
        self.counts[subscriber.state] -= 1
        self.counts[state] += 1
        subscriber.state, subscriber.changed = state, now
        subscriber.history += ((now, event),)
        self.version += 1

    def mail(self, subscriber: Subscriber, kind: str, now: float) -> None:
        """Record a mail that the real vendor would send now.

        Args:
            subscriber: the person.
            kind: kind of mail.
            now: time of the mail.
        """
        self.mails[kind] += 1
        subscriber.history += ((now, f"mail: {kind}"),)


@dataclass(slots=True)
class Client:
    """The only client of the account, with the suppression list that all its lists share."""

    id: str
    name: str
    api_key: str
    lists: dict[str, MailingList] = field(default_factory=dict)
    suppressed: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    version: int = 0

    def suppress(self, email: str, reason: str, now: float) -> None:
        """Add an address to the suppression list; an address that is there keeps its first reason.

        Args:
            email: the address.
            reason: the vendor's reason, for example `Unsubscribed`.
            now: time of the change, in seconds since the epoch.
        """
        self.suppressed.setdefault(email.lower(), (email, reason, now))
        self.version += 1

    def unsuppress(self, email: str) -> bool:
        """Remove an address from the suppression list; return False if it was not there."""
        self.version += 1
        return self.suppressed.pop(email.lower(), None) is not None


class Account:
    """A new account with one client, four empty lists, and the default custom fields in each.

    Args:
        seed: decides ids and keys.
        settings: settings of the vendor.
        now: time in epoch seconds.
    """

    def __init__(self, seed: int, settings: Settings, now: float) -> None:
        self.settings = settings
        self.ids = Ids(seed, "campaign_monitor")
        self.api_key = self.ids.hex(32)
        self.client = Client(self.ids.hex(32), "Example Shop", self.ids.hex(32))
        self.opened = now
        for title, opt_in in (
            ("Customers", False),
            ("Newsletter", False),
            ("Lapsed", False),
            ("Newsletter, double opt-in", True),
        ):
            new_list = MailingList(self.ids.hex(32), title, confirmed_opt_in=opt_in)
            for custom in DEFAULT_FIELDS:
                new_list.add_field(custom)
            self.client.lists[new_list.id] = new_list

    def key(self, email: str) -> str:
        """Return the key under which an address is compared: lower case, unless `email_case` is `keep`."""
        return email.lower() if self.settings.email_case == "ignore" else email

    def date(self, moment: float) -> str:
        """Format a time in the account's time zone, without an offset, as the vendor does."""
        return _formatted(moment + self.settings.utc_offset_minutes * 60)


@lru_cache(maxsize=4096)  # people of one import have the same timestamps
def _formatted(local: float) -> str:
    return datetime.fromtimestamp(local, UTC).strftime("%Y-%m-%d %H:%M:%S")


DEFAULT_FIELDS = (
    CustomField("Gender", "Text"),
    CustomField("Postcode", "Text"),
    CustomField("City", "Text"),
    CustomField("Country", "Text"),
    CustomField("Birthdate", "Date"),
    CustomField("Loyalty Tier", "Text"),
    CustomField("Orders", "Number"),
    CustomField("Interests", "MultiSelectMany", ("Garden", "Kitchen", "Travel")),
)

"""Records of a Constant Contact account: contact, list and custom field."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from airflow_provider_segexport.simulator.members import Members
from airflow_provider_segexport.simulator.people import NO_FIELDS, Fields, History

PERMISSIONS = ("explicit", "implicit", "not_set", "pending_confirmation", "temp_hold", "unsubscribed")
ACTIVE = frozenset({"explicit", "implicit"})  # "active (mailable)", swagger 3.0.178; members assumed


class Contact:
    """A person. Its id is derived from its position in the account.

    Args:
        number: position in `Account.contacts`.
        email: the address.
        permission: permission to send.
        now: time in epoch seconds.
        history: events so far.
    """

    __slots__ = (
        "created",
        "deleted",
        "email",
        "fields",
        "history",
        "left",
        "lists",
        "number",
        "opt_in_source",
        "opt_out_source",
        "opted_out",
        "permission",
        "updated",
    )

    def __init__(self, number: int, email: str, permission: str, now: float, history: History) -> None:
        self.number = number
        self.email = email
        self.permission = permission
        self.opt_in_source = "Account"
        self.fields: Fields = NO_FIELDS
        self.lists: tuple[str, ...] = ()
        self.left: tuple[str, ...] = ()  # lists that the person left by their own choice
        self.opt_out_source = "Contact"
        self.opted_out: float | None = None
        self.deleted: float | None = None
        self.created = self.updated = now
        self.history = history


class ContactList:
    """A list, its members and their counts by permission.

    Args:
        list_id: the API's id.
        name: the name.
        now: time in epoch seconds.
    """

    def __init__(self, list_id: str, name: str, now: float) -> None:
        self.id = list_id
        self.name = name
        self.description = ""
        self.favorite = False
        self.created = self.updated = now
        self.deleted: float | None = None
        self.members = Members()
        self.counts: Counter[str] = Counter()
        self.mails: Counter[str] = Counter()

    @property
    def active(self) -> int:
        """The number of mailable members."""
        return sum(self.counts[permission] for permission in ACTIVE)


@dataclass(slots=True)
class CustomField:
    """A custom field of the account."""

    id: str
    label: str
    kind: str
    created: float
    metadata: dict[str, object]
    choices: tuple[str, ...] = ()
    version: int = 2

    @property
    def name(self) -> str:
        """The name in imports: the label with underscores instead of spaces."""
        return self.label.replace(" ", "_")

"""The record of a contact: identifiers, channels, tags and properties."""

from __future__ import annotations

from airflow_provider_segexport.simulator.people import NO_FIELDS, Fields, History

STATUSES = ("subscribed", "unsubscribed", "nonSubscribed")  # contacts OpenAPI 2026-03-15, read 2026-08
CUSTOM = "customProperties."  # prefix of custom properties in `Contact.fields`


class Contact:
    """A person. Its id is derived from its position in the account.

    `changed` is the date of `status`. `sms` has the status of the SMS channel and its date.

    Args:
        number: position in `Account.contacts`.
        email: the address.
        now: time in epoch seconds.
        history: events so far.
    """

    __slots__ = (
        "changed",
        "consents",
        "created",
        "deleted",
        "email",
        "fields",
        "history",
        "number",
        "phones",
        "sms",
        "status",
        "tags",
        "updated",
    )

    def __init__(self, number: int, email: str, now: float, history: History) -> None:
        self.number = number
        self.email = email
        self.phones: tuple[str, ...] = ()
        self.status = "nonSubscribed"  # assumed for a new contact without channels
        self.changed = now
        self.sms: tuple[str, float] = ("nonSubscribed", now)
        self.fields: Fields = NO_FIELDS
        self.tags: tuple[str, ...] = ()
        self.consents: tuple[dict[str, str], ...] = ()
        self.created = self.updated = now
        self.deleted = False
        self.history = history

"""Interprets each vendor's calls for the checker, by the vendor's documents and not by the provider's code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Entry = Mapping[str, Any]
"""A line of the simulator's request log."""

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Window:
    """A quota that the vendor publishes: a number of calls in a number of seconds, for all calls or for some paths.

    If it `resets`, its windows begin at midnight UTC.
    """

    calls: int
    seconds: float
    path: str = ""
    resets: bool = False


@dataclass(frozen=True)
class LogReader:
    """How to read one vendor's log.

    Attributes:
        upsert: method and path pattern of the calls that add people.
        items, email: return the people in the body of an upsert, and the address of a person.
        removal: method and path pattern of the calls that remove people.
        leavers: returns the people that a removal names, by address or by the vendor's id.
        is_temporary: returns whether a call only removes what an experiment has added.
        setup: calls that are not reads, but change no person.
        says: parts of a body that would change a person's consent or trigger a mail.
        subscribes: returns the status and date in an item; None if it has none.
        new_are_subscribed: the vendor subscribes new people whose item has no status.
        damage: facts that a correct client never causes.
        revival: the fact that counts people who were added again; it is damage unless an export had removed them.
        quota: the rate limits that the vendor publishes.
        mailable: returns whether a member in the simulator's view gets mail of the audience.
        name: returns the first name that the vendor stores.
        looks: calls that read the audience's members, if a run makes them before it sends anything.
        account: the simulator's view of every person; empty if there is none.
        resent_late: returns whether a batch is sent again if its result is read more than `LATE_S` after it.
    """

    name: str
    upsert: tuple[str, str]
    items: Callable[[Json], Sequence[Json]]
    email: Callable[[Json], str]
    removal: tuple[str, str]
    leavers: Callable[[Entry], Sequence[str]]
    says: Callable[[Entry], Iterator[str]]
    mailable: Callable[[Json], bool]
    name_of: Callable[[Json], str]
    subscribes: Callable[[Json], tuple[str, str] | None] = lambda _: None
    new_are_subscribed: bool = True
    is_temporary: Callable[[Entry], bool] = lambda _: False
    setup: str = r"(?!)"
    damage: frozenset[str] = frozenset()
    revival: str = ""
    quota: tuple[Window, ...] = ()
    looks: str = r"(?!)"
    account: str = "all-contacts"
    resent_late: Callable[[Entry], bool] = lambda _: False

    def is_upsert(self, entry: Entry) -> bool:
        return _is(entry, self.upsert)

    def is_removal(self, entry: Entry) -> bool:
        return _is(entry, self.removal) and not self.is_temporary(entry)

    def is_write(self, entry: Entry) -> bool:
        """Return whether a call may change a person."""
        return entry["method"] != "GET" and not re.search(self.setup, str(entry["path"]))


def _is(entry: Entry, call: tuple[str, str]) -> bool:
    return entry["method"] == call[0] and re.search(call[1], str(entry["path"])) is not None


LATE_S = 3600.0
"""Seconds after which a batch without tags is sent again: docs/decisions/0034."""

DAMAGE = frozenset(
    {
        "account_deleted",
        "contacts_deleted",
        "memberships_deleted",
        "lists_deleted",
        "fields_deleted",
        "segments_deleted",
        "replaced",
        "unsubscribed",
        "suppressed",
        "unsuppressed",
        "consent_upgraded",
        "permission_changed",
        "status_sent",
        "set_subscribed",
        "set_unsubscribed",
        "set_nonSubscribed",
        "mails",
    }
)


def campaign_monitor_says(entry: Entry) -> Iterator[str]:
    body = entry["body"] or {}
    for flag in ("QueueSubscriptionBasedAutoresponders", "RestartSubscriptionBasedAutoresponders"):
        if body.get(flag) is not False:
            yield f"{flag} is {body.get(flag)!r}"
    for item in body.get("Subscribers", ()):
        if item.get("ConsentToTrack") != "Unchanged":
            yield f"ConsentToTrack is {item.get('ConsentToTrack')!r}"


def dotdigital_says(entry: Entry) -> Iterator[str]:
    for item in (entry["body"] or {}).get("contacts", ()):
        if "channelProperties" in item:
            yield "a contact has channelProperties"


def constant_contact_says(entry: Entry) -> Iterator[str]:
    for item in (entry["body"] or {}).get("import_data", ()):
        if item.keys() & {"permission_to_send", "permission", "opt_in_source", "confirm_status"}:
            yield f"a row has {', '.join(sorted(item))}"


def omnisend_says(entry: Entry) -> Iterator[str]:
    for item in (entry["body"] or {}).get("items", ()):
        for identifier in item.get("identifiers", ()):
            if "channels" in identifier and identifier.get("type") != "email":
                yield "the identifier of a phone has channels"
            if identifier.get("type") == "email" and identifier.get("sendWelcomeMessage") is not False:
                yield "sendWelcomeMessage is not false"


def omnisend_subscribes(item: Json) -> tuple[str, str] | None:
    """Status and date that an item sends for the email; None for none."""
    channels = next(
        (identifier.get("channels") for identifier in item["identifiers"] if identifier["type"] == "email"), None
    )
    if channels is None:
        return None
    return str(channels["email"].get("status")), str(channels["email"].get("statusChangedAt", ""))


def only_temporary_tags(entry: Entry) -> bool:
    tags = (entry["body"] or {}).get("tags", ())
    return bool(tags) and all(str(tag).startswith("segexport check ") for tag in tags)


def has_no_tags(entry: Entry) -> bool:
    """Return whether the batch has no tags, so that the tag is added by address after it."""
    return not any("tags" in item for item in (entry["body"] or {}).get("items", ()))


def first_email(item: Json) -> str:
    return next(str(identifier["id"]) for identifier in item["identifiers"] if identifier["type"] == "email")


def queried(entry: Entry, name: str) -> list[str]:
    return [str(entry["query"].get(name, ""))]


def listed(*path: str) -> Callable[[Entry], list[str]]:
    """Return a function that reads a list of texts in the body, at a path of member names."""

    def read(entry: Entry) -> list[str]:
        value = entry["body"]
        for name in path:
            value = (value or {}).get(name)
        return [str(text) for text in value or ()]

    return read


LOG_READERS = {
    reader.name: reader
    for reader in (
        LogReader(
            name="campaign_monitor",
            upsert=("POST", r"/subscribers/[0-9a-f]+/import\.json$"),
            items=lambda body: body["Subscribers"],
            email=lambda item: str(item["EmailAddress"]),
            removal=("DELETE", r"/subscribers/[0-9a-f]+\.json$"),
            leavers=lambda entry: queried(entry, "email"),
            says=campaign_monitor_says,
            mailable=lambda member: member["status"] == "Active",
            name_of=lambda member: str(member["name"]),
            setup=r"/customfields\.json$|/oauth/token$",
            damage=DAMAGE,
            revival="resubscribed",
            account="",
        ),
        LogReader(
            name="dotdigital",
            upsert=("PUT", r"/contacts/v3/import$"),
            items=lambda body: body["contacts"],
            email=lambda item: str(item["identifiers"]["email"]),
            removal=("POST", r"/v2/address-books/[0-9]+/contacts/delete$"),
            leavers=listed(),
            says=dotdigital_says,
            mailable=lambda member: member["status"] == "subscribed" and member["in_list"] == "subscribed",
            name_of=lambda member: str(member["fields"].get("FIRSTNAME", "")),
            setup=r"/v2/data-fields$",
            damage=DAMAGE | {"resubscribed"},
        ),
        LogReader(
            name="constant_contact",
            upsert=("POST", r"/activities/contacts_json_import$"),
            items=lambda body: body["import_data"],
            email=lambda item: str(item["email"]),
            removal=("POST", r"/activities/remove_list_memberships$"),
            leavers=listed("source", "contact_ids"),
            says=constant_contact_says,
            mailable=lambda member: member["status"] in {"explicit", "implicit", "not_set"},
            name_of=lambda member: str(member["fields"].get("first_name", "")),
            setup=r"/oauth2/|/activities/contact_exports$|/contact_custom_fields$",
            looks=r"/activities/contact_exports$",
            damage=DAMAGE,
            # "4 requests per second, 10,000 per day", the vendor's page on rate limits, read 2026-08
            quota=(Window(4, 1), Window(10_000, 86_400, resets=True)),
        ),
        LogReader(
            name="omnisend",
            upsert=("POST", r"/batches$"),
            items=lambda body: body["items"],
            email=first_email,
            removal=("DELETE", r"/contacts/tags$"),
            leavers=listed("emails"),
            says=omnisend_says,
            subscribes=omnisend_subscribes,
            new_are_subscribed=False,
            mailable=lambda member: member["status"] != "unsubscribed",
            name_of=lambda member: str(member["fields"].get("firstName", "")),
            is_temporary=only_temporary_tags,
            resent_late=has_no_tags,
            setup=r"/segments$",
            damage=DAMAGE,
            # 400 a minute a brand, 60 of them to the tags endpoints: contacts OpenAPI 2026-03-15
            quota=(Window(400, 60), Window(60, 60, path=r"/contacts/tags$")),
        ),
    )
}

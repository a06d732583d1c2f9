"""What a vendor is: data that upstream reads, and operations that one driver runs.

A vendor is a value, not a class to inherit from. It does no I/O: each operation yields requests and is sent responses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from airflow_provider_segexport.errors import BadMatching, ReplyNotUnderstood, TryAgain
from airflow_provider_segexport.model import (
    Batch,
    JobState,
    Operation,
    Rate,
    Reply,
    Request,
    Response,
    Settled,
    T,
    Target,
)
from airflow_provider_segexport.shape import Object

FIELDS = (
    "email",
    "first_name",
    "last_name",
    "full_name",
    "gender",
    "postcode",
    "address",
    "city",
    "state",
    "country",
    "phone",
    "birthdate",
)
"""The vendor-neutral fields of data matching."""

ColumnType = Literal["text", "integer", "decimal", "boolean", "date", "timestamp"]
FieldType = Literal["text", "number", "boolean", "date"]


@dataclass(frozen=True, slots=True)
class FieldRule:
    """Where a neutral field goes at this vendor.

    Attributes:
        key: the vendor's name of it.
        custom: True where the vendor has no such field of its own, and it travels as a custom field of that name.
        max_chars: longer values reject the row.
        joined: several fields of one key are joined with a space, instead of clashing.
        omit_misfit: a value that does not fit is left out of its row and counted, instead of rejecting the row.
    """

    field: str
    key: str
    custom: bool = False
    max_chars: int | None = None
    joined: bool = False
    omit_misfit: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """The vendor's limits, each one under what it publishes.

    Attributes:
        batch_rows, batch_bytes: at most so many profiles and bytes in one call.
        connections: calls in flight.
        jobs: import jobs in flight; 0 where the vendor answers at once.
        rates: call quotas that hold for the whole account.
        timeout_s: seconds until a call without an answer counts as timed out.
    """

    batch_rows: int
    batch_bytes: int
    connections: int
    jobs: int
    timeout_s: float
    rates: tuple[Rate, ...] = ()


@dataclass(frozen=True, slots=True)
class Access:
    """What an operation needs of the connection besides credentials, which only the session holds.

    Attributes:
        api: base URL without a trailing slash.
        api_is_default: the administrator left the base URL to us.
    """

    api: str
    api_is_default: bool = True
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CustomField:
    """A custom field of an export: the vendor's name of it, and the type of the column that feeds it."""

    name: str
    column: str
    type: ColumnType


@dataclass(frozen=True, slots=True)
class Matched:
    """Data matching after the files were read: which fields and custom fields this export carries."""

    fields: tuple[str, ...]
    custom: tuple[CustomField, ...] = ()


@dataclass(frozen=True, slots=True)
class FormField:
    """A field of the connection form beyond Airflow's standard ones. A secret's `name` is one that Airflow masks."""

    name: str
    label: str
    help: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """The connection form: which standard fields show, under which label, and what else is asked for."""

    key_label: str
    login_label: str | None = None
    placeholders: Mapping[str, str] = field(default_factory=dict)
    audience_help: str = ""
    fields: tuple[FormField, ...] = ()


@dataclass(frozen=True, slots=True)
class Token:
    """An OAuth2 access token; `expires_at` in epoch seconds. `refresh` is what the vendor wants to see next time."""

    access: str
    refresh: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class OAuth:
    """How a vendor renews access tokens.

    Attributes:
        refresh: the call that turns a refresh token into a new pair; arguments are the access, the refresh token and
            the time now.
        stale: whether a 401 says that the access token is old, and not that the credentials are bad.
    """

    refresh: Callable[[Access, str, float], Operation[Token]]
    stale: Callable[[Response], bool]


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor. `name` is its connection type, its module and its prefix in the simulator.

    `refusal` reads whether a reply asks to come back: the response and the time now (epoch seconds).
    """

    name: str
    title: str
    audience_word: str
    api: str
    limits: Limits
    fields: tuple[FieldRule, ...]
    max_custom_chars: int | None
    custom_name: str
    """A regular expression that a new custom field's name must match."""
    custom_name_hint: str
    check: Callable[[Access, str | None], Operation[Target]]
    create_field: Callable[[Target, str, FieldType], Operation[None]]
    item: Callable[[Matched, Target], Object]
    upsert: Callable[[Target, Batch], Operation[Reply]]
    poll: Callable[[Target, Sequence[str]], Operation[dict[str, JobState]]]
    collect: Callable[[Target, Batch, str], Operation[Settled]]
    audience_link: Callable[[Target], str]
    refusal: Callable[[Response, float], TryAgain | None]
    form: Form
    oauth: OAuth | None = None
    date_format: str = "%Y-%m-%d"
    """How a date field's value is written, in `strftime` words."""

    def rule(self, neutral: str) -> FieldRule:
        """The rule of a neutral field; a field the vendor does not take is a mistake in data matching."""
        for rule in self.fields:
            if rule.field == neutral:
                return rule
        taken = ", ".join(rule.field for rule in self.fields)
        raise BadMatching(
            f"{self.title} has no field for `{neutral}`. It takes: {taken}. "
            "Anything else can travel as a custom field (`custom_fields`)."
        )


def drive(operation: Operation[T], send: Callable[[Request], Response]) -> T:
    """Run an operation: send what it yields, hand it what came back, return its result.

    Raises:
        ReplyNotUnderstood: a reply lacks what the vendor's contract promises, or holds it in another type.
    """
    try:
        request = next(operation)
        while True:
            response = send(request)
            try:
                request = operation.send(response)
            except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
                # The cause may quote the reply, which holds people: its type is all that is told.
                raise ReplyNotUnderstood(
                    f"{response.url} answered {response.status} with something that its contract does not hold "
                    f"({type(error).__name__})."
                ) from None
    except StopIteration as done:
        result: T = done.value
        return result

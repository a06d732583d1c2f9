"""What a vendor is: data that upstream reads, and operations that one driver runs.

A vendor is a value, not a class to inherit from. It does no I/O: each operation yields requests and is sent responses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from airflow_provider_segexport.access import Access, Form, OAuth
from airflow_provider_segexport.errors import BadMatching, ReplyNotUnderstood, TryAgain, VendorUnavailable
from airflow_provider_segexport.model import (
    Allowance,
    Batch,
    JobState,
    Member,
    Operation,
    OptOut,
    Rate,
    Reply,
    Request,
    Response,
    Settled,
    T,
    Target,
    Ticket,
    Wait,
)
from airflow_provider_segexport.repeated_reads import RepeatedReads
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
Kind = FieldType | Literal["datetime", "gender", "country_code", "country_name", "phone", "month", "day"]
"""What a vendor's own field holds: a type, or a text of a certain form.

`datetime` is a moment in ISO 8601, `gender` is `m` or `f`, `country_code` ISO 3166-1 alpha-2, `country_name` anything
else, `phone` E.164, `month` and `day` the numbers of a date.
"""


@dataclass(frozen=True, slots=True)
class FieldRule:
    """Where a neutral field goes at this vendor.

    Attributes:
        key: the vendor's name of it.
        custom: True where the vendor has no such field of its own, and it travels as a custom field of that name.
        max_chars: longer values reject the row.
        joined: several fields of one key are joined with a space, instead of clashing.
        wants: what the vendor's field holds, where it is one of its own.
        omit_misfit: a value that does not fit is left out of its row and counted, instead of rejecting the row.
        column: the plan's column; a neutral field that feeds two of the vendor's has two rules and two columns.
    """

    field: str
    key: str
    custom: bool = False
    max_chars: int | None = None
    joined: bool = False
    wants: Kind = "text"
    omit_misfit: bool = False
    column: str = ""

    @property
    def name(self) -> str:
        """The plan's column."""
        return self.column or self.field


@dataclass(frozen=True, slots=True)
class ResponseLimits:
    """How much of one response is read.

    Constant Contact's export of a list, the longest response, has about 40 bytes a contact: six million contacts fit.

    Attributes:
        seconds: from the end of the request to the end of the body.
        wire_bytes: headers and body as they are transferred.
        body_bytes: the body after decompression.
    """

    seconds: float = 300.0
    wire_bytes: int = 128 * 2**20
    body_bytes: int = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """The vendor's limits, each one under what it publishes.

    Attributes:
        batch_rows, batch_bytes: at most so many profiles and bytes in one call.
        connections: calls in flight.
        jobs: import jobs in flight; 0 where the vendor answers at once.
        one_by_one: a call tells of one job, and several are asked for at once; False where a call lists many.
        rates: call quotas that hold for the whole account, as published.
        pools: narrower ones that some requests count for too, by the name that the request carries.
        timeout_s: seconds until a call without an answer counts as timed out.
        response: how much of one response is read, and for how long.
    """

    batch_rows: int
    batch_bytes: int
    connections: int
    jobs: int
    timeout_s: float
    rates: tuple[Rate, ...] = ()
    pools: Mapping[str, tuple[Rate, ...]] = field(default_factory=dict)
    one_by_one: bool = False
    response: ResponseLimits = ResponseLimits()


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


Tell = Callable[[Sequence[Member]], None]
"""Takes the people of one page."""

TellOptOuts = Callable[[Sequence[OptOut]], None]
"""Takes the opted-out people of one page."""


def no_poll(target: Target, tickets: Sequence[str]) -> Operation[dict[str, JobState]]:
    """For a vendor that answers at once."""
    raise ReplyNotUnderstood(f"This vendor has no jobs, and {len(tickets)} were asked for at {target.api}.")
    yield  # a generator, as every operation is


def no_collect(target: Target, batch: Batch, ticket: str) -> Operation[Settled]:
    """For a vendor that answers at once."""
    raise ReplyNotUnderstood(f"This vendor has no job {ticket} for batch {batch.name} at {target.api}.")
    yield  # a generator, as every operation is


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """How a vendor takes people out of an audience without unsubscribing, suppressing or deleting them.

    Attributes:
        by_id: a batch's items are the vendor's contact ids, and not addresses.
        limits: rows a call, calls and jobs in flight.
        remove: one batch out. A person who is not there, or not as one who gets mail, is refused with a reason of
            `model.GONE`: nothing was done to them.
        poll, collect: of removal jobs, as `Vendor`'s are of import jobs.
        identify: tells the members among these addresses, with their contact ids; who is not told is not in it.
        verdict: an answer that takes a batch means that its people are out. False: it is looked whether they are.
        look: tells the members among these addresses, where that takes fewer calls than reading the audience back.
        loses_optouts: to take somebody out forgets that they have opted out of the audience: those people are found
            first, by `Vendor.optouts`, and left alone.
    """

    remove: Callable[[Target, Batch], Operation[Reply]]
    limits: Limits
    by_id: bool = False
    poll: Callable[[Target, Sequence[str]], Operation[dict[str, JobState]]] = no_poll
    collect: Callable[[Target, Batch, str], Operation[Settled]] = no_collect
    identify: Callable[[Target, Sequence[str], Tell], Operation[None]] | None = None
    verdict: bool = True
    look: Callable[[Target, Sequence[str], Tell], Operation[None]] | None = None
    loses_optouts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
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
    poll: Callable[[Target, Sequence[str]], Operation[dict[str, JobState]]] = no_poll
    collect: Callable[[Target, Batch, str], Operation[Settled]] = no_collect
    members: Callable[[Target, Tell], Operation[None]]
    removal: Removal | None = None
    revive: Callable[[Target, Batch], Operation[Reply]] | None = None
    """Bring back people whom we have taken out (`Reason.DELETED` in the answer to an upsert). Nobody else."""
    within: Callable[[Response], Mapping[str, Response]] | None = None
    """Answers to reads of single jobs that an answer to a poll holds, by their address: lists of whole jobs do."""
    lookup: Callable[[Target, Sequence[Batch], float, frozenset[str]], Operation[dict[str, Ticket]]] | None = None
    """Jobs that batches became whose call had no answer, by the batch's name; made since a time (epoch seconds), and
    none of those that are known to be other batches'. One that is told is proven to be the batch's, by its content."""
    optouts: Callable[[Target, float, TellOptOuts], Operation[None]] | None = None
    """Who has opted out since a time (epoch seconds), of the audience or of everything."""
    audience_link: Callable[[Target], str]
    refusal: Callable[[Response, float], TryAgain | None]
    form: Form
    oauth: OAuth | None = None
    readds_leavers: bool = False
    """An import brings back people who have left the audience by their own choice: they are found first."""
    free_fields: bool = False
    """Custom fields come into being when they are first sent: there is nothing to check and nothing to create."""
    most_custom: int | None = None
    """So many custom fields one contact may carry in an import."""
    paths: tuple[str, ...] = ()
    """Paths of the API, in lower case, that a base URL may end in by mistake: each call adds its own."""
    allowance: Callable[[Response, float], Allowance | None] | None = None
    """What an answer's headers say is left of the quota; the last argument is the time now (epoch seconds)."""
    date_format: str = "%Y-%m-%d"
    """How a date field's value is written, in `strftime` words."""

    def rules(self, neutral: str) -> tuple[FieldRule, ...]:
        """The rules of a neutral field; a field the vendor does not take is a mistake in data matching."""
        found = tuple(rule for rule in self.fields if rule.field == neutral)
        if not found:
            taken = ", ".join(dict.fromkeys(rule.field for rule in self.fields))
            raise BadMatching(
                f"{self.title} has no field for `{neutral}`. It takes: {taken}. "
                "Anything else can travel as a custom field (`custom_fields`)."
            )
        return found


def drive(
    operation: Operation[T], send: Callable[[Request], Response], sleep: Callable[[float], None] = time.sleep
) -> T:
    """Run an operation: send what it yields, hand it what came back, return its result.

    Raises:
        ReplyNotUnderstood: a reply lacks what the vendor's contract promises, or holds it in another type.
        VendorUnavailable: a web page came in the place of a reply: no verdict on account, audience or person.
    """
    reads = RepeatedReads()
    try:
        request = next(operation)
        while True:
            reads.watch(request)
            if isinstance(request, Wait):
                sleep(request.seconds)
                request = next(operation)
                continue
            response = send(request)
            if response.is_web_page():
                raise VendorUnavailable(
                    f"{response.url} answered {response.status} with a web page. A firewall, a proxy, a maintenance "
                    "page or a wrong base URL answers so."
                )
            try:
                request = operation.send(response)
            except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
                # The cause may quote the reply, which holds people: its type is all that is told.
                raise ReplyNotUnderstood(
                    f"{response.url} answered {response.status} with something that its contract does not hold "
                    f"({type(error).__name__})."
                ) from None
    except StopIteration as done:
        result: T = done.value
        return result

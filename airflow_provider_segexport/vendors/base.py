"""What a vendor is: data that upstream reads, and operations that one driver runs.

A vendor is a value, not a class to inherit from. It does no I/O: each operation yields requests and is sent responses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from airflow_provider_segexport.errors import InvalidFieldMapping, RetryableError, UnexpectedResponse, VendorUnavailable
from airflow_provider_segexport.model import (
    Audience,
    Batch,
    BatchReply,
    BatchResult,
    JobId,
    JobState,
    Member,
    Operation,
    OptOut,
    Rate,
    RemainingQuota,
    Request,
    Response,
    Sleep,
    T,
)
from airflow_provider_segexport.vendors.auth import ApiEndpoint, ConnectionForm, OAuth
from airflow_provider_segexport.vendors.item_template import JsonTemplate
from airflow_provider_segexport.vendors.repeated_reads import RepeatedReads

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
"""The vendor-neutral fields of field mapping."""

ColumnType = Literal["text", "integer", "decimal", "boolean", "date", "timestamp"]
FieldType = Literal["text", "number", "boolean", "date"]
ValueKind = FieldType | Literal["datetime", "gender", "country_code", "country_name", "phone", "month", "day"]
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
        value_kind: what the vendor's field holds, where it is one of its own.
        drop_invalid: a value that does not fit is left out of its row and counted, instead of rejecting the row.
        plan_column: the plan's column; a neutral field that feeds two of the vendor's has two rules and two columns.
    """

    field: str
    key: str
    custom: bool = False
    max_chars: int | None = None
    joined: bool = False
    value_kind: ValueKind = "text"
    drop_invalid: bool = False
    plan_column: str = ""

    @property
    def name(self) -> str:
        """The plan's column."""
        return self.plan_column or self.field


CONNECT_TIMEOUT_S = 10.0  # until a connection that the vendor has not accepted counts as failed


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
        max_concurrency: calls in flight.
        max_jobs: import jobs in flight; 0 where the vendor answers at once.
        poll_one_per_call: a call tells of one job, and several are asked for at once; False where a call lists many.
        rates: call quotas that hold for the whole account, as published.
        scoped_rates: narrower ones that some requests count for too, by the name that the request carries.
        timeout_s: seconds until a call without an answer counts as timed out.
        response: how much of one response is read, and for how long.
    """

    batch_rows: int
    batch_bytes: int
    max_concurrency: int
    max_jobs: int
    timeout_s: float
    rates: tuple[Rate, ...] = ()
    scoped_rates: Mapping[str, tuple[Rate, ...]] = field(default_factory=dict)
    poll_one_per_call: bool = False
    response: ResponseLimits = ResponseLimits()


@dataclass(frozen=True, slots=True)
class CustomField:
    """A custom field of an export: the vendor's name of it, and the type of the column that feeds it."""

    name: str
    column: str
    type: ColumnType


@dataclass(frozen=True, slots=True)
class MappedFields:
    """Field mapping after the files were read: which fields and custom fields this export carries."""

    fields: tuple[str, ...]
    custom: tuple[CustomField, ...] = ()


OnPage = Callable[[Sequence[Member]], None]
"""Takes the people of one page."""

OnOptOutPage = Callable[[Sequence[OptOut]], None]
"""Takes the opted-out people of one page."""


def no_poll(audience: Audience, job_ids: Sequence[str]) -> Operation[dict[str, JobState]]:
    """For a vendor that answers at once."""
    raise UnexpectedResponse(f"This vendor has no jobs, and {len(job_ids)} were asked for at {audience.base_url}.")
    yield  # a generator, as every operation is


def no_collect(audience: Audience, batch: Batch, job_id: str) -> Operation[BatchResult]:
    """For a vendor that answers at once."""
    raise UnexpectedResponse(f"This vendor has no job {job_id} for batch {batch.id} at {audience.base_url}.")
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
        resolve_ids: tells the members among these addresses, with their contact ids; who is not told is not in it.
        confirms: an answer that takes a batch means that its people are out. False: it is looked whether they are.
        find_members: tells the members among these addresses, where that takes fewer calls than reading the audience
            back.
        forgets_optouts: to take somebody out forgets that they have opted out of the audience: those people are found
            first, by `Vendor.list_optouts`, and left alone.
    """

    remove: Callable[[Audience, Batch], Operation[BatchReply]]
    limits: Limits
    by_id: bool = False
    poll: Callable[[Audience, Sequence[str]], Operation[dict[str, JobState]]] = no_poll
    collect: Callable[[Audience, Batch, str], Operation[BatchResult]] = no_collect
    resolve_ids: Callable[[Audience, Sequence[str], OnPage], Operation[None]] | None = None
    confirms: bool = True
    find_members: Callable[[Audience, Sequence[str], OnPage], Operation[None]] | None = None
    forgets_optouts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """One vendor. `name` is its connection type, its module and its prefix in the simulator.

    `refusal` reads whether a reply asks to come back: the response and the time now (epoch seconds).
    """

    name: str
    title: str
    audience_noun: str
    base_url: str
    limits: Limits
    fields: tuple[FieldRule, ...]
    max_custom_chars: int | None
    custom_name_pattern: str
    """A regular expression that a new custom field's name must match."""
    custom_name_hint: str
    resolve_audience: Callable[[ApiEndpoint, str | None], Operation[Audience]]
    create_field: Callable[[Audience, str, FieldType], Operation[None]]
    item_template: Callable[[MappedFields, Audience], JsonTemplate]
    upsert: Callable[[Audience, Batch], Operation[BatchReply]]
    poll: Callable[[Audience, Sequence[str]], Operation[dict[str, JobState]]] = no_poll
    collect: Callable[[Audience, Batch, str], Operation[BatchResult]] = no_collect
    list_members: Callable[[Audience, OnPage], Operation[None]]
    removal: Removal | None = None
    resubscribe_removed: Callable[[Audience, Batch], Operation[BatchReply]] | None = None
    """Bring back people whom we have taken out (`Reason.DELETED` in the answer to an upsert). Nobody else."""
    embedded_job_reads: Callable[[Response], Mapping[str, Response]] | None = None
    """Answers to reads of single jobs that an answer to a poll holds, by their address: lists of whole jobs do."""
    find_lost_jobs: Callable[[Audience, Sequence[Batch], float, frozenset[str]], Operation[dict[str, JobId]]] | None = (
        None
    )
    """Jobs that batches became whose call had no answer, by the batch's name; made since a time (epoch seconds), and
    none of those that are known to be other batches'. One that is told is proven to be the batch's, by its content."""
    list_optouts: Callable[[Audience, float, OnOptOutPage], Operation[None]] | None = None
    """Who has opted out since a time (epoch seconds), of the audience or of everything."""
    audience_link: Callable[[Audience], str]
    retry_hint: Callable[[Response, float], RetryableError | None]
    form: ConnectionForm
    oauth: OAuth | None = None
    import_readds_leavers: bool = False
    """An import brings back people who have left the audience by their own choice: they are found first."""
    implicit_custom_fields: bool = False
    """Custom fields come into being when they are first sent: there is nothing to check and nothing to create."""
    max_custom_fields: int | None = None
    """So many custom fields one contact may carry in an import."""
    api_paths: tuple[str, ...] = ()
    """Paths of the API, in lower case, that a base URL may end in by mistake: each call adds its own."""
    remaining_quota: Callable[[Response, float], RemainingQuota | None] | None = None
    """What an answer's headers say is left of the quota; the last argument is the time now (epoch seconds)."""
    date_format: str = "%Y-%m-%d"
    """How a date field's value is written, in `strftime` words."""

    def rules_for(self, neutral: str) -> tuple[FieldRule, ...]:
        """The rules of a neutral field; a field the vendor does not take is a mistake in field mapping."""
        found = tuple(rule for rule in self.fields if rule.field == neutral)
        if not found:
            taken = ", ".join(dict.fromkeys(rule.field for rule in self.fields))
            raise InvalidFieldMapping(
                f"{self.title} has no field for `{neutral}`. It takes: {taken}. "
                "Anything else can travel as a custom field (`custom_fields`)."
            )
        return found


def run_operation(
    operation: Operation[T], send: Callable[[Request], Response], sleep: Callable[[float], None] = time.sleep
) -> T:
    """Run an operation: send what it yields, hand it what came back, return its result.

    Raises:
        UnexpectedResponse: a reply lacks what the vendor's contract promises, or holds it in another type.
        VendorUnavailable: a web page came in the place of a reply: no verdict on account, audience or person.
    """
    reads = RepeatedReads()
    try:
        request = next(operation)
        while True:
            reads.watch(request)
            if isinstance(request, Sleep):
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
                raise UnexpectedResponse(
                    f"{response.url} answered {response.status} with something that its contract does not hold "
                    f"({type(error).__name__})."
                ) from None
    except StopIteration as done:
        result: T = done.value
        return result

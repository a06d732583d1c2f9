"""The vendor contract: `Vendor` holds a vendor's data and its operations.

A vendor is a value, not a base class. It does no I/O: an operation is a generator that yields requests and receives
responses. `operations.run_operation` runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from airflow_provider_segexport.errors import InvalidFieldMapping, RetryableError
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
    Response,
)
from airflow_provider_segexport.vendors.auth import ApiEndpoint, ConnectionForm, OAuth
from airflow_provider_segexport.vendors.consent_proof import ConsentProof, MappedProof
from airflow_provider_segexport.vendors.directory import AudienceDirectory
from airflow_provider_segexport.vendors.experiment import Experiment
from airflow_provider_segexport.vendors.item_template import JsonTemplate
from airflow_provider_segexport.vendors.operations import no_collect, no_poll
from airflow_provider_segexport.vendors.probe import Probe
from airflow_provider_segexport.vendors.verification import Verification

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
"""Type or text format of a vendor's standard field.

`datetime` is ISO 8601, `gender` is `m` or `f`, `country_code` is ISO 3166-1 alpha-2, `country_name` is any other text,
`phone` is E.164, and `month` and `day` are the numbers in a date.
"""


@dataclass(frozen=True, slots=True)
class FieldRule:
    """Maps one neutral field to one field of the vendor.

    Attributes:
        field: the neutral field, one of `FIELDS`.
        key: the vendor's name of the field.
        custom: True if the vendor has no such standard field, so that it is sent as a custom field named `key`.
        max_chars: a longer value rejects its row; None for no limit.
        joined: neutral fields with the same key are joined with a space. False: mapping two of them is an error.
        value_kind: what the vendor's standard field accepts.
        drop_invalid: an invalid value is omitted from its row and counted. False: it rejects the row.
        plan_column: the plan's column; empty if it has the neutral field's name. A neutral field that feeds two of the
            vendor's fields has two rules and two columns.
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
        """Return the name of the plan's column."""
        return self.plan_column or self.field


CONNECT_TIMEOUT_S = 10.0
"""Seconds until a TCP or TLS connection attempt counts as failed."""


@dataclass(frozen=True, slots=True)
class ResponseLimits:
    """Limits for reading one response.

    The longest response is Constant Contact's export of a list. The limits fit six million contacts of about 40 bytes.

    Attributes:
        seconds: time from the end of the request to the end of the body.
        wire_bytes: size of headers and body as transferred.
        body_bytes: size of the body after decompression.
    """

    seconds: float = 300.0
    wire_bytes: int = 128 * 2**20
    body_bytes: int = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that exports observe. Each is at or below the limit that the vendor publishes.

    Attributes:
        batch_rows, batch_bytes: maximum profiles and bytes in one call.
        max_concurrency: maximum calls in flight.
        max_jobs: maximum import jobs in flight; 0 if the vendor returns results synchronously.
        timeout_s: seconds until a call without a response counts as timed out.
        rates: published call quotas of the whole account.
        scoped_rates: additional quotas for some requests, by `Request.rate_scope`.
        poll_one_per_call: a call reads one job, so several calls run in parallel. False: a call lists many jobs.
        response: limits for reading one response.
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
    """A custom field of an export: the vendor's name of the field, and the column that feeds it with its type."""

    name: str
    column: str
    type: ColumnType


@dataclass(frozen=True, slots=True)
class MappedFields:
    """The values that an export sends, resolved after its files have been read.

    Attributes:
        fields: the neutral fields.
        custom: the custom fields.
        proof: the proof of consent; None if the export sends none.
    """

    fields: tuple[str, ...]
    custom: tuple[CustomField, ...] = ()
    proof: MappedProof | None = None


OnPage = Callable[[Sequence[Member]], None]
"""Callback for the members on one page."""

OnOptOutPage = Callable[[Sequence[OptOut]], None]
"""Callback for the opt-outs on one page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Removes people from an audience without unsubscribing, suppressing or deleting them.

    Attributes:
        remove: removes the people of a batch. Rejects a person who is not a mailable member with a reason of
            `reasons.GONE`, and changes nothing about them.
        limits: limits for the rows in a call, and for calls and jobs in flight.
        by_id: the items that `remove` gets are contact ids, which `resolve_ids` returned for the people's addresses
            immediately before. A person with several contacts has several. False: the items are addresses.
        rate_scope: additional quota that each call counts against; used for the estimate.
        poll, collect: read removal jobs, as `Vendor.poll` and `Vendor.collect` read import jobs.
        resolve_ids: passes the members among the addresses to the callback, with contact ids. Required by `by_id`.
        confirms: an accepted batch proves that its people are removed. False: the run checks that they are.
        find_members: like `resolve_ids`, but for that check; set if it takes fewer calls than reading the audience.
        forgets_optouts: a removal erases a person's opt-out of the audience. The run therefore reads
            `Vendor.list_optouts` first and does not remove those people.
    """

    remove: Callable[[Audience, Batch], Operation[BatchReply]]
    limits: Limits
    by_id: bool = False
    rate_scope: str = ""
    poll: Callable[[Audience, Sequence[str]], Operation[dict[str, JobState]]] = no_poll
    collect: Callable[[Audience, Batch, str], Operation[BatchResult]] = no_collect
    resolve_ids: Callable[[Audience, Sequence[str], OnPage], Operation[None]] | None = None
    confirms: bool = True
    find_members: Callable[[Audience, Sequence[str], OnPage], Operation[None]] | None = None
    forgets_optouts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """One vendor: limits, field table and connection form, and the operations of its API.

    Callables that take a float take a time in epoch seconds.
    """

    name: str
    """Connection type, package name, and prefix of the paths in the simulator."""
    title: str
    audience_noun: str
    base_url: str
    documentation_url: str
    """URL of the vendor's own API documentation."""
    limits: Limits
    fields: tuple[FieldRule, ...]
    max_custom_chars: int | None
    custom_name_pattern: str
    """Regular expression that the name of a new custom field must match."""
    custom_name_hint: str
    resolve_audience: Callable[[ApiEndpoint, str | None], Operation[Audience]]
    create_field: Callable[[Audience, str, FieldType], Operation[None]]
    item_template: Callable[[MappedFields, Audience], JsonTemplate]
    upsert: Callable[[Audience, Batch], Operation[BatchReply]]
    poll: Callable[[Audience, Sequence[str]], Operation[dict[str, JobState]]] = no_poll
    collect: Callable[[Audience, Batch, str], Operation[BatchResult]] = no_collect
    collect_without_changes: Callable[[Audience, Batch, str], Operation[BatchResult]] | None = None
    """Like `collect`, but for a job of another run; set if `collect` makes calls that change something."""
    list_members: Callable[[Audience, OnPage], Operation[None]]
    verification: Verification
    """Reads by which a verification compares the audience with the ledger."""
    directory: AudienceDirectory | None = None
    """Lists and creates audiences; None if an audience is its own name and exists as soon as it is used."""
    check_permissions: Callable[[ApiEndpoint], Operation[str]] | None = None
    """Reads the permissions of the credentials, for the connection test. Raises `PermissionDenied`, which names each
    missing permission. Returns a sentence about the permissions that only a write can check."""
    removal: Removal | None = None
    resubscribe_removed: Callable[[Audience, Batch], Operation[BatchReply]] | None = None
    """Adds people that an upsert rejects (`Reason.DELETED`) because an export removed them; adds no one else."""
    embedded_job_reads: Callable[[Response], Mapping[str, Response]] | None = None
    """Responses to single-job reads that a poll's response already contains, by the URL of each read."""
    find_lost_jobs: Callable[[Audience, Sequence[Batch], float, frozenset[str]], Operation[dict[str, JobId]]] | None = (
        None
    )
    """Returns the jobs of upserts whose response was lost, by batch id. Arguments: the batches, the earliest creation
    time, and the job ids of other batches. The content of a job must prove that it belongs to the batch."""
    list_optouts: Callable[[Audience, float, OnOptOutPage], Operation[None]] | None = None
    """Reads the people who have opted out of the audience or of all mail since a time."""
    audience_link: Callable[[Audience], str]
    """Returns the URL of an audience in the vendor's web application; `links.page_link` leaves out test servers."""
    retry_hint: Callable[[Response, float], RetryableError | None]
    """Returns the error to raise if a response asks to retry later. Arguments: the response and the current time."""
    form: ConnectionForm
    oauth: OAuth | None = None
    import_readds_leavers: bool = False
    """An import adds people again who left the audience themselves, so the run withholds those people."""
    implicit_custom_fields: bool = False
    """The vendor creates a custom field when it is first sent, so the run neither checks nor creates any."""
    max_custom_fields: int | None = None
    """Maximum custom fields of one contact in an import."""
    api_paths: tuple[str, ...] = ()
    """API paths in lower case that are stripped from a connection's base URL, because each call adds its own path."""
    remaining_quota: Callable[[Response, float], RemainingQuota | None] | None = None
    """Returns the remaining quota that a response reports. Arguments: the response and the current time."""
    experiment: Experiment | None = None
    """Tests undocumented behaviour on the account before the first upsert to it."""
    probe: Probe | None = None
    """The questions that `airflow segexport probe` asks about an account."""
    with_facts: Callable[[Vendor, Audience], Vendor] | None = None
    """Returns a copy of the vendor, adapted to the answers of a probe of the account (`Audience.extra`)."""
    why_not_exported: Callable[[Audience], str] | None = None
    """Returns why exports may not send to an account, judged by its facts in `Audience.extra`; empty if they may."""
    why_not_removed: Callable[[Audience], str] | None = None
    """Returns why exports may not remove people of an account, judged by its facts; empty if they may."""
    check_reads: Callable[[Audience], Operation[None]] | None = None
    """Makes the reads that a run needs and that resolving the audience does not cover, so a missing permission stops
    the run before its first batch."""
    extra_calls: Callable[[Audience], Mapping[str, int]] | None = None
    """Returns the calls that each upsert batch makes besides its own, by `Request.rate_scope`; for the estimate."""
    date_format: str = "%Y-%m-%d"
    """`strftime` format of a date field's value."""
    consent_proof: ConsentProof | None = None
    """The vendor's rules for proof of consent; None if its imports accept none."""

    def rules_for(self, neutral: str) -> tuple[FieldRule, ...]:
        """Return the rules of a neutral field; raise `InvalidFieldMapping` if the vendor has no such field."""
        rules = tuple(rule for rule in self.fields if rule.field == neutral)
        if not rules:
            accepted = ", ".join(dict.fromkeys(rule.field for rule in self.fields))
            raise InvalidFieldMapping(
                f"{self.title} has no field for `{neutral}`; it accepts: {accepted}. "
                f"To fix: take `{neutral}` out of `field_mapping`, or send the column in `custom_fields`."
            )
        return rules

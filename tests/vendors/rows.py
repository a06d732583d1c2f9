"""Vendor data for the contract test: one row for each vendor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from airflow_provider_segexport.model import Reason
from airflow_provider_segexport.vendors.base import FieldType

Line = Mapping[str, Any]


class Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class Key(AuthBase):
    def __init__(self, key: str) -> None:
        self.key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Omnisend-API-Key {self.key}"
        return request


@dataclass(frozen=True)
class Quota:
    """A "retry later" response: the fault that causes it, and its wait in seconds (None: jitter)."""

    fault: Line
    waits: float | None


@dataclass(frozen=True)
class Row:
    """Data with which the contract test drives one vendor.

    Attributes:
        auth: returns the authentication from the simulator's description of the account.
        wrong: an authentication that the vendor rejects.
        upsert: method and path of the call with a batch.
        unknown_audiences: a missing audience with a valid id, and an invalid id.
        forbidden: settings under which the login lacks a permission.
        rejected_status: a status to seed, and the reason for which the vendor then rejects the person; None if it
            rejects no person by status.
        vendor_invalid_email: an address that the provider accepts and the vendor rejects.
        custom: a custom field that the account has, and one that it lacks.
        custom_type: the type of the one that the account has.
        number_field: a custom field of numbers that the account has; empty if the vendor has no types.
        quota: every "retry later" response to an upsert.
        relax_limits: settings that lift the rate limits for tests of other things.
        slots: settings that leave one job slot, and the response without a free slot.
        states: job states for running, done and failed, and an undocumented one.
        removal: method and path of the call that removes people.
        removal_states: as `states`, for removal jobs.
        kept_on_removal: a status to seed, and the reason for which the provider then removes no such person; None if
            every member can be removed.
        item: JSON of a contact with an address alone; `{0}` is the address, `{1}` the audience.
        sample_audience: id of the audience in the wire samples.
        api_path: path of the API below the base URL.
        opted_out: a status to seed for a person who has unsubscribed, in lower case.
        gone: a status to seed for a person that another program has removed from the audience.
        gone_returns: the next upsert adds that person again.
        gone_account_wide: that status belongs to the account, and not to one audience.
        checks_leavers: a removal reads each person, so that the run sees who has opted out.
        job_id: the member of the upsert's response with the job's id.
        job_path: path of the calls that read jobs.
        field_path: path that deletes a custom field, with `{audience}`, `{name}` and `{key}`; empty where the
            simulator has none.
        account_id: returns the id of the account, under which what is learnt about it is recorded, from the simulator's
            description; needed by a vendor with an experiment.
        responds_with_links: responses to a first export contain URLs, of a next page or of a job.
    """

    auth: Callable[[Mapping[str, Any]], AuthBase]
    wrong: AuthBase
    upsert: tuple[str, str]
    unknown_audiences: tuple[str, str]
    forbidden: Line
    rejected_status: tuple[str, Reason] | None
    vendor_invalid_email: str | None
    custom: tuple[str, str]
    quota: Sequence[Quota]
    item: str
    sample_audience: str
    api_path: str
    custom_type: FieldType = "text"
    number_field: str = ""
    relax_limits: Line = field(default_factory=dict)
    slots: tuple[Line, object] | None = None
    states: tuple[str, str, Sequence[str], str] = ("", "", (), "")
    removal: tuple[str, str] | None = None
    removal_states: tuple[str, str, Sequence[str], str] = ("", "", (), "")
    kept_on_removal: tuple[str, Reason] | None = None
    opted_out: str = "unsubscribed"
    gone: str = "deleted"
    gone_returns: bool = True
    gone_account_wide: bool = False
    checks_leavers: bool = True
    job_id: str = ""
    job_path: str = ""
    field_path: str = ""
    account_id: Callable[[Mapping[str, Any]], str] = lambda described: ""
    responds_with_links: bool = False


NOW = 1_767_225_600  # the simulator's manual clock starts here


def campaign_monitor(described: Mapping[str, Any]) -> AuthBase:
    return Bearer(described["credentials"]["oauth"]["access_token"])


def dotdigital(described: Mapping[str, Any]) -> AuthBase:
    return HTTPBasicAuth(described["credentials"]["username"], described["credentials"]["password"])


def omnisend(described: Mapping[str, Any]) -> AuthBase:
    return Key(described["credentials"]["api_key"])


def constant_contact(described: Mapping[str, Any]) -> AuthBase:
    return Bearer(described["credentials"]["access_token"])


FULL = {"errorCode": "contacts:tooManyActiveImports", "description": "Too many imports"}
QUEUED = [{"error_key": "contacts.api", "error_message": "There are already 1000 queued activities"}]

ROWS: dict[str, Row] = {
    "campaign_monitor": Row(
        auth=campaign_monitor,
        number_field="Orders",
        wrong=HTTPBasicAuth("s3cret-key", "x"),
        upsert=("POST", "/import.json"),
        unknown_audiences=("0" * 32, "c256a8a81931cd56"),
        forbidden={"scopes": ["ViewSubscribersInReports"]},
        rejected_status=("unsubscribed", Reason.UNSUBSCRIBED),
        vendor_invalid_email=None,
        custom=("Orders", "Favourite Shop"),
        item='{{"EmailAddress":"{0}","ConsentToTrack":"Unchanged"}}',
        sample_audience="2fe4c8f0373ce320e2200596d7ef168f",
        api_path="/api/v3.3",
        gone_returns=False,
        field_path="/api/v3.3/lists/{audience}/customfields/%5B{key}%5D.json",
        quota=(
            Quota({"status": 429, "headers": {"X-RateLimit-Reset": "17"}}, 17.0),
            Quota({"status": 429, "body": {"Code": 429, "Message": "Rate limit exceeded"}}, None),
            Quota({"status": 503, "headers": {"Retry-After": "3"}}, 3.0),
        ),
        removal=("DELETE", r"/subscribers/\w+\.json"),
        kept_on_removal=("unsubscribed", Reason.UNSUBSCRIBED),
    ),
    "constant_contact": Row(
        auth=constant_contact,
        number_field="Orders",
        responds_with_links=True,
        wrong=Bearer("s3cret-token"),
        upsert=("POST", "/contacts_json_import"),
        unknown_audiences=("00000000-0000-4000-8000-000000000000", "Customers"),
        forbidden={"privileges": ["contacts:read"]},
        rejected_status=("unsubscribed", Reason.UNSUBSCRIBED),
        vendor_invalid_email="x" * 60 + "@" + "y" * 40 + ".example.com",
        custom=("Orders", "Favourite Shop"),
        item='{{"email":"{0}"}}',
        sample_audience="06a3d42e-a55c-11e7-aa2e-fa163e6b01c1",
        api_path="/v3",
        gone="left_list",
        gone_returns=False,
        job_id="activity_id",
        job_path="/activities",
        quota=(
            Quota({"status": 429, "body": {"error_key": "throttled", "error_message": "Too Many Requests"}}, 1.0),
            Quota({"status": 503, "headers": {"Retry-After": "3"}}, 3.0),
        ),
        relax_limits={"calls_per_second": None},
        slots=({"max_queued_activities": 1}, QUEUED),
        states=("processing", "completed", ("failed", "cancelled", "timed_out"), "paused"),
        removal=("POST", "/remove_list_memberships"),
        removal_states=("processing", "completed", ("failed", "cancelled", "timed_out"), "paused"),
    ),
    "dotdigital": Row(
        auth=dotdigital,
        number_field="ORDERS",
        responds_with_links=True,
        wrong=HTTPBasicAuth("apiuser@apiconnector.com", "s3cret"),
        upsert=("PUT", "/contacts/v3/import"),
        unknown_audiences=("1", "Customers"),
        forbidden={"wrong_region": True},
        rejected_status=("globallySuppressed", Reason.SUPPRESSED),
        vendor_invalid_email=None,
        custom=("ORDERS", "FAVOURITE_SHOP"),
        custom_type="number",
        item='{{"matchIdentifier":"email","identifiers":{{"email":"{0}"}},"lists":[{1}]}}',
        sample_audience="345579",
        api_path="",
        gone_account_wide=True,
        job_id="importId",
        job_path="/contacts/v3/import/",
        field_path="/v2/data-fields/{name}",
        quota=(
            Quota({"status": 429, "headers": {"X-RateLimit-Reset": str(NOW + 17)}, "body": {}}, 17.0),
            Quota({"status": 503, "headers": {"Retry-After": "3"}}, 3.0),
        ),
        slots=({"max_active_imports": 1}, FULL),
        states=("NotFinished", "Finished", ("Failed",), "Paused"),
        removal=("POST", "/contacts/delete"),
        removal_states=("Started", "Completed", ("Failed",), "Paused"),
    ),
    "omnisend": Row(
        auth=omnisend,
        account_id=lambda described: str(described["brand"]["id"]),
        wrong=Key("s3cret-key"),
        upsert=("POST", "/batches"),
        unknown_audiences=("gold/vip", "x" * 129),
        forbidden={"permissions": ["brands.read"]},
        rejected_status=None,
        vendor_invalid_email=None,
        custom=("orders", "favouriteShop"),
        item='{{"identifiers":[{{"type":"email","id":"{0}","sendWelcomeMessage":false}}],"tags":["{1}"]}}',
        sample_audience="Customers",
        api_path="/api",
        checks_leavers=False,
        job_id="batchID",
        job_path="/batches",
        quota=(
            Quota({"status": 429, "body": {"title": "Too many requests", "retryAfter": 17}}, 17.0),
            Quota({"status": 429, "body": "Slow down"}, 12.0),
            Quota({"status": 503, "headers": {"Retry-After": "3"}}, 3.0),
        ),
        relax_limits={"calls_per_minute": None},
        states=("inProgress", "finished", (), "paused"),
        removal=("DELETE", "/contacts/tags"),
    ),
}


def row(vendor: str) -> Row:
    """Return the vendor's row. A vendor without a row is an error, because it would not be tested."""
    if vendor not in ROWS:
        raise LookupError(f"{vendor} has no row in tests/vendors/rows.py: add one, as docs/adding-a-vendor.md says.")
    return ROWS[vendor]

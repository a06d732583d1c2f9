"""dotdigital, lists by API v2 and contacts by v3: `batch -> import job -> report`.

An audience is an address book. Facts from developer.dotdigital.com and the published specs, read 2026-08.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NoReturn
from urllib.parse import urlsplit

from airflow_provider_segexport.contract import Access, FieldRule, FieldType, Limits, Matched, Vendor
from airflow_provider_segexport.errors import (
    AudienceUnknown,
    BadConnection,
    BatchRefused,
    CredentialsRefused,
    PermissionMissing,
    QuotaSpent,
    ReplyNotUnderstood,
    SlotsFull,
    TryAgain,
    without_addresses,
)
from airflow_provider_segexport.model import (
    Batch,
    JobState,
    Operation,
    Reason,
    Refusal,
    Reply,
    Response,
    Settled,
    Target,
    Ticket,
    VendorField,
)
from airflow_provider_segexport.shape import Array, Column, Const, Node, Object
from airflow_provider_segexport.vendors.replies import (
    BUSY,
    busy_or_down,
    get,
    index_by_email,
    number,
    send_items,
    send_json,
)

API = "https://r1-api.dotdigital.com"

# Where the vendor's own Magento module lets `ApiEndpoint` lead, so that credentials reach no foreign host
# (dotmailer-magento2-extension, Model/Apiconnector/Test.php).
ENDPOINT = re.compile(r"https://((r[0-9]+-)?api[^/]*\.(dotmailer|dotdigital)\.com|(r[0-9]+\.)?apiconnector\.com)/?")

# The flat scheme caps calls in a rolling hour and tells no time: look again in five minutes.
FLAT_SCHEME_WAIT_S = 300

STATES = {
    "notfinished": JobState.RUNNING,
    "finished": JobState.FINISHED,
    "rejectedbywatchdog": JobState.FAILED,
    "failed": JobState.FAILED,
    "exceedsallowedcontactlimit": JobState.FAILED,
}

TYPES: dict[str, FieldType] = {"String": "text", "Numeric": "number", "Boolean": "boolean", "Date": "date"}

# The documented table and the spec's examples name the codes differently: compared in lower case, an open set.
REASONS = {
    "invalidemail": Reason.BAD_EMAIL,
    "invaliddomain": Reason.BAD_EMAIL,
    "globallysuppressed": Reason.SUPPRESSED,
    "suppressedbydomain": Reason.SUPPRESSED,
    "blocker": Reason.SUPPRESSED,
    "duplicate": Reason.REFUSED_BY_VENDOR,
    "duplicateidentifier": Reason.REFUSED_BY_VENDOR,
    "apischemaviolation": Reason.INVALID_VALUE,
    "invalidphonenumber": Reason.INVALID_VALUE,
}


def code_and_words(response: Response) -> tuple[str, str]:
    """v3 says `errorCode` and `description`; v2 hides `ERROR_X` inside the text of `message`."""
    body = response.mapping()
    if "errorCode" in body:
        return str(body["errorCode"]), without_addresses(str(body.get("description", "")))
    words = str(body.get("message", ""))
    code = re.search(r"ERROR_[A-Z_]+", words)
    return code[0] if code else "", without_addresses(words)


def refuse(response: Response) -> NoReturn:
    """Raise what an unexpected reply means."""
    if response.status == 401:  # noqa: PLR2004
        raise CredentialsRefused(
            "dotdigital answered 401: user name or password of the API user are wrong, or it is disabled. "
            "Check them in the Airflow connection (Settings > Access > API users at dotdigital)."
        )
    if response.status == 403:  # noqa: PLR2004
        raise PermissionMissing(
            f"dotdigital answered 403 from {response.url}: the account lives in another region, or lacks the feature."
        )
    code, words = code_and_words(response)
    said = f"dotdigital answered {response.status} {code}: {words}"
    if code == "ERROR_ADDRESSBOOK_NOT_FOUND":
        raise AudienceUnknown(f"{said}. The account has no address book of that id; take it from the book's address.")
    if code == "ERROR_ADDRESSBOOK_NOTWRITABLE":
        raise AudienceUnknown(f"{said}. `Test` and `All Contacts` cannot be written; choose another address book.")
    raise ReplyNotUnderstood(f"{said}, to {response.url}.")


def read(response: Response, *expected: int) -> Any:
    """The JSON of an expected reply; anything else raises what it means."""
    if response.status not in (expected or (200,)):
        refuse(response)
    return response.json()


def check(access: Access, audience: str | None) -> Operation[Target]:
    """Prove the API user, find the account's region, then the address book and the data fields."""
    info = read((yield get(f"{access.api}/v2/account-info")))
    told = {one["name"]: str(one["value"]) for one in info["properties"]}
    api = region(access, told.get("ApiEndpoint", ""))
    account, name = str(info["id"]), told.get("Name", "")
    if audience is None:
        return Target(api=api, account=account, account_name=name)
    if not re.fullmatch(r"[0-9]{1,10}", audience):
        raise AudienceUnknown("A dotdigital address book id is a number; it stands in the address of the book's page.")
    book = read((yield get(f"{api}/v2/address-books/{audience}")))
    fields = read((yield get(f"{api}/v2/data-fields")))
    return Target(
        api=api,
        account=account,
        account_name=name,
        audience=str(book["id"]),
        audience_name=book["name"],
        members=book.get("contacts"),
        fields={str(one["name"]).lower(): VendorField(str(one["name"]), TYPES[one["type"]]) for one in fields},
    )


def region(access: Access, endpoint: str) -> str:
    """The base URL of the account's region, if it is one that credentials may be sent to."""
    told = endpoint.rstrip("/")
    same_host = urlsplit(told)[:2] == urlsplit(access.api)[:2]
    if ENDPOINT.fullmatch(told) or (same_host and not access.api_is_default):
        return told
    raise BadConnection(
        "dotdigital told an API endpoint that is no address of dotdigital's; nothing is sent there. "
        "Leave the base URL of the connection empty, or check who answers at it."
    )


def create_field(target: Target, name: str, kind: FieldType) -> Operation[None]:
    """Make a data field; one that is there by now is fine."""
    theirs = next(name for name, ours in TYPES.items() if ours == kind)
    response = yield send_json(
        "POST", f"{target.api}/v2/data-fields", {"name": name, "type": theirs, "visibility": "Private"}
    )
    if response.status in {200, 201} or code_and_words(response)[0] == "ERROR_NON_UNIQUE_DATAFIELD":
        return
    refuse(response)


def item(matched: Matched, target: Target) -> Object:
    """One contact. No `channelProperties.email.status`: absent means unchanged for those who are there."""
    columns = [(rule.key, rule.field) for rule in RULES if rule.field in matched.fields and rule.field != "email"]
    columns += [(custom.name, custom.column) for custom in matched.custom]
    data: dict[str, Node] = {}
    for name, column in columns:
        found = target.fields[name.lower()]
        match found.type:
            case "number":
                data[found.key] = Column(column, "number")
            case "boolean":
                data[found.key] = Column(column, "boolean")
            case _:
                data[found.key] = Column(column)
    return Object(
        {
            "matchIdentifier": Const("email"),
            "identifiers": Object({"email": Column("email")}),
            "dataFields": Object(data),
            "lists": Array((Const(int(target.audience)),)),
        }
    )


def upsert(target: Target, batch: Batch) -> Operation[Reply]:
    """Hand in an import job."""
    url = f"{target.api}/contacts/v3/import"
    response = yield send_items("PUT", url, '{"mergeOption":"overwrite","contacts":[', batch.items, "]}")
    if response.status in {200, 201, 202}:
        return Ticket(str(response.mapping()["importId"]))
    if response.status == 400:  # noqa: PLR2004
        raise BatchRefused(*code_and_words(response))
    refuse(response)


def report(target: Target, ticket: str) -> Operation[dict[str, Any]]:
    """The import's report, which holds every contact of the job."""
    response = yield get(f"{target.api}/contacts/v3/import/{ticket}")
    if response.status == 404:  # noqa: PLR2004 - contacts:importNotFound: how long reports are kept is not published
        return {"importId": ticket, "status": "Failed"}
    found: dict[str, Any] = read(response)
    return found


def poll(target: Target, tickets: Sequence[str]) -> Operation[dict[str, JobState]]:
    """One call a job: v3 has no list of imports."""
    states = {}
    for ticket in tickets:
        status = str((yield from report(target, ticket))["status"])
        if status.lower() not in STATES:
            raise ReplyNotUnderstood(f"dotdigital's import {ticket} has the state {status!r}, which is not documented.")
        states[ticket] = STATES[status.lower()]
    return states


def collect(target: Target, batch: Batch, ticket: str) -> Operation[Settled]:
    """Read a finished job's report into verdicts by row."""
    found = yield from report(target, ticket)
    match str(found["status"]).lower():
        case "finished":
            return verdicts(found, batch)
        case "failed":
            return Settled(again=tuple(range(len(batch))))
        case "exceedsallowedcontactlimit":
            stop = (
                "The account's contact limit is reached at dotdigital: make room or raise the contract, then run again."
            )
            return whole(batch, Reason.CONTACT_LIMIT, str(found["status"]), stop)
        case _:
            stop = "dotdigital's data watchdog refused an import as a whole. Ask dotdigital's support before running again."
            return whole(batch, Reason.JOB_FAILED, str(found["status"]), stop)


def whole(batch: Batch, reason: Reason, code: str, stop: str) -> Settled:
    """Every row of the batch refused for one reason, and a word on why to stop."""
    return Settled(refused=tuple(Refusal(i, reason, code, stop) for i in range(len(batch))), stop=stop)


def verdicts(found: dict[str, Any], batch: Batch) -> Settled:
    """`created` and `updated` bring contact ids; `failures` name rows.

    A contact may be updated and stand in `failures` all the same, because something attached to it failed: it counts
    as delivered. One that stands nowhere has no verdict, unless the report leaves the lists out altogether.
    """
    index = index_by_email(batch)
    taken: dict[int, str] = {}
    for one in [*(found.get("created") or []), *(found.get("updated") or [])]:
        at = index.get(str((one.get("identifiers") or {}).get("email", "")).lower())
        if at is not None:
            taken[at] = str(one.get("contactId", ""))
    refused: dict[int, Refusal] = {}
    for one in found.get("failures") or []:
        at = index.get(str((one.get("identifiers") or {}).get("email", "")).strip().lower())
        if at is None or at in taken:
            continue
        why = (one.get("failures") or [{}])[0]
        code = str(why.get("failureCode", ""))
        reason = REASONS.get(code.lower(), Reason.REFUSED_BY_VENDOR)
        refused[at] = Refusal(at, reason, code, str(why.get("description", "")))
    if found.get("created") is not None or found.get("updated") is not None:
        for at in range(len(batch)):
            if at not in taken and at not in refused:
                refused[at] = Refusal(at, Reason.NO_VERDICT, "", "dotdigital's report does not mention this contact.")
    return Settled(refused=tuple(refused.values()), contact_ids={at: told for at, told in taken.items() if told})


def refusal(response: Response, now: float) -> TryAgain | None:
    """Three ways to say "later": two kinds of 429, and a 400 in the flat scheme.

    `X-RateLimit-Reset` is a UTC epoch here (a delay in seconds at Campaign Monitor).
    """
    if response.status == BUSY and b"tooManyActiveImports" in response.body:
        return SlotsFull("dotdigital runs 25 imports of this account already.")
    if response.status == 400 and b"ERROR_APIUSAGE_EXCEEDED" in response.body:  # noqa: PLR2004
        return QuotaSpent("dotdigital's hourly cap of calls is reached (flat scheme).", after=FLAT_SCHEME_WAIT_S)
    reset = number(response.headers, "x-ratelimit-reset")
    return busy_or_down(response, None if reset is None else max(1.0, reset - now))


def audience_link(target: Target) -> str:
    """The address book's page, in the region's web application."""
    region_name = re.match(r"https://(r[0-9]+)-", target.api)
    return (
        f"https://{region_name[1] if region_name else 'r1'}-app.dotdigital.com/contacts/addressbooks/{target.audience}"
    )


RULES = (
    FieldRule("email", "email"),
    FieldRule("first_name", "FIRSTNAME", custom=True),
    FieldRule("last_name", "LASTNAME", custom=True),
    FieldRule("full_name", "FULLNAME", custom=True),
    FieldRule("gender", "GENDER", custom=True),
    FieldRule("postcode", "POSTCODE", custom=True),
    FieldRule("address", "ADDRESS", custom=True),
    FieldRule("city", "CITY", custom=True),
    FieldRule("state", "STATE", custom=True),
    FieldRule("country", "COUNTRY", custom=True),
    FieldRule("phone", "PHONE", custom=True),
    FieldRule("birthdate", "BIRTHDATE", custom=True),
)

VENDOR = Vendor(
    name="dotdigital",
    title="dotdigital",
    audience_word="address book",
    api=API,
    # 50 MB of JSON and 25 active imports an account, shared with every other integration: stay below both. A report
    # lists every contact of its job, so 5,000 keeps a poll near 1 MB. 121 s is the vendor's own advice for a timeout.
    limits=Limits(batch_rows=5000, batch_bytes=45_000_000, connections=4, jobs=20, timeout_s=121),
    fields=RULES,
    # An old help article gives 255 characters for a text field (support.dotmailer.com 212211908).
    max_custom_chars=255,
    custom_name=r"[A-Za-z0-9_-]{1,20}",
    custom_name_hint="1 to 20 of letters, digits, _ and -",
    check=check,
    create_field=create_field,
    item=item,
    upsert=upsert,
    poll=poll,
    collect=collect,
    audience_link=audience_link,
    refusal=refusal,
)

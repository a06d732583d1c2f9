"""Campaign Monitor, API v3.3: `batch -> verdict`, at once.

An audience is a list. Facts from campaignmonitor.com/api and the official clients, read 2026-08.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NoReturn

from airflow_provider_segexport.contract import Access, FieldRule, FieldType, Limits, Matched, Vendor
from airflow_provider_segexport.errors import (
    AudienceUnknown,
    BadConnection,
    BatchRefused,
    CredentialsRefused,
    PermissionMissing,
    ReplyNotUnderstood,
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
    VendorField,
)
from airflow_provider_segexport.shape import Array, Column, Const, Joined, Node, Object
from airflow_provider_segexport.vendors.replies import (
    busy_or_down,
    get,
    index_by_email,
    number,
    send_items,
    send_json,
)

API = "https://api.createsend.com"
VERSION = "/api/v3.3"
LIST_ID = re.compile(r"[0-9a-f]{32}")

# `Resubscribe` stays false: true would bring back people who unsubscribed. Both autoresponder flags are false by
# default at the vendor; they are said so that a change of its default sets off no mail.
TAIL = (
    '],"Resubscribe":false,"QueueSubscriptionBasedAutoresponders":false,"RestartSubscriptionBasedAutoresponders":false}'
)

PARTIAL_SUCCESS = 210
WHOLE_BATCH = {209, 212, 400}  # too many rows, none, or one malformed item that fails all of them

TYPES: dict[str, FieldType] = {"Number": "number", "Date": "date"}

REASONS = {
    1: Reason.BAD_EMAIL,
    204: Reason.SUPPRESSED,
    205: Reason.DELETED,
    206: Reason.UNSUBSCRIBED,
    207: Reason.BOUNCED,
    208: Reason.UNCONFIRMED,
    220: Reason.INVALID_VALUE,
    221: Reason.BAD_EMAIL,
}


def code_and_words(response: Response) -> tuple[int, str]:
    """The vendor's error body is `{"Code": int, "Message": text}` everywhere."""
    body = response.mapping()
    return int(body.get("Code", 0)), without_addresses(str(body.get("Message", "")))


def refuse(response: Response) -> NoReturn:
    """Raise what an unexpected reply means. A 401 is told apart by its code: it also answers for a wrong list id."""
    code, words = code_and_words(response)
    said = f"Campaign Monitor answered {response.status}, code {code}: {words}"
    match code:
        case 101:
            raise AudienceUnknown(f"{said}. This account has no list of that id; take it from the list's API settings.")
        case 102:
            raise BadConnection(f"{said}. The client id is not one of this account.")
        case 60 | 403:
            raise PermissionMissing(
                f"{said}. The sign-in needs the rights to import subscribers and manage lists "
                "(scopes ImportSubscribers, ManageLists)."
            )
        case 100 | 120 | 121 | 122:
            raise CredentialsRefused(f"{said}. Renew the API key or the sign-in in the Airflow connection.")
        case _ if response.status in {401, 403}:
            raise CredentialsRefused(f"{said}. Check the API key in the Airflow connection.")
        case _:
            raise ReplyNotUnderstood(f"{said}, to {response.url}.")


def read(response: Response, *expected: int) -> Any:
    """The JSON of an expected reply; anything else raises what it means."""
    if response.status not in (expected or (200,)):
        refuse(response)
    return response.json()


def check(access: Access, audience: str | None) -> Operation[Target]:
    """Prove the credentials, and the list where one is named, and read its custom fields."""
    api = access.api + VERSION
    clients = yield get(f"{api}/clients.json")
    # A client-level key may not list clients: what it may do, the list below proves.
    one_client = clients.status in {401, 403} and code_and_words(clients)[0] in {60, 403}
    names = [] if one_client else [str(client["Name"]) for client in read(clients)]
    account_name = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004
    # List ids are unique over all accounts, and a list does not tell its client.
    target = Target(api=api, account="all", account_name=account_name or "one client")
    if audience is None:
        return target
    if not LIST_ID.fullmatch(audience):
        raise AudienceUnknown(
            "A Campaign Monitor list id has 32 characters, 0-9 and a-f. The shorter id in the browser's address bar "
            "is another one: take the API list id from the list's settings."
        )
    found = read((yield get(f"{api}/lists/{audience}.json")))
    stats = read((yield get(f"{api}/lists/{audience}/stats.json")))
    fields = read((yield get(f"{api}/lists/{audience}/customfields.json")))
    notes = ("The list asks new subscribers to confirm.",) if found.get("ConfirmedOptIn") else ()
    return Target(
        api=api,
        account=target.account,
        account_name=target.account_name,
        audience=found["ListID"],
        audience_name=found["Title"],
        members=stats.get("TotalActiveSubscribers"),
        fields=known_fields(fields),
        notes=notes,
    )


def known_fields(fields: Sequence[dict[str, Any]]) -> dict[str, VendorField]:
    """Custom fields by name and by key. Import takes the key without its brackets (createsend-php#59)."""
    known: dict[str, VendorField] = {}
    for one in fields:
        key = str(one["Key"]).strip("[]")
        for name in (str(one["FieldName"]), key):
            known[name.lower()] = VendorField(key, TYPES.get(one["DataType"], "text"))
    return known


def create_field(target: Target, name: str, kind: FieldType) -> Operation[None]:
    """Make a custom field that subscribers do not see in their preference centre."""
    types: dict[FieldType, str] = {"text": "Text", "number": "Number", "boolean": "Text", "date": "Date"}
    response = yield send_json(
        "POST",
        f"{target.api}/lists/{target.audience}/customfields.json",
        {"FieldName": name, "DataType": types[kind], "Options": [], "VisibleInPreferenceCenter": False},
    )
    read(response, 200, 201)


def item(matched: Matched, target: Target) -> Object:
    """One subscriber. The only name field is `Name`; everything else is a custom field of the list."""
    members: dict[str, Node] = {"EmailAddress": Column("email")}
    names = tuple(f for f in ("full_name", "first_name", "last_name") if f in matched.fields)
    if names:
        members["Name"] = Joined(names)
    pairs = [(rule.key, rule.field) for rule in RULES if rule.custom and rule.field in matched.fields]
    pairs += [(custom.name, custom.column) for custom in matched.custom]
    if pairs:
        members["CustomFields"] = Array(
            tuple(
                Object({"Key": Const(target.fields[name.lower()].key), "Value": Column(column)})
                for name, column in pairs
            )
        )
    # Mandatory for single adds since v3.2 (codes 214, 215); sent always, so that nobody's choice is changed.
    members["ConsentToTrack"] = Const("Unchanged")
    return Object(members)


def upsert(target: Target, batch: Batch) -> Operation[Reply]:
    """Import up to 1000 subscribers. 400 with code 210 is a partial success: the other rows are in."""
    url = f"{target.api}/subscribers/{target.audience}/import.json"
    response = yield send_items("POST", url, '{"Subscribers":[', batch.items, TAIL)
    if response.status in {200, 201}:
        return verdicts(response.mapping(), batch)
    if response.status == 400:  # noqa: PLR2004
        code, words = code_and_words(response)
        if code == PARTIAL_SUCCESS:
            return verdicts(response.mapping().get("ResultData") or {}, batch)
        if code in WHOLE_BATCH:
            raise BatchRefused(str(code), words)
    refuse(response)


def verdicts(result: dict[str, Any], batch: Batch) -> Settled:
    """`FailureDetails` names those who were not taken; all others were."""
    index = index_by_email(batch)
    refused = []
    for failure in result["FailureDetails"]:
        at = index.get(str(failure["EmailAddress"]).strip().lower())
        if at is None:
            raise ReplyNotUnderstood("Campaign Monitor refused a subscriber who is not in the batch it was sent.")
        code = int(failure["Code"])
        refused.append(Refusal(at, REASONS.get(code, Reason.REFUSED_BY_VENDOR), str(code), str(failure["Message"])))
    return Settled(refused=tuple(refused))


def poll(target: Target, tickets: Sequence[str]) -> Operation[dict[str, JobState]]:
    """There are no jobs here."""
    raise ReplyNotUnderstood(f"Campaign Monitor has no jobs, and {len(tickets)} were asked for at {target.api}.")
    yield  # a generator, as every operation is


def collect(target: Target, batch: Batch, ticket: str) -> Operation[Settled]:
    """There are no jobs here."""
    raise ReplyNotUnderstood(f"Campaign Monitor has no job {ticket} for batch {batch.name} at {target.api}.")
    yield  # a generator, as every operation is


def refusal(response: Response, now: float) -> TryAgain | None:  # noqa: ARG001 - the contract's signature
    """`X-RateLimit-Reset` is a delay in seconds here (an epoch time at dotdigital)."""
    return busy_or_down(response, number(response.headers, "x-ratelimit-reset"))


def audience_link(target: Target) -> str:
    """The API's list id is not the web page's: the page with all lists is as near as a link comes."""
    return f"https://app.createsend.com/subscribers/?list={target.audience}"


# A custom field's value holds 250 characters (campaignmonitor.com/api/subscribers).
VALUE = 250

RULES = (
    FieldRule("email", "EmailAddress"),
    FieldRule("full_name", "Name"),
    FieldRule("first_name", "Name", joined=True),
    FieldRule("last_name", "Name", joined=True),
    FieldRule("gender", "Gender", custom=True, max_chars=VALUE),
    FieldRule("postcode", "Postcode", custom=True, max_chars=VALUE),
    FieldRule("address", "Address", custom=True, max_chars=VALUE),
    FieldRule("city", "City", custom=True, max_chars=VALUE),
    FieldRule("state", "State", custom=True, max_chars=VALUE),
    FieldRule("country", "Country", custom=True, max_chars=VALUE),
    FieldRule("phone", "Phone", custom=True, max_chars=VALUE),
    FieldRule("birthdate", "Birthdate", custom=True, max_chars=VALUE),
)

VENDOR = Vendor(
    name="campaign_monitor",
    title="Campaign Monitor",
    audience_word="list",
    api=API,
    # 1000 rows a call (code 209 above). No rate is published for imports; four calls at a time is modest, and the
    # clients wait up to 120 s for an import.
    limits=Limits(batch_rows=1000, batch_bytes=4_000_000, connections=4, jobs=0, timeout_s=120),
    fields=RULES,
    max_custom_chars=VALUE,
    custom_name=r"[^\[\]\"<>]{1,100}",
    custom_name_hint="1 to 100 characters without brackets and quotes",
    check=check,
    create_field=create_field,
    item=item,
    upsert=upsert,
    poll=poll,
    collect=collect,
    audience_link=audience_link,
    refusal=refusal,
    date_format="%Y/%m/%d",  # dd/mm is read either way round
)

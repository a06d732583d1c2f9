"""dotdigital, lists by API v2 and contacts by v3: `batch -> import job -> report`.

An audience is an address book. Facts from developer.dotdigital.com and the published specs, read 2026-08.
"""

from __future__ import annotations

import re

from airflow_provider_segexport.errors import AudienceNotFound, InvalidConnection
from airflow_provider_segexport.model import Audience, Operation
from airflow_provider_segexport.vendor_field import VendorField
from airflow_provider_segexport.vendors.auth import ApiEndpoint, ConnectionForm
from airflow_provider_segexport.vendors.base import FieldRule, FieldType, Limits, MappedFields, Vendor
from airflow_provider_segexport.vendors.dotdigital.imports import collect, poll, upsert
from airflow_provider_segexport.vendors.dotdigital.members import members
from airflow_provider_segexport.vendors.dotdigital.optouts import optouts
from airflow_provider_segexport.vendors.dotdigital.removals import REMOVAL
from airflow_provider_segexport.vendors.dotdigital.responses import allowance, code_and_words, read, refusal, refuse
from airflow_provider_segexport.vendors.endpoints import is_vendors
from airflow_provider_segexport.vendors.item_template import Array, Column, Const, JsonTemplate, Node
from airflow_provider_segexport.vendors.responses import (
    answer_list,
    get,
    inner,
    items,
    needed,
    send_json,
    text,
    whole,
)

API = "https://r1-api.dotdigital.com"

# Where the vendor's own Magento module lets `ApiEndpoint` lead, so that credentials reach no foreign host
# (dotmailer-magento2-extension, Model/Apiconnector/Test.php).
DOMAINS = ("dotdigital.com", "dotmailer.com", "apiconnector.com")

TYPES: dict[str, FieldType] = {"String": "text", "Numeric": "number", "Boolean": "boolean", "Date": "date"}


def check(endpoint: ApiEndpoint, audience: str | None) -> Operation[Audience]:
    """Prove the API user, find the account's region, then the address book and the data fields."""
    info = read((yield get(f"{endpoint.base_url}/v2/account-info")))
    told = {text(one.get("name")): text(one.get("value")) for one in items(inner(info).get("properties"))}
    api = region(endpoint, needed(told, "ApiEndpoint"))
    account, name = needed(info, "id"), told.get("Name", "")
    if audience is None:
        return Audience(base_url=api, account=account, account_name=name)
    if not re.fullmatch(r"[0-9]{1,10}", audience):
        raise AudienceNotFound("A dotdigital address book id is a number; it stands in the address of the book's page.")
    book = read((yield get(f"{api}/v2/address-books/{audience}")))
    fields = answer_list(read((yield get(f"{api}/v2/data-fields"))), "data fields")
    named = {text(one.get("name")): text(one.get("type")) for one in fields if text(one.get("name"))}
    return Audience(
        base_url=api,
        account=account,
        account_name=name,
        audience=str(int(audience)),
        audience_name=text(inner(book).get("name")),
        member_count=whole(inner(book).get("contacts")),
        fields={name.lower(): VendorField(name, TYPES[kind]) for name, kind in named.items() if kind in TYPES},
        # `NotAvailableInThisVersion`, or none
        unsupported={name.lower(): kind for name, kind in named.items() if kind not in TYPES},
    )


def region(access: ApiEndpoint, endpoint: str) -> str:
    """The base URL of the account's region, if it is one that credentials may be sent to."""
    url = endpoint.rstrip("/")
    if "?" not in url and is_vendors(url, DOMAINS, "" if access.is_default_url else access.base_url):
        return url
    raise InvalidConnection(
        "dotdigital's response names an API endpoint that is no address of dotdigital's; nothing is sent there. "
        "To fix: leave the base URL of the connection empty, or check which server answers at it."
    )


def create_field(audience: Audience, name: str, kind: FieldType) -> Operation[None]:
    """Make a data field; one that is there by now is fine."""
    theirs = next(name for name, ours in TYPES.items() if ours == kind)
    response = yield send_json(
        "POST", f"{audience.base_url}/v2/data-fields", {"name": name, "type": theirs, "visibility": "Private"}
    )
    if response.status in {200, 201} or code_and_words(response)[0] == "ERROR_NON_UNIQUE_DATAFIELD":
        return
    refuse(response)


def item(matched: MappedFields, audience: Audience) -> JsonTemplate:
    """One contact. No `channelProperties.email.status`: absent means unchanged for those who are there."""
    columns = [(rule.key, rule.field) for rule in RULES if rule.field in matched.fields and rule.field != "email"]
    columns += [(custom.name, custom.column) for custom in matched.custom]
    data: dict[str, Node] = {}
    for name, column in columns:
        found = audience.fields[name.lower()]
        match found.type:
            case "number":
                data[found.key] = Column(column, "number")
            case "boolean":
                data[found.key] = Column(column, "boolean")
            case _:
                data[found.key] = Column(column)
    return JsonTemplate(
        {
            "matchIdentifier": Const("email"),
            "identifiers": JsonTemplate({"email": Column("email")}),
            "dataFields": JsonTemplate(data),
            "lists": Array((Const(int(audience.audience)),)),
        }
    )


def audience_link(audience: Audience) -> str:
    """The address book's page, in the region's web application."""
    region_match = re.match(r"https://(r[0-9]+)-", audience.base_url)
    region_name = region_match[1] if region_match else "r1"
    return f"https://{region_name}-app.dotdigital.com/contacts/addressbooks/{audience.audience}"


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
    audience_noun="address book",
    base_url=API,
    # 50 MB of JSON and 25 active imports an account, shared with every other integration: stay below both. A report
    # lists every contact of its job, so 5,000 keeps a poll near 1 MB. 121 s is the vendor's own advice for a timeout.
    limits=Limits(
        batch_rows=5000, batch_bytes=45_000_000, max_concurrency=4, max_jobs=20, timeout_s=121, poll_one_per_call=True
    ),
    fields=RULES,
    # An old help article gives 255 characters for a text field (support.dotmailer.com 212211908).
    max_custom_chars=255,
    custom_name_pattern=r"[A-Za-z0-9_-]{1,20}",
    custom_name_hint="1 to 20 of letters, digits, _ and -",
    resolve_audience=check,
    create_field=create_field,
    item_template=item,
    upsert=upsert,
    poll=poll,
    collect=collect,
    list_members=members,
    removal=REMOVAL,
    optouts=optouts,
    # No `lookup`: v3 lists no imports, so that the id of one whose answer was lost is lost with it. Sent again, it
    # updates the same contacts (contacts specification 3.4.3; no idempotency key anywhere, conventions page; 2026-08).
    # No `Target.headroom`: account-info tells credits and calls, and not the contacts that the contract has room for.
    audience_link=audience_link,
    form=ConnectionForm(
        login_label="API user",
        credential_label="Password",
        placeholders={"host": f"empty: {API}, then the account's region", "login": "apiuser-xxxx@apiconnector.com"},
        audience_help="Address book id: the number in the address of the book's page.",
    ),
    retry_hint=refusal,
    api_paths=("/v2", "/contacts/v3", "/v3"),
    remaining_quota=allowance,
)

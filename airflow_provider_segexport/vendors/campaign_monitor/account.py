"""Campaign Monitor: sign-in, list and custom fields."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from airflow_provider_segexport.errors import (
    AudienceNotFound,
    AuthenticationFailed,
    public_code,
)
from airflow_provider_segexport.model import (
    Audience,
    Operation,
    Request,
    Response,
)
from airflow_provider_segexport.vendor_field import VendorField
from airflow_provider_segexport.vendors.auth import ApiEndpoint, OAuthCredentials, OAuthToken
from airflow_provider_segexport.vendors.base import FieldType
from airflow_provider_segexport.vendors.campaign_monitor.responses import (
    EXPIRED_TOKEN,
    client_id_of,
    error_of,
    read_json,
)
from airflow_provider_segexport.vendors.campaign_monitor.subscribers import CANNOT_LIST_CLIENTS
from airflow_provider_segexport.vendors.responses import (
    as_int,
    as_object,
    as_text,
    get,
    required,
    required_list,
    send_json,
    token_lifetime_s,
)

BASE_URL = "https://api.createsend.com"

API_PATH = "/api/v3.3"

LIST_ID = re.compile(r"[0-9a-f]{32}")

FIELD_TYPES: dict[str, FieldType] = {"Number": "number"}

SELECT_SEPARATORS = {"MultiSelectOne": "", "MultiSelectMany": "||"}
"""Select fields, and what separates options in a column; the vendor repeats a field's key for each option."""

EARLIEST_DATE, LATEST_DATE = "1900-01-01", "2076-06-06"
"""Dates outside are ignored (campaignmonitor.com/api/subscribers, read 2026-08)."""


def resolve_audience(endpoint: ApiEndpoint, audience: str | None) -> Operation[Audience]:
    """Prove the credentials, and the list where one is named, and read its custom fields."""
    api = endpoint.base_url + API_PATH
    clients = yield get(f"{api}/clients.json")
    # A client-level key may not list clients: what it may do, the list below proves.
    one_client = clients.status in {401, 403} and error_of(clients)[0] in CANNOT_LIST_CLIENTS
    told = [] if one_client else required_list(read_json(clients), "clients")
    names = [name for client in told if (name := as_text(client.get("Name")))]
    account_name = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004
    # List ids are unique over all accounts, and a list does not tell its client: it is known where there is one alone.
    only = client_id_of(told[0]) if len(told) == 1 else ""
    target = Audience(
        base_url=api,
        account="all",
        account_name=account_name or "one client",
        extra={"client_id": endpoint.options.get("client_id", "").strip() or only},
    )
    if audience is None:
        return target
    if not LIST_ID.fullmatch(audience):
        raise AudienceNotFound(
            "A Campaign Monitor list id has 32 characters, 0-9 and a-f. The shorter id in the browser's address bar "
            "is another one: take the API list id from the list's settings."
        )
    found = as_object(read_json((yield get(f"{api}/lists/{audience}.json"))))
    stats = as_object(read_json((yield get(f"{api}/lists/{audience}/stats.json"))))
    fields = required_list(read_json((yield get(f"{api}/lists/{audience}/customfields.json"))), "custom fields")
    notes = ("The list asks new subscribers to confirm.",) if found.get("ConfirmedOptIn") else ()
    return Audience(
        base_url=api,
        account=target.account,
        account_name=target.account_name,
        audience=audience,
        audience_name=as_text(found.get("Title")),
        member_count=as_int(stats.get("TotalActiveSubscribers")),
        fields=custom_fields(fields),
        extra=target.extra,
        warnings=notes,
    )


def custom_fields(fields: Sequence[dict[str, Any]]) -> dict[str, VendorField]:
    """Custom fields by name and by key. Import takes the key without its brackets (createsend-php#59)."""
    known: dict[str, VendorField] = {}
    for one in fields:
        field = to_vendor_field(one)
        for name in (as_text(one.get("FieldName")), field.key):
            if name and field.key:
                known[name.lower()] = field
    return known


def to_vendor_field(described: Mapping[str, Any]) -> VendorField:
    """A custom field with what an import keeps of its values: the vendor ignores everything else without a word."""
    key, kind = as_text(described.get("Key")).strip("[]"), as_text(described.get("DataType"))
    if kind in SELECT_SEPARATORS:
        options = described.get("FieldOptions")
        known = tuple(map(as_text, options)) if isinstance(options, list) else ()
        return VendorField(key, options=tuple(filter(None, known)), separator=SELECT_SEPARATORS[kind])
    if kind == "Date":
        return VendorField(key, "date", earliest=EARLIEST_DATE, latest=LATEST_DATE)
    return VendorField(key, FIELD_TYPES.get(kind, "text"))


def create_field(audience: Audience, name: str, kind: FieldType) -> Operation[None]:
    """Make a custom field that subscribers do not see in their preference centre."""
    types: dict[FieldType, str] = {"text": "Text", "number": "Number", "boolean": "Text", "date": "Date"}
    response = yield send_json(
        "POST",
        f"{audience.base_url}/lists/{audience.audience}/customfields.json",
        {"FieldName": name, "DataType": types[kind], "Options": [], "VisibleInPreferenceCenter": False},
    )
    read_json(response, 200, 201)


def refresh(endpoint: ApiEndpoint, sign_in: OAuthCredentials, now: float) -> Operation[OAuthToken]:
    """Renew a sign-in. The vendor takes no client id here, and may answer an error with status 200."""
    form = urlencode({"grant_type": "refresh_token", "refresh_token": sign_in.refresh_token}).encode()
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    response = yield Request(
        "POST", f"{endpoint.base_url}/oauth/token", headers=headers, body=form, authenticated=False
    )
    told = response.mapping()
    if "access_token" not in told or "error" in told:
        why = public_code(told.get("error", response.status))
        raise AuthenticationFailed(
            f"Campaign Monitor does not renew the sign-in: {why}. "
            "Log in again and put the new refresh token into the Airflow connection."
        )
    renewed = as_text(told.get("refresh_token")) or sign_in.refresh_token
    return OAuthToken(required(told, "access_token"), renewed, now + token_lifetime_s(told), now)


def is_expired(response: Response) -> bool:
    """Code 121 is an expired token; 120 and 122 are a bad and a revoked one, which no refresh mends."""
    return error_of(response)[0] == EXPIRED_TOKEN


def audience_link(audience: Audience) -> str:
    """The API's list id is not the web page's: the page with all lists is as near as a link comes."""
    return f"https://app.createsend.com/subscribers/?list={audience.audience}"

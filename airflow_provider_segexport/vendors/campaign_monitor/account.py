"""Campaign Monitor: checks the login, and reads lists and custom fields."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from airflow_provider_segexport.errors import (
    AudienceNotFound,
    AuthenticationFailed,
    InvalidConnection,
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

CONFIRMED_OPT_IN = "confirmed_opt_in"
"""Key of `Audience.extra`: the list asks new subscribers to confirm."""

FIELD_TYPES: dict[str, FieldType] = {"Number": "number"}

SELECT_SEPARATORS = {"MultiSelectOne": "", "MultiSelectMany": "||"}
"""Separator of the options in one column, by type of select field. Each option is sent as a separate pair."""

NAME_EXISTS = 255
"""Error code for a custom field that exists, for example because the response to its creation was lost."""

EARLIEST_DATE, LATEST_DATE = "1900-01-01", "2076-06-06"
"""The vendor ignores dates outside this range (campaignmonitor.com/api/subscribers, read 2026-08)."""


def resolve_audience(endpoint: ApiEndpoint, audience: str | None) -> Operation[Audience]:
    """Check the credentials and the list, and read the list's custom fields."""
    api = endpoint.base_url + API_PATH
    clients = yield get(f"{api}/clients.json")
    # A key of one client may not list clients. The reads of the list below check its permissions.
    is_client_key = clients.status in {401, 403} and error_of(clients)[0] in CANNOT_LIST_CLIENTS
    entries = [] if is_client_key else required_list(read_json(clients), "clients")
    names = [name for client in entries if (name := as_text(client.get("Name")))]
    account_name = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004
    # A list does not name its client, so the client is known only if the account has exactly one.
    only_client = client_id_of(entries[0]) if len(entries) == 1 else ""
    pinned = endpoint.options.get("client_id", "").strip()
    client_id = pinned or only_client
    account = Audience(
        base_url=api,
        account="all",  # list ids are unique over all accounts
        account_name=account_name or "one client",
        extra={"client_id": client_id} | ({"account_id": client_id} if client_id else {}),
    )
    if audience is None:
        return account
    if not LIST_ID.fullmatch(audience):
        raise AudienceNotFound(
            "A Campaign Monitor list id has 32 characters, 0-9 and a-f. The shorter id in the browser's address bar "
            "is a different id. To fix: copy the API list id from the list's settings."
        )
    if pinned:
        yield from check_client(api, pinned, audience)
    details = as_object(read_json((yield get(f"{api}/lists/{audience}.json"))))
    stats = as_object(read_json((yield get(f"{api}/lists/{audience}/stats.json"))))
    fields = required_list(read_json((yield get(f"{api}/lists/{audience}/customfields.json"))), "custom fields")
    return replace(
        account,
        audience=audience,
        audience_name=as_text(details.get("Title")),
        member_count=as_int(stats.get("TotalActiveSubscribers")),
        fields=custom_fields(fields),
        extra={**account.extra, **({CONFIRMED_OPT_IN: "yes"} if details.get("ConfirmedOptIn") else {})},
        warnings=("The list asks new subscribers to confirm.",) if details.get("ConfirmedOptIn") else (),
    )


def check_client(api: str, client_id: str, audience: str) -> Operation[None]:
    """Check that the connection's client owns the list. Another client's suppression list says nothing about it.

    Args:
        api: base URL of the API, with its path.
        client_id: the connection's client.
        audience: id of the list.
    """
    lists = required_list(read_json((yield get(f"{api}/clients/{client_id}/lists.json"))), "lists")
    if audience not in {as_text(entry.get("ListID")) for entry in lists}:
        raise InvalidConnection(
            f"The client {client_id} of the connection has no list {audience}, so its suppression list is not that of "
            "the list. Nothing was sent. To fix: correct 'Client id' in the connection, or the list id."
        )


def custom_fields(entries: Sequence[dict[str, Any]]) -> dict[str, VendorField]:
    """Return custom fields by name and by key. An import expects the key without its brackets (createsend-php#59).

    The key of one field may be the name of another. The field with the name is then the one that a user means.
    """
    fields = [(as_text(entry.get("FieldName")), to_vendor_field(entry)) for entry in entries]
    by_key = {field.key.lower(): field for _, field in fields if field.key}
    return by_key | {name.lower(): field for name, field in fields if name and field.key}


def to_vendor_field(entry: Mapping[str, Any]) -> VendorField:
    """Return a custom field with the values that an import accepts, because the vendor silently ignores all others."""
    key, data_type = as_text(entry.get("Key")).strip("[]"), as_text(entry.get("DataType"))
    if data_type in SELECT_SEPARATORS:
        field_options = entry.get("FieldOptions")
        options = tuple(map(as_text, field_options)) if isinstance(field_options, list) else ()
        return VendorField(key, options=tuple(filter(None, options)), separator=SELECT_SEPARATORS[data_type])
    if data_type == "Date":
        return VendorField(key, "date", earliest=EARLIEST_DATE, latest=LATEST_DATE)
    return VendorField(key, FIELD_TYPES.get(data_type, "text"))


def create_field(audience: Audience, name: str, kind: FieldType) -> Operation[None]:
    """Create a custom field that is hidden in the subscribers' preference centre. One that exists is not an error.

    Args:
        audience: any audience of the account.
        name: name of the new field.
        kind: type of the new field.
    """
    types: dict[FieldType, str] = {"text": "Text", "number": "Number", "boolean": "Text", "date": "Date"}
    response = yield send_json(
        "POST",
        f"{audience.base_url}/lists/{audience.audience}/customfields.json",
        {"FieldName": name, "DataType": types[kind], "Options": [], "VisibleInPreferenceCenter": False},
    )
    if response.status >= 400 and error_of(response)[0] == NAME_EXISTS:  # noqa: PLR2004 - the body of a success is a text
        return
    read_json(response, 200, 201)


def refresh(endpoint: ApiEndpoint, credentials: OAuthCredentials, now: float) -> Operation[OAuthToken]:
    """Renew the tokens. The request has no client id. The vendor may report an error with status 200.

    Args:
        endpoint: the connection's base URL.
        credentials: the credentials, of which only the refresh token is used.
        now: current time in epoch seconds.
    """
    form = urlencode({"grant_type": "refresh_token", "refresh_token": credentials.refresh_token}).encode()
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    response = yield Request(
        "POST", f"{endpoint.base_url}/oauth/token", headers=headers, body=form, authenticated=False
    )
    token = response.mapping()
    if "access_token" not in token or "error" in token:
        code = public_code(token.get("error", response.status))
        raise AuthenticationFailed(
            f"Campaign Monitor does not renew the access token: {code}. To fix: log in again and put the new refresh "
            "token into the Airflow connection."
        )
    refresh_token = as_text(token.get("refresh_token")) or credentials.refresh_token
    return OAuthToken(required(token, "access_token"), refresh_token, now + token_lifetime_s(token), now)


def is_expired(response: Response) -> bool:
    """Return whether the token has expired. Codes 120 and 122 mean an invalid or revoked token."""
    return error_of(response)[0] == EXPIRED_TOKEN


def audience_link(audience: Audience) -> str:
    """Return the URL of the page with all lists, because the API does not return the id in the URL of a list's page."""
    return f"https://app.createsend.com/subscribers/?list={audience.audience}"

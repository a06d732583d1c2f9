"""Constant Contact: sign-in, list and custom fields."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

from airflow_provider_segexport.errors import (
    AudienceNotFound,
    AuthenticationFailed,
    InvalidConnection,
    PermissionDenied,
    RetryableError,
    UnexpectedResponse,
    public_code,
)
from airflow_provider_segexport.model import Audience, Operation, Request, Response
from airflow_provider_segexport.vendor_field import VendorField
from airflow_provider_segexport.vendors.auth import ApiEndpoint, OAuthCredentials, OAuthToken
from airflow_provider_segexport.vendors.base import FieldType
from airflow_provider_segexport.vendors.constant_contact.responses import read_json
from airflow_provider_segexport.vendors.endpoints import is_vendor_host
from airflow_provider_segexport.vendors.responses import (
    as_int,
    as_object,
    as_objects,
    as_text,
    get,
    required,
    send_json,
    token_lifetime_s,
)

BASE_URL = "https://api.cc.email"
AUTHORIZATION_URL = "https://authz.constantcontact.com"
API_PATH = "/v3"
OAUTH_PATH = "/oauth2/default/v1"
DOMAINS = ("constantcontact.com", "cc.email")
"""Below these are all hosts that the vendor's documentation sends credentials to."""
SCOPES = "contact_data account_read offline_access"
LIST_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
FORM_HEADERS = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}

FIELD_TYPES: dict[str, Literal["number", "boolean", "date", "datetime"]] = {
    "number": "number",
    "currency": "number",
    "boolean": "boolean",
    "date": "date",
    "datetime": "datetime",
}

MAX_DECIMALS = 4  # specification 3.0.178

NEW_FIELD_BODIES: dict[FieldType, dict[str, Any]] = {
    "text": {"type": "string"},
    # Unless it is said, a number is whole or not as the vendor likes, and never below zero.
    "number": {
        "type": "number",
        "metadata": {"integer": False, "decimal_places": MAX_DECIMALS, "allow_negative": True},
    },
    "boolean": {"type": "boolean"},
    "date": {"type": "date", "version": 2},  # 1 is a text
}
"""What a custom field is made of."""


def resolve_audience(endpoint: ApiEndpoint, audience: str | None) -> Operation[Audience]:
    """Prove the sign-in, its user's privilege and the list, and read the custom fields."""
    api = endpoint.base_url + API_PATH
    summary = yield get(f"{api}/account/summary")
    # Needs the scope account_read, which an export does not: without it the account stays unnamed.
    unnamed = summary.status == 403  # noqa: PLR2004
    name = "" if unnamed else as_text(as_object(read_json(summary)).get("organization_name"))
    privileges = as_objects(read_json((yield get(f"{api}/account/user/privileges"))))
    granted = {as_text(one.get("privilege_name")) for one in privileges} - {""}
    if granted and "contacts:write" not in granted:  # a response without names says nothing: the import will
        raise PermissionDenied(
            "The user who signed in at Constant Contact lacks the privilege contacts:write. Sign in with another "
            "user, or have the account's owner grant it."
        )
    # List ids are unique over all accounts.
    if audience is None:
        read_json((yield get(f"{api}/contact_lists", limit="1")))  # the cheapest call that needs the scope contact_data
        return Audience(base_url=api, account="all", account_name=name)
    if not LIST_ID.fullmatch(audience):
        raise AudienceNotFound(
            "A Constant Contact list id looks like 04fe9a97-a579-43c5-bb1a-58ed29bf0a6a; it is in the list's address "
            "in the browser."
        )
    found = as_object(read_json((yield get(f"{api}/contact_lists/{audience}", include_membership_count="active"))))
    list_id, list_name = as_text(found.get("list_id")), as_text(found.get("name"))
    if found.get("deleted_at"):
        raise AudienceNotFound(f"The list {list_name!r} was deleted at Constant Contact. Choose another.")
    fields = yield from custom_fields(api)
    return Audience(
        base_url=api,
        account="all",
        account_name=name,
        audience=list_id if list_id.lower() == audience.lower() else audience.lower(),
        audience_name=list_name,
        member_count=as_int(found.get("membership_count")),
        fields=fields,
    )


def custom_fields(api: str) -> Operation[dict[str, VendorField]]:
    """All custom fields of the account, by label and by name (the label with `_` for blanks)."""
    known: dict[str, VendorField] = {}
    path = f"{api}/contact_custom_fields?limit=100"
    while path:
        found = as_object(read_json((yield get(path))))
        for one in as_objects(found.get("custom_fields")):
            name, label = as_text(one.get("name")), as_text(one.get("label"))
            if name:
                field = VendorField(
                    name,
                    FIELD_TYPES.get(as_text(one.get("type")), "text"),
                    decimals=decimal_places(one),
                    id=as_text(one.get("custom_field_id")),
                )
                known[name.lower()] = known[(label or name).lower()] = field
        path = link_url(api, found, "next")
    return known


def decimal_places(described: Mapping[str, Any]) -> int | None:
    """Decimal places of a number field (specification 3.0.178: `integer`, or 1 to 4 `decimal_places`)."""
    metadata = as_object(described.get("metadata"))
    if as_text(described.get("type")) not in {"number", "currency"}:
        return None
    if metadata.get("integer") is True:
        return 0
    places = metadata.get("decimal_places")
    return places if isinstance(places, int) and 0 <= places <= MAX_DECIMALS else None


def link_url(api: str, found: dict[str, Any], name: str) -> str:
    """The address of a link, which is relative to the host (`/v3/...`). Empty where there is none.

    Raises:
        UnexpectedResponse: the link leads to another server, which the access token must not reach.
    """
    href = as_text(as_object(as_object(as_object(found).get("_links")).get(name)).get("href"))
    if not href:
        return ""
    url = href if "://" in href else api.removesuffix(API_PATH) + href
    if (href.startswith("/") or "://" in href) and is_vendor_host(url, (), api):
        return url
    raise UnexpectedResponse(
        f"Constant Contact's response has a link ({name}) to another server than the API's; nothing is sent there. "
        "To fix: check which server answers at the base URL of the connection."
    )


def create_field(audience: Audience, name: str, kind: FieldType) -> Operation[None]:
    """Make a custom field; 409 says that the label is taken by now."""
    response = yield send_json(
        "POST", f"{audience.base_url}/contact_custom_fields", {"label": name, **NEW_FIELD_BODIES[kind]}
    )
    if response.status != 409:  # noqa: PLR2004
        read_json(response, 200, 201)


def authorization_url(endpoint: ApiEndpoint) -> str:
    """Where tokens come from: the connection's own authorization URL, or the vendor's; a simulator has both in one."""
    url = endpoint.options.get("authorization_url", "").rstrip("/")
    if url:
        if "?" not in url and is_vendor_host(url, DOMAINS, "" if endpoint.is_default_url else endpoint.base_url):
            return url
        raise InvalidConnection(
            "The connection's authorization URL is no https address of Constant Contact's and not on the server of its "
            "base URL: no credential is sent there. To fix: leave 'Authorization URL' empty, or correct it."
        )
    return (AUTHORIZATION_URL if endpoint.is_default_url else endpoint.base_url) + OAUTH_PATH


def refresh(endpoint: ApiEndpoint, sign_in: OAuthCredentials, now: float) -> Operation[OAuthToken]:
    """Turn a refresh token into a new pair. With a rotating key the old one is dead from here on."""
    form = {"grant_type": "refresh_token", "refresh_token": sign_in.refresh_token}
    response = yield token_request(endpoint, sign_in, form)
    return read_token(response, sign_in.refresh_token, now)


def token_request(endpoint: ApiEndpoint, sign_in: OAuthCredentials, form: dict[str, str]) -> Request:
    """A call to the token endpoint: a confidential client signs with its secret, a public one says its id."""
    headers = dict(FORM_HEADERS)
    if sign_in.client_secret:
        pair = base64.b64encode(f"{sign_in.client_id}:{sign_in.client_secret}".encode()).decode()
        headers["authorization"] = f"Basic {pair}"
    else:
        form = {**form, "client_id": sign_in.client_id}
    return Request(
        "POST",
        f"{authorization_url(endpoint)}/token",
        headers=headers,
        body=urlencode(form).encode(),
        authenticated=False,
    )


def read_token(response: Response, old: str, now: float) -> OAuthToken:
    """The new pair. `invalid_grant` is final: only a person can sign in again."""
    told = response.mapping()
    if "access_token" in told and "error" not in told:
        renewed = as_text(told.get("refresh_token")) or old
        return OAuthToken(required(told, "access_token"), renewed, now + token_lifetime_s(told), now)
    error = str(told.get("error", response.status))
    if error == "invalid_grant":
        raise AuthenticationFailed(
            "Constant Contact no longer knows the refresh token: it was used elsewhere (a rotating token works once), "
            "revoked, or unused for 180 days. Log in again: `airflow segexport login <connection id>`."
        )
    if error == "invalid_client":
        raise AuthenticationFailed(
            "Constant Contact does not accept the client id and secret. Compare them with the application's page in "
            "the developer portal."
        )
    raise RetryableError(f"Constant Contact's token endpoint answered {response.status} {public_code(error)}.")


def is_expired(response: Response) -> bool:
    """An access token ends after 24 h; its 401 does not tell an old token from a bad one."""
    return b"unauthorized" in response.body.lower()


def audience_link(audience: Audience) -> str:
    """The list's page."""
    host = urlsplit(audience.base_url).hostname
    base = "https://app.constantcontact.com" if host == urlsplit(BASE_URL).hostname else audience.base_url
    return f"{base}/pages/contacts/ui#contacts/{audience.audience}"

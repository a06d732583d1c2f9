"""Constant Contact: renews tokens, and reads lists and custom fields."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

from airflow_provider_segexport.counted import noun
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
"""Domains of all hosts that receive credentials according to the vendor's documentation."""
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
    # Without metadata, the vendor decides whether numbers are integers, and rejects negative numbers.
    "number": {
        "type": "number",
        "metadata": {"integer": False, "decimal_places": MAX_DECIMALS, "allow_negative": True},
    },
    "boolean": {"type": "boolean"},
    "date": {"type": "date", "version": 2},  # version 1 is a text field
}
"""Request bodies for creating a custom field, without its label."""


def resolve_audience(endpoint: ApiEndpoint, audience: str | None) -> Operation[Audience]:
    """Check the tokens, the user's privileges and the list, and read the custom fields."""
    api = endpoint.base_url + API_PATH
    summary = yield get(f"{api}/account/summary")
    # This read needs the scope account_read, but an export does not. Without the scope, the name stays unknown.
    has_no_name = summary.status == 403  # noqa: PLR2004
    account = {} if has_no_name else as_object(read_json(summary))
    name, account_id = as_text(account.get("organization_name")), as_text(account.get("encoded_account_id"))
    granted = privilege_names(read_json((yield get(f"{api}/account/user/privileges"))))
    if granted and "contacts:write" not in granted:  # if no names are returned, only the import can check the privilege
        raise missing_privileges(["contacts:write"])
    # The account is "all", because list ids are unique over all accounts.
    if audience is None:
        read_json((yield get(f"{api}/contact_lists", limit="1")))  # the cheapest call that needs the scope contact_data
        return Audience(base_url=api, account="all", account_name=name)
    if not LIST_ID.fullmatch(audience):
        raise AudienceNotFound(
            "A Constant Contact list id looks like 04fe9a97-a579-43c5-bb1a-58ed29bf0a6a. To fix: copy it from the "
            "list's address in the browser."
        )
    details = as_object(read_json((yield get(f"{api}/contact_lists/{audience}", include_membership_count="active"))))
    list_id, list_name = as_text(details.get("list_id")), as_text(details.get("name"))
    if details.get("deleted_at"):
        raise AudienceNotFound(f"The list {list_name!r} was deleted at Constant Contact. To fix: choose another list.")
    fields = yield from custom_fields(api)
    return Audience(
        base_url=api,
        account="all",
        account_name=name,
        audience=list_id if list_id.lower() == audience.lower() else audience.lower(),
        audience_name=list_name,
        member_count=as_int(details.get("membership_count")),
        fields=fields,
        extra={"account_id": account_id} if account_id else {},
    )


def privilege_names(body: Any) -> set[str]:
    """Return the privileges of the user who logged in; empty if the response names none."""
    return {as_text(privilege.get("privilege_name")) for privilege in as_objects(body)} - {""}


def missing_privileges(names: Sequence[str]) -> PermissionDenied:
    """Return the error for privileges that the user lacks."""
    return PermissionDenied(
        f"The user who logged in at Constant Contact lacks the {noun(len(names), 'privilege')} "
        f"{', '.join(names)}. Of the account's roles, only Account Owner and Account Manager have contacts:write. To "
        "fix: log in with a user of one of these roles (`airflow segexport login <connection id>`), or have the "
        "account's owner change the user's role."
    )


def custom_fields(api: str) -> Operation[dict[str, VendorField]]:
    """Return all custom fields of the account, by label and by name. The name is the label with `_` for blanks."""
    fields: dict[str, VendorField] = {}
    url = f"{api}/contact_custom_fields?limit=100"
    while url:
        page = as_object(read_json((yield get(url))))
        for entry in as_objects(page.get("custom_fields")):
            name, label = as_text(entry.get("name")), as_text(entry.get("label"))
            if name:
                field = VendorField(
                    name,
                    FIELD_TYPES.get(as_text(entry.get("type")), "text"),
                    decimals=decimal_places(entry),
                    id=as_text(entry.get("custom_field_id")),
                )
                fields[name.lower()] = fields[(label or name).lower()] = field
        url = link_url(api, page, "next")
    return fields


def decimal_places(entry: Mapping[str, Any]) -> int | None:
    """Return the decimal places of a number field (specification 3.0.178: `integer`, or 1 to 4 `decimal_places`)."""
    metadata = as_object(entry.get("metadata"))
    if as_text(entry.get("type")) not in {"number", "currency"}:
        return None
    if metadata.get("integer") is True:
        return 0
    value = metadata.get("decimal_places")
    return value if isinstance(value, int) and 0 <= value <= MAX_DECIMALS else None


def link_url(api: str, body: dict[str, Any], name: str) -> str:
    """Return the URL of a link in a response; empty if there is none. Links are relative to the host (`/v3/...`).

    Args:
        api: base URL of the API, with its path.
        body: the decoded response.
        name: the link's name, for example `next`.

    Raises:
        UnexpectedResponse: the link leads to a different server, which must not receive the access token.
    """
    href = as_text(as_object(as_object(as_object(body).get("_links")).get(name)).get("href"))
    if not href:
        return ""
    url = href if "://" in href else api.removesuffix(API_PATH) + href
    if (href.startswith("/") or "://" in href) and is_vendor_host(url, (), api):
        return url
    raise UnexpectedResponse(
        f"Constant Contact's response has a link ({name}) to a server other than the API; nothing is sent there. "
        "To fix: check which server answers at the base URL of the connection."
    )


def create_field(audience: Audience, name: str, kind: FieldType) -> Operation[None]:
    """Create a custom field. A field that already exists (409) is not an error.

    Args:
        audience: any audience of the account.
        name: name of the new field.
        kind: type of the new field.
    """
    body = {"label": name, **NEW_FIELD_BODIES[kind]}
    response = yield send_json("POST", f"{audience.base_url}/contact_custom_fields", body)
    if response.status != 409:  # noqa: PLR2004
        read_json(response, 200, 201)


def authorization_url(endpoint: ApiEndpoint) -> str:
    """Return the token endpoint's base URL: the connection's option, or else derived from the base URL."""
    url = endpoint.options.get("authorize_url", "").rstrip("/")
    if url:
        if "?" not in url and is_vendor_host(url, DOMAINS, "" if endpoint.is_default_url else endpoint.base_url):
            return url
        raise InvalidConnection(
            "The connection's authorization URL is neither an https URL of Constant Contact nor on the server of the "
            "base URL, so no credentials are sent there. To fix: leave 'Authorization URL' empty, or correct it."
        )
    return (AUTHORIZATION_URL if endpoint.is_default_url else endpoint.base_url) + OAUTH_PATH


def refresh(endpoint: ApiEndpoint, credentials: OAuthCredentials, now: float) -> Operation[OAuthToken]:
    """Renew the tokens. If refresh tokens rotate, the old one is invalid after this call.

    Args:
        endpoint: base URL and options of the connection.
        credentials: refresh token, and id and secret of the client.
        now: current time in epoch seconds.
    """
    form = {"grant_type": "refresh_token", "refresh_token": credentials.refresh_token}
    response = yield token_request(endpoint, credentials, form)
    return read_token(response, credentials.refresh_token, now)


def token_request(endpoint: ApiEndpoint, credentials: OAuthCredentials, form: dict[str, str]) -> Request:
    """Return a request to the token endpoint. A confidential client sends id and secret, a public client only its id.

    Args:
        endpoint: base URL and options of the connection.
        credentials: the client's id and secret.
        form: form fields of the body.
    """
    headers = dict(FORM_HEADERS)
    if credentials.client_secret:
        pair = base64.b64encode(f"{credentials.client_id}:{credentials.client_secret}".encode()).decode()
        headers["authorization"] = f"Basic {pair}"
    else:
        form = {**form, "client_id": credentials.client_id}
    url = f"{authorization_url(endpoint)}/token"
    return Request("POST", url, headers=headers, body=urlencode(form).encode(), authenticated=False)


def read_token(response: Response, old_refresh_token: str, now: float) -> OAuthToken:
    """Return the new tokens. After `invalid_grant`, a person must log in again.

    Args:
        response: response of the token endpoint.
        old_refresh_token: returned if the response contains no new refresh token.
        now: current time in epoch seconds.
    """
    token = response.mapping()
    if "access_token" in token and "error" not in token:
        refresh_token = as_text(token.get("refresh_token")) or old_refresh_token
        return OAuthToken(required(token, "access_token"), refresh_token, now + token_lifetime_s(token), now)
    error = str(token.get("error", response.status))
    if error == "invalid_grant":
        raise AuthenticationFailed(
            "Constant Contact rejects the refresh token: it was used elsewhere (a rotating token works once), revoked, "
            "or unused for 180 days. To fix: log in again by `airflow segexport login <connection id>`."
        )
    if error == "invalid_client":
        raise AuthenticationFailed(
            "Constant Contact does not accept the client id and secret. To fix: compare them with the "
            "application's page in the developer portal."
        )
    raise RetryableError(f"Constant Contact's token endpoint answered {response.status} {public_code(error)}.")


def is_expired(response: Response) -> bool:
    """Return whether the token may have expired (after 24 h). An expired and an invalid token get the same response."""
    return b"unauthorized" in response.body.lower()


def audience_link(audience: Audience) -> str:
    """Return the URL of the list's page."""
    host = urlsplit(audience.base_url).hostname
    base = "https://app.constantcontact.com" if host == urlsplit(BASE_URL).hostname else audience.base_url
    return f"{base}/pages/contacts/ui#contacts/{audience.audience}"

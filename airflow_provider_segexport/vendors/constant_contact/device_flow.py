"""Constant Contact: first login with the OAuth device flow, in which a person approves the login in any browser."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from airflow_provider_segexport.errors import AuthenticationFailed, public_code
from airflow_provider_segexport.model import Operation, Request, Sleep
from airflow_provider_segexport.vendors.auth import ApiEndpoint, DevicePrompt, OAuthCredentials, OAuthToken
from airflow_provider_segexport.vendors.constant_contact.account import (
    FORM_HEADERS,
    SCOPES,
    authorization_url,
    read_token,
    token_request,
)
from airflow_provider_segexport.vendors.responses import TOO_MANY_REQUESTS

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SLOW_DOWN_S = 5.0
"""Seconds that `slow_down` adds to the interval between two reads (RFC 8628, 3.5)."""


def device_login(
    endpoint: ApiEndpoint,
    credentials: OAuthCredentials,
    show_prompt: Callable[[DevicePrompt], None],
    clock: Callable[[], float],
) -> Operation[OAuthToken]:
    """Request a code, show it, and poll until the person has approved or the code has expired.

    Args:
        endpoint: base URL and options of the connection.
        credentials: the client; its refresh token is not used.
        show_prompt: shows the page's URL and the code to the person.
        clock: returns the current time in epoch seconds.
    """
    body = urlencode({"client_id": credentials.client_id, "scope": SCOPES, "response_type": "code"}).encode()
    url = f"{authorization_url(endpoint)}/device/authorize"
    started = yield Request("POST", url, headers=FORM_HEADERS, body=body, authenticated=False)
    device = started.mapping()
    if "device_code" not in device:
        code = public_code(device.get("error", started.status))
        raise AuthenticationFailed(
            f"Constant Contact refuses a device login for this client id (error code {code}). To fix: allow the device "
            "flow for the application in the developer portal."
        )
    page = str(device.get("verification_uri_complete") or device["verification_uri"])
    show_prompt(DevicePrompt(page, str(device["user_code"])))
    wait_s, deadline = float(device.get("interval") or SLOW_DOWN_S), clock() + float(device["expires_in"])
    form = {"grant_type": DEVICE_GRANT, "device_code": str(device["device_code"])}
    while clock() < deadline:
        yield Sleep(wait_s)
        response = yield token_request(endpoint, credentials, form)
        error = "" if response.status == TOO_MANY_REQUESTS else str(response.mapping().get("error", ""))
        match error:
            case "authorization_pending":
                continue
            case "slow_down":
                wait_s += SLOW_DOWN_S
            case "access_denied":
                raise AuthenticationFailed("The login was declined in the browser. To fix: run the command again.")
            case "expired_token":
                break
            case _:
                return read_token(response, "", clock())
    raise AuthenticationFailed("The login was not approved in time. To fix: run the command again.")

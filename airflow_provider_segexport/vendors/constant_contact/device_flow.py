"""Constant Contact: the first sign-in, by the device flow: a person approves in a browser anywhere."""

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
SLOW_DOWN_S = 5.0  # RFC 8628, 3.5: `slow_down` adds five seconds


def device_login(
    endpoint: ApiEndpoint, who: OAuthCredentials, invite: Callable[[DevicePrompt], None], now: Callable[[], float]
) -> Operation[OAuthToken]:
    """Ask for a code, show it, and look until the person has approved or the code has run out."""
    body = urlencode({"client_id": who.client_id, "scope": SCOPES, "response_type": "code"}).encode()
    asked = yield Request(
        "POST", f"{authorization_url(endpoint)}/device/authorize", headers=FORM_HEADERS, body=body, authenticated=False
    )
    told = asked.mapping()
    if "device_code" not in told:
        code = public_code(told.get("error", asked.status))
        raise AuthenticationFailed(
            f"Constant Contact starts no device sign-in for this client id (error code {code}). The "
            "application in the developer portal must allow the device flow."
        )
    invite(DevicePrompt(str(told.get("verification_uri_complete") or told["verification_uri"]), str(told["user_code"])))
    wait, ends = float(told.get("interval") or SLOW_DOWN_S), now() + float(told["expires_in"])
    form = {"grant_type": DEVICE_GRANT, "device_code": str(told["device_code"])}
    while now() < ends:
        yield Sleep(wait)
        response = yield token_request(endpoint, who, form)
        error = "" if response.status == TOO_MANY_REQUESTS else str(response.mapping().get("error", ""))
        match error:
            case "authorization_pending":
                continue
            case "slow_down":
                wait += SLOW_DOWN_S
            case "access_denied":
                raise AuthenticationFailed("The sign-in was declined in the browser.")
            case "expired_token":
                break
            case _:
                return read_token(response, "", now())
    raise AuthenticationFailed("Nobody approved the sign-in in time. Run the command again.")

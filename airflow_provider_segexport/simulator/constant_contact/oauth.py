"""OAuth authorization server with the endpoints authorize, token and device/authorize, and the activation page."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlencode

from airflow_provider_segexport.simulator.quota import RollingWindow
from airflow_provider_segexport.simulator.settings import ControlError
from airflow_provider_segexport.simulator.wire import Call, Reply

from .errors import gateway_refused, oauth_refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from .keys import ApiKey, Json, Tokens

_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_CODE_SECONDS = 300.0
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_PAGE = (
    "<!DOCTYPE html><title>Activate</title><h1>Constant Contact, simulated</h1>"
    "<p>{0}</p><form method=post action='?user_code={1}'><button>Allow</button></form>"
)


@dataclass(slots=True)
class Code:
    """An authorization code that the application has not exchanged yet."""

    key: ApiKey
    scopes: tuple[str, ...]
    redirect_uri: str
    challenge: str
    ends: float


@dataclass(slots=True)
class Device:
    """A device code; `decision` is `authorization_pending` until the user approves or denies it."""

    key: ApiKey
    scopes: tuple[str, ...]
    user_code: str
    ends: float
    decision: str = "authorization_pending"
    polled: float = 0.0


class AuthorizationServer:
    """The OAuth endpoints of the account."""

    def __init__(self, tokens: Tokens, base_url: Callable[[], str]) -> None:
        self._tokens = tokens
        self._base_url = base_url
        self._codes: dict[str, Code] = {}
        self._devices: dict[str, Device] = {}
        self._windows: dict[str, RollingWindow] = {}

    def authorize(self, call: Call) -> Reply:
        """Handle GET authorize: the user consents at once; redirect to the application with the code."""
        key = self._key(call.query.get("client_id"))
        target = call.query.get("redirect_uri")
        if call.query.get("response_type") != "code" or not target:
            raise oauth_refused("invalid_request", "response_type must be code, redirect_uri is needed")
        challenge = call.query.get("code_challenge", "")
        if self._tokens.is_public(key) and not challenge:
            raise oauth_refused("invalid_request", "PKCE code challenge is required for this client")
        code = self._tokens.account.ids.hex(43)
        scopes = self._scopes(call.query.get("scope"))
        self._codes[code] = Code(key, scopes, target, challenge, call.now + _CODE_SECONDS)
        state = {"state": call.query["state"]} if "state" in call.query else {}
        separator = "&" if "?" in target else "?"
        return Reply(302, headers={"location": target + separator + urlencode({"code": code, **state})})

    def device(self, call: Call) -> Reply:
        """Handle POST device/authorize; parameters are in body or query (device_flow.html, 2026-08)."""
        settings = self._tokens.account.settings
        given = {**call.query, **call.form()}
        key = self._key(given.get("client_id"))
        ids = self._tokens.account.ids
        letters = "".join(_LETTERS[ids.number(0, len(_LETTERS) - 1)] for _ in range(8))
        device = Device(key, self._scopes(given.get("scope")), letters, call.now + settings.device_seconds)
        if settings.approve_devices:
            device.decision = "approved"
        code = ids.hex(43)
        self._devices[code] = device
        page = f"{self._base_url()}/activate"
        return Reply.json(
            {
                "device_code": code,
                "user_code": letters,
                "verification_uri": page,
                "verification_uri_complete": f"{page}?user_code={letters}",
                "expires_in": settings.device_seconds,
                "interval": settings.device_interval,
            }
        )

    def activate(self, call: Call) -> Reply:
        """Handle GET and POST of the page on which the user approves a device."""
        code = call.query.get("user_code", "")
        is_issued = any(device.user_code == code for device in self._devices.values())
        if call.method == "POST" and is_issued:
            self.decide({"user_code": code}, "approved")
            return Reply.text("<!DOCTYPE html><h1>The device may go on.</h1>", kind="text/html")
        text = f"A device shows {code} and asks to use this account." if is_issued else "Unknown code."
        return Reply.text(_PAGE.format(text, code if is_issued else ""), 200 if is_issued else 404, "text/html")

    def decide(self, details: Json, decision: str) -> list[str]:
        """Approve or deny the device with `user_code`, or all pending ones; return their user codes."""
        wanted = details.get("user_code")
        waiting = [device for device in self._devices.values() if device.decision == "authorization_pending"]
        chosen = [device for device in waiting if wanted in (None, device.user_code)]
        if not chosen:
            raise ControlError(f"no device is pending with user_code {wanted!r}")
        for device in chosen:
            device.decision = decision
        return [device.user_code for device in chosen]

    def token(self, call: Call) -> Reply:
        """Handle POST token."""
        form = call.form()
        grant = form.get("grant_type", "")
        key = self._client(call, form, strict=grant != _DEVICE_GRANT)
        self._check_rate(key, call.now)
        if grant == "refresh_token":
            return Reply.json(self._tokens.renew(key, form.get("refresh_token", ""), call.now))
        if grant == "authorization_code":
            return self._exchange(key, form, call.now)
        if grant == _DEVICE_GRANT:
            return self._poll(key, form.get("device_code", ""), call.now)
        raise oauth_refused("unsupported_grant_type", "The authorization grant type is not supported.")

    def _exchange(self, key: ApiKey, form: dict[str, str], now: float) -> Reply:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or code.key != key or code.ends <= now or form.get("redirect_uri") != code.redirect_uri:
            raise oauth_refused("invalid_grant", "The authorization code is invalid or has expired.")
        if code.challenge:
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).decode().rstrip("=") != code.challenge:
                raise oauth_refused("invalid_grant", "PKCE verification failed.")
        return Reply.json(self._tokens.issue(key, code.scopes, now))

    def _poll(self, key: ApiKey, device_code: str, now: float) -> Reply:
        device = self._devices.get(device_code)
        if device is None or device.key != key:
            raise oauth_refused("invalid_grant", "The device code is invalid or has expired.")
        if device.ends <= now:
            raise oauth_refused("expired_token", "The device code has expired.")
        if device.decision == "authorization_pending":
            early = now - device.polled < self._tokens.account.settings.device_interval
            device.polled = now
            error = "slow_down" if early else device.decision
            raise oauth_refused(error, "The device authorization is pending. Please try again later.")
        del self._devices[device_code]
        if device.decision != "approved":
            raise oauth_refused("access_denied", "The user denied the device.")
        return Reply.json(self._tokens.issue(key, device.scopes, now))

    def _client(self, call: Call, form: dict[str, str], *, strict: bool) -> ApiKey:
        """Return the calling application: Basic credentials for a confidential one, `client_id` for a public one.

        With `strict` false, `client_id` is also sufficient for a confidential application.
        """
        scheme, _, value = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            client_id, secret = _basic(value)
            key = self._tokens.keys.get(client_id)
            if key is None or secret != key.client_secret or self._tokens.is_public(key):
                raise oauth_refused("invalid_client", "Invalid value for 'client_id' parameter.", 401)
            return key
        key = self._tokens.keys.get(form.get("client_id", ""))
        if key is None or (strict and not self._tokens.is_public(key)):
            raise oauth_refused("invalid_client", "Client authentication failed.", 401)
        return key

    def _key(self, client_id: str | None) -> ApiKey:
        key = self._tokens.keys.get(client_id or "")
        if key is None:
            raise oauth_refused("invalid_client", "Invalid value for 'client_id' parameter.", 401)
        return key

    def _scopes(self, text: str | None) -> tuple[str, ...]:
        wanted = tuple((text or "").replace("+", " ").split())
        if not wanted or not set(wanted) <= set(self._tokens.account.settings.scopes):
            raise oauth_refused("invalid_scope", "One or more scopes are not configured.")
        return wanted

    def _check_rate(self, key: ApiKey, now: float) -> None:
        """Reject more than one call a second (community, user 1384049, read 2026-08), assumed to be per application."""
        limit = self._tokens.account.settings.token_calls_per_second
        if limit is None:
            return
        window = self._windows.setdefault(key.client_id, RollingWindow(limit, 1.0))
        window.limit = limit
        if not window.take(now).allowed:
            raise gateway_refused("throttled", "Too Many Requests", 429)


def _basic(value: str) -> tuple[str, str]:
    try:
        client_id, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote(client_id), unquote(secret)

"""The authorization server: authorize, token, device/authorize."""

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
    """An authorization code on its way back to the application."""

    key: ApiKey
    scopes: tuple[str, ...]
    redirect_uri: str
    challenge: str
    ends: float


@dataclass(slots=True)
class Device:
    """A device that waits for its user."""

    key: ApiKey
    scopes: tuple[str, ...]
    user_code: str
    ends: float
    verdict: str = "authorization_pending"
    polled: float = 0.0


class AuthorizationServer:
    """The three endpoints of one account."""

    def __init__(self, tokens: Tokens, base_url: Callable[[], str]) -> None:
        self._tokens = tokens
        self._base_url = base_url
        self._codes: dict[str, Code] = {}
        self._devices: dict[str, Device] = {}
        self._windows: dict[str, RollingWindow] = {}

    def authorize(self, call: Call) -> Reply:
        """Answer GET authorize: the user agrees at once, and the code goes to the redirect URI."""
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
        joint = "&" if "?" in target else "?"
        return Reply(302, headers={"location": target + joint + urlencode({"code": code, **state})})

    def device(self, call: Call) -> Reply:
        """Answer POST device/authorize; parameters in body or query (device_flow.html, 2026-08)."""
        settings = self._tokens.account.settings
        given = {**call.query, **call.form()}
        key = self._key(given.get("client_id"))
        ids = self._tokens.account.ids
        letters = "".join(_LETTERS[ids.number(0, len(_LETTERS) - 1)] for _ in range(8))
        made = Device(key, self._scopes(given.get("scope")), letters, call.now + settings.device_seconds)
        if settings.approve_devices:
            made.verdict = "approved"
        code = ids.hex(43)
        self._devices[code] = made
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
        """Answer GET and POST of the page that the device's user is sent to."""
        code = call.query.get("user_code", "")
        is_issued = any(device.user_code == code for device in self._devices.values())
        if call.method == "POST" and is_issued:
            self.decide({"user_code": code}, "approved")
            return Reply.text("<!DOCTYPE html><h1>The device may go on.</h1>", kind="text/html")
        text = f"A device shows {code} and asks to use this account." if is_issued else "Unknown code."
        return Reply.text(_PAGE.format(text, code if is_issued else ""), 200 if is_issued else 404, "text/html")

    def decide(self, details: Json, verdict: str) -> list[str]:
        """Let the user of one device, or of all that wait, say yes or no."""
        wanted = details.get("user_code")
        waiting = [held for held in self._devices.values() if held.verdict == "authorization_pending"]
        chosen = [held for held in waiting if wanted in (None, held.user_code)]
        if not chosen:
            raise ControlError(f"no device waits with user_code {wanted!r}")
        for held in chosen:
            held.verdict = verdict
        return [held.user_code for held in chosen]

    def token(self, call: Call) -> Reply:
        """Answer POST token."""
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
        if device.verdict == "authorization_pending":
            early = now - device.polled < self._tokens.account.settings.device_interval
            device.polled = now
            error = "slow_down" if early else device.verdict
            raise oauth_refused(error, "The device authorization is pending. Please try again later.")
        del self._devices[device_code]
        if device.verdict != "approved":
            raise oauth_refused("access_denied", "The user denied the device.")
        return Reply.json(self._tokens.issue(key, device.scopes, now))

    def _client(self, call: Call, form: dict[str, str], *, strict: bool) -> ApiKey:
        """Find out which application calls: Basic for a confidential one, client_id for a public one."""
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
        """One call a second (community, user 1384049, read 2026-08); counted by key: assumed."""
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

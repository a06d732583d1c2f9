"""OAuth tokens: exchange, refresh with rotation, expiry, revocation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.wire import Call, Reply

from .errors import refused

if TYPE_CHECKING:
    from .state import Account


@dataclass(slots=True)
class Token:
    """An access token, kept after it ends for errors 121 (expired) and 122 (revoked)."""

    ends: float
    revoked: bool = False


class Tokens:
    """Credentials of the OAuth application, and the tokens issued to it."""

    def __init__(self, account: Account, now: float) -> None:
        self._account = account
        ids = account.ids
        self.client_id = str(ids.number(100_000, 999_999))
        self.client_secret = ids.hex(32)
        self.code = ids.hex(32)
        self._code_used = False
        self._access: dict[str, Token] = {}
        self._refresh_tokens: set[str] = set()
        self.first = self._issue(now)

    def _issue(self, now: float) -> dict[str, object]:
        seconds = self._account.settings.token_seconds
        access, refresh = self._account.ids.hex(48), self._account.ids.hex(48)
        self._access[access] = Token(now + seconds)
        self._refresh_tokens.add(refresh)
        return {"access_token": access, "expires_in": int(seconds), "refresh_token": refresh}

    def check(self, token: str, now: float) -> None:
        """Reject an unknown, revoked or expired access token."""
        issued = self._access.get(token)
        if issued is None:
            raise refused(120, 401)
        if issued.revoked:
            raise refused(122, 401)
        if issued.ends <= now:
            raise refused(121, 401)

    def revoke(self) -> int:
        """Revoke all access and refresh tokens; return the number of access tokens."""
        for token in self._access.values():
            token.revoked = True
        self._refresh_tokens.clear()
        return len(self._access)

    def expire(self, now: float) -> int:
        """Expire all access tokens; refresh tokens stay valid. Return the number of access tokens."""
        for token in self._access.values():
            token.ends = min(token.ends, now)
        return len(self._access)

    def answer(self, call: Call) -> Reply:
        """Handle POST /oauth/token."""
        form = call.form()
        kind = form.get("grant_type")
        if kind == "refresh_token":
            return self._refresh(form.get("refresh_token", ""), call.now)
        if kind == "authorization_code":
            return self._exchange(form, call.now)
        return self._failed("unsupported_grant_type", "Specified grant_type is not supported")

    def _refresh(self, token: str, now: float) -> Reply:
        # The refresh call has no client id or secret: official clients, read 2026-08.
        if token not in self._refresh_tokens:
            reason = "Specified refresh_token was invalid or expired"
            return self._failed("invalid_grant", reason)
        issued = self._issue(now)
        if self._account.settings.rotate_refresh_token:
            self._refresh_tokens.discard(token)
        else:
            self._refresh_tokens.discard(str(issued["refresh_token"]))
            issued["refresh_token"] = token
        return Reply.json(issued)

    def _exchange(self, form: dict[str, str], now: float) -> Reply:
        good = (self.client_id, self.client_secret)
        if (form.get("client_id"), form.get("client_secret")) != good:
            return self._failed("invalid_client", "Specified client_id or client_secret is invalid")
        if form.get("code") != self.code or self._code_used:
            return self._failed("invalid_grant", "Specified code was invalid or expired")
        self._code_used = True
        return Reply.json(self._issue(now))

    def _failed(self, error: str, description: str) -> Reply:
        # The status is not documented. The official clients look for `error` in a body with status 200.
        status = self._account.settings.token_error_status
        return Reply.json({"error": error, "error_description": description}, status)

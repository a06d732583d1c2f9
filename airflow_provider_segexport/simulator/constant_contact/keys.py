"""Applications, which the vendor calls API keys, and the tokens issued to them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import gateway_refused, oauth_refused

if TYPE_CHECKING:
    from collections.abc import Collection

    from .state import Account

Json = dict[str, object]

_DAY = 86_400.0
_AUDIENCE = "https://api.cc.email/v3"  # this and the issuer: django-ctct models.py, read 2026-08
_ISSUER = "https://identity.constantcontact.com/oauth2/aus1lm3ry9mF7x2Ja0h8"
_SIGNATURE_DIGITS = 512  # a token has 1,000 to 1,200 characters: auth_overview.html, read 2026-08


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An application; the vendor's portal calls its client id the API key."""

    name: str
    client_id: str
    client_secret: str


@dataclass(slots=True)
class Access:
    """An access token."""

    key: ApiKey
    scopes: frozenset[str]
    ends: float


@dataclass(slots=True)
class Refresh:
    """A refresh token, kept after it is invalid (`live` is false) so that its reuse is detected."""

    key: ApiKey
    scopes: tuple[str, ...]
    used: float
    live: bool = True


@dataclass(slots=True)
class Tokens:
    """The applications of the account, and all tokens issued to them."""

    account: Account
    keys: dict[str, ApiKey] = field(default_factory=dict)
    access: dict[str, Access] = field(default_factory=dict)
    refresh: dict[str, Refresh] = field(default_factory=dict)

    def register(self, name: str) -> ApiKey:
        """Register an application."""
        ids = self.account.ids
        key = ApiKey(name, ids.guid(), ids.hex(22))
        self.keys[key.client_id] = key
        return key

    def is_public(self, key: ApiKey) -> bool:
        """Whether the application has no client secret."""
        return key.name in self.account.settings.public_keys

    def is_rotating(self, key: ApiKey) -> bool:
        """Whether each refresh invalidates the earlier refresh tokens (community td-p/402882, 2026-08)."""
        return key.name not in self.account.settings.long_lived_keys

    def issue(self, key: ApiKey, scopes: Collection[str], now: float, keep: str | None = None) -> Json:
        """Issue an access token and, if the scopes allow it, a refresh token; return the token endpoint's JSON.

        Args:
            key: the application.
            scopes: scopes of the tokens.
            now: time of issue.
            keep: existing refresh token to return; None issues a new one if the scopes have `offline_access`.
        """
        settings = self.account.settings
        wanted = tuple(scopes)
        access = self._access_token(key, wanted, now)
        self.access[access] = Access(key, frozenset(wanted), now + settings.access_seconds)
        issued: Json = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": settings.access_seconds,
            "scope": " ".join(wanted),
        }
        if keep is None and "offline_access" in wanted:
            keep = self.account.ids.hex(43)
            self.refresh[keep] = Refresh(key, wanted, now)
        if keep is not None:
            issued["refresh_token"] = keep
        return issued

    def renew(self, key: ApiKey, token: str, now: float) -> Json:
        """Issue new tokens for a refresh token. A rotating application gets a new one; its earlier ones are invalid.

        Args:
            key: the application.
            token: the refresh token.
            now: present time.
        """
        issued = self.refresh.get(token)
        last = now - self.account.settings.refresh_unused_days * _DAY
        if issued is None or issued.key != key or not issued.live or issued.used <= last:
            if issued and issued.key == key and self.account.settings.reuse_revokes_all:
                self.revoke_refresh(key)
            # The message is from community td-p/332029, read 2026-08.
            raise oauth_refused("invalid_grant", "The refresh token is unknown, invalid, or expired.")
        issued.used = now
        if not self.is_rotating(key):
            return self.issue(key, issued.scopes, now, keep=token)
        self.revoke_refresh(key)
        return self.issue(key, issued.scopes, now)

    def revoke_refresh(self, key: ApiKey) -> int:
        """Invalidate all refresh tokens of an application; return their number."""
        live = [
            refresh_token for refresh_token in self.refresh.values() if refresh_token.key == key and refresh_token.live
        ]
        for refresh_token in live:
            refresh_token.live = False
        return len(live)

    def check(self, token: str, now: float) -> Access:
        """Return a valid access token; reject an unknown, expired or revoked one with 401."""
        issued = self.access.get(token)
        if issued is None or issued.ends <= now:
            raise gateway_refused("unauthorized", "Unauthorized", 401)
        return issued

    def expire(self, now: float) -> int:
        """Expire all access tokens; refresh tokens stay valid. Return the number of access tokens."""
        for token in self.access.values():
            token.ends = min(token.ends, now)
        return len(self.access)

    def revoke(self) -> int:
        """Revoke all tokens, as if the user withdrew their consent; return the number of access tokens."""
        for refresh_token in self.refresh.values():
            refresh_token.live = False
        number = len(self.access)
        self.access.clear()
        return number

    def _access_token(self, key: ApiKey, scopes: tuple[str, ...], now: float) -> str:
        ids = self.account.ids
        head: Json = {"kid": ids.hex(43), "alg": "RS256"}
        body: Json = {
            "ver": 1,
            "jti": f"AT.{ids.hex(43)}",
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "iat": int(now),
            "exp": int(now) + self.account.settings.access_seconds,
            "cid": key.client_id,
            "scp": list(scopes),
            "uid": ids.hex(20),
            "platform_user_id": ids.guid(),
            "sub": "owner@example.com",
        }
        signature = base64.urlsafe_b64encode(bytes.fromhex(ids.hex(_SIGNATURE_DIGITS)))
        return ".".join((_part(head), _part(body), signature.decode().rstrip("=")))


def _part(value: Json) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

"""Keeps an OAuth2 login: turns a refresh token into a valid access token, renewed by one process at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import requests
from requests.auth import AuthBase

from airflow_provider_segexport.errors import AuthenticationFailed
from airflow_provider_segexport.model import Response
from airflow_provider_segexport.vendors.auth import OAuthToken

RENEW_BEFORE_EXPIRY_S = 120.0
"""An access token that expires within this time is renewed before it is used."""

MIN_RENEWAL_INTERVAL_S = 1.0
"""Seconds between two renewals: Constant Contact's token endpoint takes one call a second."""

JUST_RENEWED_S = 10.0
"""A 401 within this time after a renewal belongs to a call that was sent with the previous token."""


class TokenStore(Protocol):
    """Stores a renewed login, so that a task on another machine can use it."""

    def load(self) -> tuple[OAuthToken, str] | None:
        """Return the stored login and the fingerprint of the refresh token that it began with; None without one."""

    def save(self, token: OAuthToken, fingerprint: str) -> None:
        """Store a login. When this returns, every machine can read it."""

    def lock(self) -> AbstractContextManager[None]:
        """Return a lock that one process of all machines can hold."""


def token_fingerprint(refresh_token: str) -> str:
    """Return a hash that identifies a login. A new refresh token in the connection makes the stored login void."""
    return hashlib.sha256(refresh_token.encode()).hexdigest()[:16]


class Bearer(AuthBase):
    """Authenticates requests with an access token.

    A vendor may accept a refresh token only once. The new pair is therefore stored before it is used, and a process
    that waited for the lock first checks whether another one has renewed the token.

    Args:
        initial_refresh_token: the refresh token of the Airflow connection.
        store: stores the login.
        refresh: exchanges a refresh token at the vendor.
        is_expired: whether a 401 means that the access token has expired.
        on_secret: called with each new secret, to mask it.
        clock: returns epoch seconds.
        sleep: waits for seconds.
    """

    def __init__(  # noqa: PLR0913 - keyword-only dependencies
        self,
        initial_refresh_token: str,
        store: TokenStore,
        refresh: Callable[[str], OAuthToken],
        *,
        is_expired: Callable[[Response], bool],
        on_secret: Callable[[str], None],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._initial_refresh_token = initial_refresh_token
        self._store = store
        self._refresh = refresh
        self._is_expired = is_expired
        self._on_secret = on_secret
        self._clock = clock
        self._sleep = sleep
        self._token: OAuthToken | None = None
        self._is_stored = False
        """Whether the token in use came from the store, and this process has not renewed it."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the access token to a request."""
        request.headers["Authorization"] = f"Bearer {self.access_token()}"
        return request

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def access_token(self) -> str:
        """Return a valid access token; renew it first if it is about to expire."""
        token = self._token
        if token is None:
            token = self._load()
            self._is_stored = token is not None
        if token is None or token.expires_at <= self._clock() + RENEW_BEFORE_EXPIRY_S:
            token = self._renew(token)
        self._token = token
        return token.access_token

    def renew(self, response: Response) -> bool:
        """Handle a 401: renew the access token, and return whether there is a new one to try."""
        if not self._is_expired(response):
            if not self._is_stored:
                return False
            self._token = self._restart()  # the vendor does not know the stored token
            return True
        # Calls that were in flight with the old token come back after the first of them has renewed it.
        if self._token is None or self._token.renewed_at + JUST_RENEWED_S < self._clock():
            self._token = self._renew(self._token)
        return True

    def _load(self) -> OAuthToken | None:
        stored = self._store.load()
        if stored is None:
            return None
        token, fingerprint = stored
        if fingerprint != token_fingerprint(self._initial_refresh_token):
            return None
        self._mask(token)
        return token

    def _renew(self, old: OAuthToken | None) -> OAuthToken:
        with self._store.lock():
            stored = self._load()
            is_newer = stored is not None and (old is None or stored.access_token != old.access_token)
            if stored is not None and is_newer and stored.expires_at > self._clock() + RENEW_BEFORE_EXPIRY_S:
                return stored  # another process has renewed it
            if stored is not None:
                self._sleep(max(0.0, stored.renewed_at + MIN_RENEWAL_INTERVAL_S - self._clock()))
            try:
                new = self._refresh(stored.refresh_token if stored else self._initial_refresh_token)
            except AuthenticationFailed:
                if stored is None or stored.refresh_token == self._initial_refresh_token:
                    raise
                new = self._refresh(
                    self._initial_refresh_token
                )  # the stored token is void; the connection's may be valid
            return self._save(new)

    def _restart(self) -> OAuthToken:
        """Start a new login with the connection's refresh token."""
        with self._store.lock():
            return self._save(self._refresh(self._initial_refresh_token))

    def _save(self, new: OAuthToken) -> OAuthToken:
        """Store a new pair before it is used, and return it."""
        self._mask(new)
        self._store.save(new, token_fingerprint(self._initial_refresh_token))
        self._is_stored = False
        return new

    def _mask(self, token: OAuthToken) -> None:
        self._on_secret(token.access_token)
        self._on_secret(token.refresh_token)

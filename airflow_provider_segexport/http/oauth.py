"""Provides a valid access token for an OAuth2 login. One process at a time renews it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Protocol

import requests
from requests.auth import AuthBase

from airflow_provider_segexport.errors import AuthenticationFailed, RetryableError
from airflow_provider_segexport.fencing import fenced_also
from airflow_provider_segexport.http.variable_lock import LockLost
from airflow_provider_segexport.model import Response
from airflow_provider_segexport.vendors.auth import OAuthToken

RENEW_BEFORE_EXPIRY_S = 120.0
"""An access token that expires within these seconds is renewed before it is used."""

MIN_RENEWAL_INTERVAL_S = 1.0
"""Minimum seconds between two renewals: Constant Contact's token endpoint accepts one call a second."""

JUST_RENEWED_S = 10.0
"""A 401 within these seconds after a renewal belongs to a call that was sent with the previous token."""


MAX_RENEWALS = 3
"""Maximum attempts to renew a login, if the process is suspended during each and loses the lock."""


class TokenStore(Protocol):
    """Stores a renewed login, so that a task on another machine can use it."""

    def load(self) -> tuple[OAuthToken, str] | None:
        """Return the stored login and the fingerprint of its first refresh token; None if no login is stored."""

    def save(self, token: OAuthToken, fingerprint: str) -> None:
        """Store a login. When this returns, every machine can read it."""

    def lock(self) -> AbstractContextManager[Callable[[], None]]:
        """Return a lock that only one process on all machines can hold, with a check that raises `LockLost`."""


def token_fingerprint(refresh_token: str) -> str:
    """Return a hash that identifies a login. A new refresh token in the connection invalidates the stored login."""
    return hashlib.sha256(refresh_token.encode()).hexdigest()[:16]


class Bearer(AuthBase):
    """Authenticates requests with an access token.

    A vendor may accept a refresh token only once. The new pair of tokens is therefore stored before it is used, and a
    process that waited for the lock first checks whether another process has renewed the token. A process that lost the
    lock while it was suspended sends no refresh token, and does not overwrite a pair that another process has stored.

    Args:
        initial_refresh_token: the refresh token of the Airflow connection.
        store: stores the login.
        refresh: exchanges a refresh token at the vendor.
        is_expired: returns whether a 401 means that the access token has expired.
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
        self._own: OAuthToken | None = None
        """The last pair of tokens that the vendor returned to this process. It may be newer than the stored pair."""
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
        """Handle a 401: renew the access token, and return whether there is a new token to try."""
        if not self._is_expired(response):
            if not self._is_stored:
                return False
            self._token = self._restart()  # the vendor rejects the stored token
            return True
        # Calls that were sent with the old token get a 401 after the first of them has already renewed it.
        if self._token is None or not 0 <= self._clock() - self._token.renewed_at <= JUST_RENEWED_S:
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
        return self._locked(lambda check: self._renew_locked(old, check))

    def _restart(self) -> OAuthToken:
        """Renew the login without the stored token, because the vendor rejects it."""
        return self._locked(lambda check: self._exchange([self._own], self._load(), check))

    def _locked(self, renew: Callable[[Callable[[], None]], OAuthToken]) -> OAuthToken:
        for _ in range(MAX_RENEWALS):
            with suppress(LockLost), self._store.lock() as check:
                return renew(check)
        raise RetryableError("The login was not renewed, because this process repeatedly lost its lock.")

    def _renew_locked(self, old: OAuthToken | None, check: Callable[[], None]) -> OAuthToken:
        stored = self._load()
        is_newer = stored is not None and (old is None or stored.access_token != old.access_token)
        if stored is not None and is_newer and stored.expires_at > self._clock() + RENEW_BEFORE_EXPIRY_S:
            self._is_stored = True
            return stored  # another process has renewed it
        if stored is not None:  # wait at most the interval, because another machine's clock may be ahead
            wait_s = stored.renewed_at + MIN_RENEWAL_INTERVAL_S - self._clock()
            self._sleep(max(0.0, min(wait_s, MIN_RENEWAL_INTERVAL_S)))
        return self._exchange([stored, self._own], stored, check)

    def _exchange(
        self, tokens: list[OAuthToken | None], stored: OAuthToken | None, check: Callable[[], None]
    ) -> OAuthToken:
        """Exchange the first refresh token that the vendor accepts, and store the new pair before it is used.

        Args:
            tokens: pairs whose refresh tokens are tried before the connection's refresh token.
            stored: the pair in the store.
            check: raises if this process no longer holds the lock.
        """
        own = [token.refresh_token for token in tokens if token is not None]
        *others, last = dict.fromkeys([*own, self._initial_refresh_token])
        with fenced_also(check):
            for refresh_token in others:
                with suppress(AuthenticationFailed):  # invalid; the next refresh token may be valid
                    return self._save(self._refresh(refresh_token), stored)
            return self._save(self._refresh(last), stored)

    def _save(self, new: OAuthToken, stored: OAuthToken | None) -> OAuthToken:
        """Store a new pair, unless another process has stored a pair since; return the pair to use.

        Args:
            new: the new pair.
            stored: the pair that was in the store before the exchange.
        """
        self._mask(new)
        try:
            latest = self._load()
        except RetryableError:  # store the pair all the same, because the vendor may accept the earlier one no more
            latest = None
        if latest is not None and (stored is None or latest.refresh_token != stored.refresh_token):
            self._is_stored = True
            return latest
        self._store.save(new, token_fingerprint(self._initial_refresh_token))
        self._own, self._is_stored = new, False
        return new

    def _mask(self, token: OAuthToken) -> None:
        self._on_secret(token.access_token)
        self._on_secret(token.refresh_token)

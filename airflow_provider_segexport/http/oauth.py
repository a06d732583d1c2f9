"""Keeps an OAuth2 sign-in: a refresh token in, a valid access token out, renewed by one at a time."""

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

EARLY_S = 120.0
"""An access token that ends within this time is renewed before it is used."""

RENEWALS_APART_S = 1.0
JUST_RENEWED_S = 10.0


class TokenStore(Protocol):
    """Where a renewed sign-in lies, so that the next task on another machine finds it."""

    def load(self) -> tuple[OAuthToken, str] | None:
        """The stored sign-in and the mark of the refresh token it began with."""

    def save(self, token: OAuthToken, mark: str) -> None:
        """Keep a sign-in; on return every machine sees it."""

    def lock(self) -> AbstractContextManager[None]:
        """Only one holder at a time, over all machines."""


def token_fingerprint(refresh: str) -> str:
    """Tells apart sign-ins without holding them: an administrator's new refresh token makes the stored one void."""
    return hashlib.sha256(refresh.encode()).hexdigest()[:16]


class Bearer(AuthBase):
    """Signs requests with the access token.

    A vendor may let a refresh token be used once only. So the new pair is stored before it is used, and who waited for
    the lock first looks whether another has renewed meanwhile.

    Args:
        first: the refresh token of the Airflow connection.
        store: where the sign-in is kept.
        refresh: calls the vendor.
        stale: whether a 401 is mended by renewing.
        told: called with every secret that appears, to have it masked.
        clock: epoch seconds.
        sleep: lets time pass.
    """

    def __init__(  # noqa: PLR0913 - each is one thing the world gives
        self,
        first: str,
        store: TokenStore,
        refresh: Callable[[str], OAuthToken],
        *,
        stale: Callable[[Response], bool],
        told: Callable[[str], None],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._first = first
        self._store = store
        self._refresh = refresh
        self._stale = stale
        self._told = told
        self._clock = clock
        self._sleep = sleep
        self._token: OAuthToken | None = None
        self._is_stored = False
        """The token in use was found in the store, and this process has not renewed it."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign one request."""
        request.headers["Authorization"] = f"Bearer {self.access_token()}"
        return request

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def access_token(self) -> str:
        """A valid access token, renewed first where it is about to end."""
        token = self._token
        if token is None:
            token = self._load()
            self._is_stored = token is not None
        if token is None or token.expires_at <= self._clock() + EARLY_S:
            token = self._renew(token)
        self._token = token
        return token.access_token

    def renew(self, response: Response) -> bool:
        """After a 401: True when there is a new access token to try with."""
        if not self._stale(response):
            if not self._is_stored:
                return False
            self._token = self._renew_first()  # the vendor does not know what was stored
            return True
        # Calls that were on their way with the old token come back after the first of them has renewed it.
        if self._token is None or self._token.renewed_at + JUST_RENEWED_S < self._clock():
            self._token = self._renew(self._token)
        return True

    def _load(self) -> OAuthToken | None:
        found = self._store.load()
        if found is None or found[1] != token_fingerprint(self._first):
            return None
        self._told(found[0].access_token)
        self._told(found[0].refresh_token)
        return found[0]

    def _renew(self, old: OAuthToken | None) -> OAuthToken:
        with self._store.lock():
            stored = self._load()
            another = stored is not None and (old is None or stored.access_token != old.access_token)
            if stored is not None and another and stored.expires_at > self._clock() + EARLY_S:
                return stored  # another has renewed it meanwhile
            if stored is not None:  # Constant Contact's token endpoint takes one call a second
                self._sleep(max(0.0, stored.renewed_at + RENEWALS_APART_S - self._clock()))
            try:
                new = self._refresh(stored.refresh_token if stored else self._first)
            except AuthenticationFailed:
                if stored is None or stored.refresh_token == self._first:
                    raise
                new = self._refresh(self._first)  # what was stored is void; the connection's own token may not be
            return self._kept(new)

    def _renew_first(self) -> OAuthToken:
        """Begin anew with the connection's refresh token."""
        with self._store.lock():
            return self._kept(self._refresh(self._first))

    def _kept(self, new: OAuthToken) -> OAuthToken:
        """Store a new pair, before it is used."""
        self._told(new.access_token)
        self._told(new.refresh_token)
        self._store.save(new, token_fingerprint(self._first))
        self._is_stored = False
        return new

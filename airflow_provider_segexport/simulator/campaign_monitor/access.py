"""Access checks: API key, OAuth token and scope, and the configured limits."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.quota import FixedWindow

from .errors import refused

if TYPE_CHECKING:
    from airflow_provider_segexport.simulator.wire import Call

    from .oauth import Tokens
    from .state import Account


class AccessCheck:
    """Checks credentials and rate limits of the calls of one account."""

    def __init__(self, account: Account, tokens: Tokens) -> None:
        self._account = account
        self._tokens = tokens
        self.restart_windows()

    def restart_windows(self) -> None:
        """Restart the rate limit window with the present settings."""
        limit = self._account.settings.calls_per_minute
        self._window = FixedWindow(limit) if limit else None

    def check_credentials(self, call: Call, scope: str) -> None:
        """Reject a call with wrong credentials, or with a token that lacks the scope."""
        kind, _, value = call.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            self._tokens.check(value, call.now)
            if scope and scope not in self._account.settings.scopes:
                raise refused(60, 401)
            return
        try:
            key = base64.b64decode(value, validate=True).decode().partition(":")[0]
        except ValueError:  # not base64, or not UTF-8
            key = ""
        if key not in (self._account.api_key, self._account.client.api_key):
            raise refused(100, 401)  # the password is ignored: authentication page, read 2026-08

    def check_limits(self, call: Call, headers: dict[str, str]) -> None:
        """Reject a call above the configured limits, and fill in the rate limit headers.

        The vendor publishes no limits for these calls. The header names, and `Reset` as seconds to wait, are those of
        its transactional API (rate-limits page, read 2026-08).
        """
        max_concurrent = self._account.settings.max_concurrent
        if max_concurrent is not None and call.in_flight > max_concurrent:
            raise refused(429, 429)
        if self._window:
            rate = self._window.take(call.now)
            headers["X-RateLimit-Limit"] = str(rate.limit)
            headers["X-RateLimit-Remaining"] = str(rate.remaining)
            reset = rate.reset if self._account.settings.reset_is_epoch else rate.reset - call.now
            headers["X-RateLimit-Reset"] = str(int(reset) + 1)
            if not rate.allowed:
                raise refused(429, 429)

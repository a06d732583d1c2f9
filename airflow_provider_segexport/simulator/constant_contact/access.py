"""Access checks: token, scope, privilege, and rate limits of an application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.quota import RollingWindow

from .errors import access_denied, gateway_refused

if TYPE_CHECKING:
    from airflow_provider_segexport.simulator.wire import Call

    from .keys import Access, ApiKey, Tokens

_DAY = 86_400.0


class AccessCheck:
    """Checks tokens and rate limits; the limits count all tokens of an application together."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.restart_windows()

    def restart_windows(self) -> None:
        """Restart the rate limit windows with the present settings."""
        self._seconds: dict[str, RollingWindow] = {}
        self._used: dict[tuple[str, int], int] = {}

    def check_credentials(self, call: Call) -> Access:
        """Return the call's access token; reject the call if the token is missing or invalid."""
        kind, _, value = call.headers.get("authorization", "").partition(" ")
        return self._tokens.check(value.strip() if kind.lower() == "bearer" else "", call.now)

    def check_rights(self, access: Access, needed: str) -> None:
        """Reject a missing scope or privilege, and a deactivated application, all with the same 403."""
        settings = self._tokens.account.settings
        for right in needed.split():
            if right not in access.scopes and right not in settings.privileges:
                raise access_denied()
        if settings.deactivated:
            raise access_denied()

    def check_limits(self, key: ApiKey, now: float) -> None:
        """Count the call, and reject it above 4 a second or 10,000 a UTC day (rate_limits.html, read 2026-08)."""
        settings = self._tokens.account.settings
        if settings.calls_per_day is not None and self.left_today(key, now) < 1:
            raise gateway_refused("quota_exceeded", "Limit Exceeded", 429)
        if settings.calls_per_second is not None:
            window = self._seconds.setdefault(key.name, RollingWindow(settings.calls_per_second, 1.0))
            if not window.take(now).allowed:
                raise gateway_refused("throttled", "Too Many Requests", 429)
        self.spend(key, 1, now)

    def spend(self, key: ApiKey, calls: int, now: float) -> int:
        """Count calls of other clients of the application, and return the calls left today.

        Args:
            key: the application.
            calls: number of calls.
            now: time of the calls.
        """
        today = (key.name, int(now // _DAY))
        self._used[today] = self._used.get(today, 0) + calls
        return self.left_today(key, now)

    def left_today(self, key: ApiKey, now: float) -> int:
        """Return the calls that are left until midnight UTC."""
        limit = self._tokens.account.settings.calls_per_day or 0
        return limit - self._used.get((key.name, int(now // _DAY)), 0)

"""Access checks: API user, region, and the two rate limit schemes."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.quota import FixedWindow, RollingWindow

from .errors import v2_refused, v3_refused

if TYPE_CHECKING:
    from airflow_provider_segexport.simulator.wire import Call

    from .state import Account

_HOUR = 3600.0


class AccessCheck:
    """Checks credentials and rate limits; the limits count all API users of the account together."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.restart_windows()

    def restart_windows(self) -> None:
        """Restart the rate limit windows with the present settings."""
        settings = self._account.settings
        self._tiers = {
            "low": FixedWindow(settings.low_per_minute),
            "medium": FixedWindow(settings.medium_per_minute),
            "high": FixedWindow(settings.high_per_minute),
        }
        self.hour = RollingWindow(settings.flat_per_hour, _HOUR)

    def check_credentials(self, call: Call) -> None:
        """Reject a call with wrong credentials of the API user."""
        scheme, _, value = call.headers.get("authorization", "").partition(" ")
        try:
            given = base64.b64decode(value, validate=True).decode()
        except ValueError:  # not base64, or not UTF-8
            given = ""
        if scheme.lower() != "basic" or given != f"{self._account.user}:{self._account.password}":
            # The v2 wording is in the vendor's Magento client, read 2026-08; v3's is not specified.
            raise v2_refused("Authorization has been denied for this request.", 401)

    def check_region(self) -> None:
        """Reject the call if the account belongs to another region; the caller exempts account-info."""
        if self._account.settings.wrong_region:  # api-end-points page, read 2026-08
            raise v2_refused("Forbidden: Access is denied", 403)

    def check_limits(self, call: Call, tier: str, headers: dict[str, str]) -> None:
        """Count the call, and reject it above the limit: with 429 in the scheme `tiered`, 400 in `flat`.

        Args:
            call: the request.
            tier: rate limit tier of the route.
            headers: receives the rate limit headers.
        """
        scheme = self._account.settings.rate_scheme
        in_hour = self.hour.take(call.now)
        if scheme == "flat" and not in_hour.allowed:
            text = "Your account has generated excess API activity and is being temporarily capped."
            raise v2_refused(f"{text} Please contact support. ERROR_APIUSAGE_EXCEEDED")
        if scheme != "tiered" or tier not in self._tiers:
            return
        rate = self._tiers[tier].take(call.now)
        # `Reset` is in seconds since the epoch, not seconds to wait; call-rate-limits page, read 2026-08.
        headers["X-RateLimit-Limit"] = str(rate.limit)
        headers["X-RateLimit-Remaining"] = str(rate.remaining)
        reset = rate.reset if self._account.settings.rate_reset == "epoch" else rate.reset - call.now
        headers["X-RateLimit-Reset"] = str(int(reset))
        headers["X-RateLimit-Scope"] = f"{tier}CallRate"
        if rate.allowed:
            return
        if call.path.startswith("/contacts/v3"):
            raise v3_refused("tooManyRequests", "The call rate limit has been exceeded", 429)
        raise v2_refused("The call rate limit has been exceeded", 429)

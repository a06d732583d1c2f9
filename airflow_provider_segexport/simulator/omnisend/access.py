"""Access checks: API version, key, permission, and rate limits of a brand."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_segexport.counted import noun
from airflow_provider_segexport.simulator.quota import RollingWindow

from .errors import FieldError, Problem, invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_segexport.simulator.wire import Call

    from .state import Account

VERSION = "2026-03-15"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key of a brand; with `permissions` None it has those of the settings."""

    value: str
    permissions: Sequence[str] | None = None


def check_version(call: Call) -> None:
    """Reject a missing or retired version; a later date selects the newest version (vendor page, 2026-08)."""
    version = call.headers.get("omnisend-version", "")
    if not _DATE.fullmatch(version):
        code = "invalid_format" if version else "required"
        raise invalid(FieldError("Omnisend-Version", code, f"The header must name a version, for example {VERSION}"))
    if version < VERSION:
        raise Problem(410, f"API version {version} has been retired.")


class AccessCheck:
    """Checks permissions and rate limits; the limits count all keys of the brand together."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.restart_windows()

    def restart_windows(self) -> None:
        """Restart the rate limit windows with the present settings."""
        settings = self._account.settings
        limits = {
            "all": settings.calls_per_minute,
            "tags": settings.tag_calls_per_minute,
            "segment_reads": settings.segment_reads_per_minute,
            "segment_writes": settings.segment_writes_per_minute,
        }
        if limits["all"] is not None:
            limits["all"] = max(0, limits["all"] - settings.others_per_minute)
        self._windows = {name: RollingWindow(most, _MINUTE) for name, most in limits.items() if most is not None}

    def check_permission(self, key: ApiKey, needed: str) -> None:
        """Reject a call whose key lacks the permission."""
        settings = self._account.settings
        granted = settings.permissions if key.permissions is None else key.permissions
        # The OpenAPI lists products.read, contacts.read and events.read for reading batches (read 2026-11).
        wanted = settings.batch_read_permissions if needed == "batches.read" else [needed]
        for permission in wanted:
            if permission not in granted:
                raise Problem(403, f"Insufficient permissions for this operation: {permission} is required.")

    def check_limits(self, call: Call, pool: str) -> None:
        """Count the call in the limit of all calls (assumed) and in that of its endpoint; reject it above a limit."""
        windows = [self._windows[name] for name in dict.fromkeys(("all", pool)) if name in self._windows]
        full = next((window for window in windows if window.used(call.now) >= window.limit), None)
        if full is None:
            for window in windows:
                window.take(call.now)
            return
        reset = full.take(call.now).reset if full.limit else call.now + _MINUTE
        sends_retry_after = "/batches" not in call.path or self._account.settings.batches_tell_retry_after
        wait = max(1, math.ceil(reset - call.now))
        detail = f"Rate limit of {full.limit} {noun(full.limit, 'request')} per minute exceeded."
        raise Problem(429, detail, retry_after=wait if sends_retry_after else None)

    def check_size(self, call: Call) -> None:
        """Reject a body above the limit in the settings; the vendor publishes no limit."""
        max_bytes = self._account.settings.max_body_bytes
        if max_bytes is not None and len(call.body) > max_bytes:
            raise Problem(413, f"The request body exceeds {max_bytes} {noun(max_bytes, 'byte')}.")

    def spend(self, calls: int, pool: str, now: float) -> int:
        """Count calls of other clients of the brand in a limit, and return the calls left.

        Args:
            calls: number of calls.
            pool: name of the rate limit: `all`, `tags`, `segment_reads` or `segment_writes`.
            now: time of the calls.
        """
        window = self._windows.get(pool)
        if window is None:
            return 0
        for _ in range(calls):
            window.take(now)
        return window.limit - window.used(now)

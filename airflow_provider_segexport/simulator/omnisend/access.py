"""Access checks: version, key, permission, and the limits of a brand."""

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
    """A key of a brand; permissions of None are those of the settings."""

    value: str
    permissions: Sequence[str] | None = None


def check_version(call: Call) -> None:
    """Refuse a missing version and a retired one; a later date means the newest (vendor page, 2026-08)."""
    version = call.headers.get("omnisend-version", "")
    if not _DATE.fullmatch(version):
        code = "invalid_format" if version else "required"
        raise invalid(FieldError("Omnisend-Version", code, f"The header must name a version, as {VERSION}"))
    if version < VERSION:
        raise Problem(410, f"API version {version} has been retired.")


class AccessCheck:
    """Checks calls of one brand; limits count over all its keys."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.renew()

    def renew(self) -> None:
        """Start new quota windows, as the settings now say."""
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
        """Refuse a key that lacks the permission."""
        settings = self._account.settings
        granted = settings.permissions if key.permissions is None else key.permissions
        # The OpenAPI lists products.read, contacts.read and events.read for reading batches (read 2026-11).
        wanted = settings.batch_read_permissions if needed == "batches.read" else [needed]
        for permission in wanted:
            if permission not in granted:
                raise Problem(403, f"Insufficient permissions for this operation: {permission} is required.")

    def check_limits(self, call: Call, pool: str) -> None:
        """Count the call, in the brand's one pool (assumed) and in that of its endpoint."""
        windows = [self._windows[name] for name in dict.fromkeys(("all", pool)) if name in self._windows]
        full = next((window for window in windows if window.used(call.now) >= window.limit), None)
        if full is None:
            for window in windows:
                window.take(call.now)
            return
        opens = full.take(call.now).reset if full.limit else call.now + _MINUTE
        sends_retry_after = "/batches" not in call.path or self._account.settings.batches_tell_retry_after
        wait = max(1, math.ceil(opens - call.now))
        detail = f"Rate limit of {full.limit} {noun(full.limit, 'request')} per minute exceeded."
        raise Problem(429, detail, retry_after=wait if sends_retry_after else None)

    def check_size(self, call: Call) -> None:
        """Refuse a body that is larger than the settings allow; the vendor publishes no limit."""
        most = self._account.settings.max_body_bytes
        if most is not None and len(call.body) > most:
            raise Problem(413, f"The request body exceeds {most} {noun(most, 'byte')}.")

    def spend(self, calls: int, pool: str, now: float) -> int:
        """Take calls out of a pool, as other users of the brand do; returns what is left."""
        window = self._windows.get(pool)
        if window is None:
            return 0
        for _ in range(calls):
            window.take(now)
        return window.limit - window.used(now)

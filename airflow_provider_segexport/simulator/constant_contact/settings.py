"""Settings of Constant Contact; the README marks the defaults that are assumptions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

SCOPES = ("contact_data", "account_read", "offline_access")
PRIVILEGES = (
    "contacts:read",
    "contacts:write",
    "contacts:lists:read",
    "contacts:lists:write",
    "account:read",
)


@dataclass(frozen=True)
class Settings:
    """The default limits are the published ones; None disables a limit."""

    calls_per_second: int | None = 4
    calls_per_day: int | None = 10_000
    token_calls_per_second: int | None = 1
    max_queued_activities: int = 1000
    max_import_bytes: int = 4_000_000
    max_import_rows: int = 40_000
    activity_days: int = 10
    access_seconds: int = 86_400
    refresh_unused_days: int = 180
    device_seconds: int = 600
    device_interval: int = 5
    long_lived_keys: list[str] = field(default_factory=lambda: ["long_lived"])
    public_keys: list[str] = field(default_factory=lambda: ["public"])
    reuse_revokes_all: bool = False
    approve_devices: bool = False
    scopes: list[str] = field(default_factory=lambda: list(SCOPES))
    privileges: list[str] = field(default_factory=lambda: list(PRIVILEGES))
    deactivated: bool = False
    start_seconds: float = 0.5
    job_seconds: float = 1.0
    job_seconds_per_row: float = 0.00005
    job_states: list[str] = field(default_factory=list)
    unknown_custom_field: Literal["ignore", "error", "refuse"] = "ignore"
    email_case: Literal["ignore", "keep"] = "ignore"
    new_permission: Literal["implicit", "explicit", "pending_confirmation"] = "implicit"
    decimals: Literal["keep", "cut", "error"] = "keep"
    no_list: Literal["empty", "left_out", "gone"] = "empty"
    first_line: int = 2
    rate_headers: bool = False
    bad_value: Literal["ignore", "error"] = "error"
    empty_value: Literal["keep", "clear"] = "keep"
    person_count: Literal["all", "valid"] = "all"
    max_activity_errors: int | None = None
    email_length: int = 80
    confirmed_opt_in: bool = False
    sign_up_sends_welcome: bool = True
    import_sends_welcome: bool = False
    unsubscribed_keep_lists: bool = True
    export_contact_id: bool = False
    export_headers: Literal["fields", "titles"] = "fields"

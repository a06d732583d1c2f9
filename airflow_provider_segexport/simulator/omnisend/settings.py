"""Settings of Omnisend; the README marks the defaults that are assumptions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

PERMISSIONS = ("contacts.read", "contacts.write", "segments.read", "segments.write", "brands.read")


@dataclass(frozen=True)
class Settings:
    """The default limits are the published ones; None disables a limit."""

    calls_per_minute: int | None = 400
    tag_calls_per_minute: int | None = 60
    segment_reads_per_minute: int | None = 100
    segment_writes_per_minute: int | None = 15
    others_per_minute: int = 0
    batches_tell_retry_after: bool = False
    permissions: list[str] = field(default_factory=lambda: list(PERMISSIONS))
    batch_read_permissions: list[str] = field(default_factory=lambda: ["contacts.read"])
    max_batch_items: int = 100
    max_body_bytes: int | None = None
    stop_after_errors: int | None = 50
    batch_days: int = 7
    start_seconds: float = 0.5
    job_seconds: float = 1.0
    job_seconds_per_row: float = 0.005
    job_states: list[str] = field(default_factory=list)
    shuffle_items: bool = True
    tag_seconds: float = 5.0
    segment_seconds: float = 10.0
    date_of_no_status: Literal["created", "none"] = "created"
    status_dates: Literal["latest", "last"] = "latest"
    update_tags: Literal["merge", "replace"] = "merge"
    left_out_tags: Literal["keep", "clear"] = "keep"
    tag_length: int = 128
    email_case: Literal["ignore", "keep"] = "ignore"
    new_status: Literal["nonSubscribed", "subscribed", "unsubscribed"] = "nonSubscribed"
    property_values: Literal["keep", "text", "reject"] = "keep"
    rate_headers: bool = False
    welcome_workflow: bool = True
    welcome_for: Literal["new", "subscribed"] = "new"

"""Generated credentials and a clock for hooks that run outside a task."""

from __future__ import annotations

NOW = 1_800_000_000.0
KEY, USER, PASSWORD = "cm-key-0123456789", "apiuser-1@apiconnector.com", "dd-password-0123456789"
FIELDS = {
    "campaign_monitor": {"password": KEY},
    "dotdigital": {"login": USER, "password": PASSWORD},
}

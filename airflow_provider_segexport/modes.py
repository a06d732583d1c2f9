"""Values of an export's arguments: sync modes, actions for a stale snapshot, limits. Imports nothing heavy."""

from __future__ import annotations

from typing import Literal

Mode = Literal["upsert", "mirror", "full"]
OnStale = Literal["skip", "fail", "verify"]
Subscribe = Literal["never", "with_proof"]
"""People that an export may subscribe: `never` none, `with_proof` those whose row has proof of consent."""

MOST_PROFILES = 1_000_000
"""Default of `max_profiles`."""

JOB_TIMEOUT_S = 6 * 3600.0
"""Default of `job_timeout`, seconds. The longest import that a vendor documents takes minutes."""

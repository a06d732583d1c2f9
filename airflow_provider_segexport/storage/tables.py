"""Names of the engine's tables that one stage creates and another stage reads, with their columns and owners.

Only the owner creates a table. Other stages read it by the constant. A table that only one stage uses is named in that
stage.
"""

from __future__ import annotations

from airflow_provider_segexport.model import Outcome, Reason
from airflow_provider_segexport.storage.duckdb_engine import Engine

CLEAN_ROWS = "clean_rows"
"""Owner: `clean`. `(row, email, <mapped columns>...)`: rows that are ready to be encoded."""

PROVEN_ROWS = "proven_rows"
"""Owner: `proof`. `(row, email, <mapped columns>..., <columns of the proof>..., proof_state)`: `CLEAN_ROWS` of an
export that sends proof of consent."""

EMAIL_KEYS = "email_keys"
"""Owner: `clean`. `(row, plain, email)`: every row with its address, trimmed; null if the row has none."""

VALID_EMAIL_ROWS = "valid_email_rows"
"""Owner: `clean`. `(row, email)`: every row with a valid address, duplicates too."""

NOT_SENT = "not_sent"
"""Owner: this module. `(row, outcome, reason, field)`: every row that will not be sent, and why."""

SUPPRESSED_EMAILS = "suppressed_emails"
"""Owner: `suppression`. `(email)`: people of the segment who are in a suppression list."""

SUPPRESSED_MEMBERS = "suppressed_members"
"""Owner: `suppression`. `(email)`: people of the ledger who are in a suppression list."""

LEDGER_HASHES = "ledger_hashes"
"""Owner: `load_ledger`. `(email, row_hash, confirmed)`: people who may be members, with the delivered content."""

LEDGER_MEMBERS = "ledger_members"
"""Owner: `load_ledger`. `(email, sharers_mask, other_hash, existed)`: the same people with claims."""

REMOVED_EMAILS = "removed_emails"
"""Owner: `load_ledger`. `(email)`: people that an export removed."""

LEFT_BEFORE = "left_before"
"""Owner: `load_ledger`. `(email)`: people who left on their own before this run."""

LAST_REJECTIONS = "last_rejections"
"""Owner: `load_ledger`. `(email, rejected_hash, attempts, first_rejected_at, last_rejected_at)`: of this export."""

BARRED_EMAILS = "barred_emails"
"""Owner: `load_ledger`. `(email, barred)`: people that an export has barred, with one bit for each such export."""

AUDIENCE_MEMBERS = "audience_members"
"""Owner: `readback`. `(email, contact_id, active)`: people that the vendor lists as members."""

LEFT_ON_THEIR_OWN = "left_on_their_own"
"""Owner: `readback`. `(email)`: people that an export added, and that the vendor no longer lists."""

LISTED_OPTOUTS = "listed_optouts"
"""Owner: `readback`. `(email, reason, since)`: opt-outs that the vendor lists."""


def create_not_sent(engine: Engine) -> None:
    """Create `NOT_SENT` without a row."""
    engine.run(f"create or replace table {NOT_SENT} (row bigint, outcome varchar, reason varchar, field varchar)")


def add_not_sent(engine: Engine, rows: str, outcome: Outcome, reason: Reason, field: str = "") -> None:
    """Add rows that will not be sent.

    Args:
        engine: holds `NOT_SENT`.
        rows: SQL of a relation with the column `row`.
        outcome: the outcome of all these rows.
        reason: the reason of all these rows.
        field: the field that causes it; empty if no single field does.
    """
    engine.run(f"insert into {NOT_SENT} select row, ?, ?, ? from {rows}", [outcome, reason, field])

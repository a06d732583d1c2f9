"""Read the audience back and compare it with the ledger or with the rows that were sent.

Before the plan, the comparison finds people who left on their own, because some vendors' imports bring them back. After
the calls, it finds the rows that a vendor rejected but only counted.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pyarrow as pa

from airflow_provider_segexport.model import Batch, BatchResult, Member, OptOut, Outcome, Reason, RowRejection
from airflow_provider_segexport.storage.arrow import bool_array, int_array, string_array
from airflow_provider_segexport.storage.duckdb_engine import Engine
from airflow_provider_segexport.storage.results import settled
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.tables import (
    AUDIENCE_MEMBERS,
    CLEAN_ROWS,
    LEDGER_HASHES,
    LEFT_BEFORE,
    LEFT_ON_THEIR_OWN,
    LISTED_OPTOUTS,
    NOT_SENT,
    add_not_sent,
)

log = logging.getLogger(__name__)

STILL_IN_AUDIENCE = "still_in_audience"
NOT_REMOVED = "The vendor confirmed the removal, but the person was in the audience when it was read back."
NOT_ADDED_CODE = "not_added"
NOT_ADDED = "Counted by the vendor as not added, and not in the audience when it was read back."


class Pages:
    """Collect pages of members in `AUDIENCE_MEMBERS`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        engine.run(f"create or replace table {AUDIENCE_MEMBERS} (email varchar, contact_id varchar, active boolean)")

    def __call__(self, people: Sequence[Member]) -> None:
        """Add one page."""
        page = pa.table(
            {
                "email": string_array(person.email for person in people),
                "contact_id": string_array(person.contact_id for person in people),
                "active": bool_array(person.active for person in people),
            }
        )
        self._engine.append(AUDIENCE_MEMBERS, page, "from incoming")


class OptOuts:
    """Collect pages of opt-outs in `LISTED_OPTOUTS`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        engine.run(f"create or replace table {LISTED_OPTOUTS} (email varchar, reason varchar, since varchar)")

    def __call__(self, people: Sequence[OptOut]) -> None:
        """Add one page."""
        page = pa.table(
            {
                "email": string_array(person.email for person in people),
                "reason": string_array(person.reason for person in people),
                "since": string_array(person.since for person in people),
            }
        )
        self._engine.append(LISTED_OPTOUTS, page, "from incoming")


def opted_out(engine: Engine, batch: Batch) -> list[int]:
    """Return the indexes of a batch's entries whose people are listed as opted out."""
    _load_batch_emails(engine, batch)
    return _indexes(
        engine, f"select distinct b.i from batch_emails b semi join {LISTED_OPTOUTS} o on o.email = b.email"
    )


def withhold_leavers(engine: Engine) -> int:
    """Withhold people that an export added and who left or were deleted at the vendor; return the number of rows.

    An import would bring them back. A member who gets no mail has not left.
    """
    find_left(engine)
    engine.run(
        f"""create or replace table left_rows as
        select c.row from {CLEAN_ROWS} c semi join {LEFT_ON_THEIR_OWN} l on l.email = c.email"""
    )
    add_not_sent(engine, "left_rows", Outcome.WITHHELD, Reason.LEFT_AUDIENCE, "email")
    return int(engine.single_row("select count(*) from left_rows")[0])


def withhold_opted_out(engine: Engine) -> int:
    """Withhold the people in `LISTED_OPTOUTS`; return the number of rows.

    It is used for accounts in which two addresses that differ in case are two people. A person may have opted out under
    an address in another case than the one that is sent.
    """
    engine.run(
        f"""create or replace table opted_out_rows as
        select c.row from {CLEAN_ROWS} c semi join {LISTED_OPTOUTS} o on o.email = c.email
        anti join {NOT_SENT} n on n.row = c.row"""
    )
    add_not_sent(engine, "opted_out_rows", Outcome.WITHHELD, Reason.UNSUBSCRIBED, "email")
    return int(engine.single_row("select count(*) from opted_out_rows")[0])


def find_left(engine: Engine) -> None:
    """Create `LEFT_ON_THEIR_OWN`: people that the ledger has as added or as left, and who are not members now."""
    engine.run(
        f"""create or replace table {LEFT_ON_THEIR_OWN} as select l.email
        from (select email from {LEDGER_HASHES} where confirmed union all select email from {LEFT_BEFORE}) l
        anti join {AUDIENCE_MEMBERS} m on m.email = l.email"""
    )


def left_rows(engine: Engine, batch: Batch) -> list[int]:
    """Return the indexes of a batch's entries whose people left on their own."""
    _load_batch_emails(engine, batch)
    return _indexes(engine, f"select b.i from batch_emails b semi join {LEFT_ON_THEIR_OWN} l on l.email = b.email")


def unattributed_count(folder: RunFolder) -> int:
    """Count the rows whose result is open: the vendor counted rejections without naming them, or confirmed nothing."""
    return sum(entry.unattributed for entry in folder.journal.states().values())


def attribute(engine: Engine, folder: RunFolder, names: tuple[str, ...]) -> None:
    """Attribute counted rejections to rows: those whose people are not active members.

    Each batch is attributed once, because its journal entry then has no unattributed rows left.

    Args:
        engine: holds `AUDIENCE_MEMBERS`.
        folder: the run folder.
        names: ids of the planned batches.
    """
    for batch, entry in settled(folder, names):
        if entry.unattributed:
            decided = folder.rejected_rows(batch) | {batch.rows[index] for index in (*entry.retry, *entry.resubscribe)}
            absent = [index for index in absent_rows(engine, batch) if batch.rows[index] not in decided]
            # If more people are absent than the vendor counted, some are absent for another reason.
            is_count_reason = len(absent) <= entry.unattributed
            reason = Reason(entry.unattributed_reason) if is_count_reason else Reason.NO_RESULT
            rejected = tuple(RowRejection(index, reason, NOT_ADDED_CODE, NOT_ADDED) for index in absent)
            folder.add_rejections(batch, entry, BatchResult(rejected=rejected))
            if len(absent) != entry.unattributed:
                log.warning(
                    "Attributing rejections by absence (counted_by_vendor=%d absent=%d)",
                    entry.unattributed,
                    len(absent),
                )


def unconfirmed(folder: RunFolder, names: tuple[str, ...]) -> list[str]:
    """Return addresses of leavers whose removal the vendor has accepted but not confirmed."""
    accepted = [(batch, folder.rejected_rows(batch)) for batch, entry in settled(folder, names) if entry.unattributed]
    return [
        email
        for batch, rejected in accepted
        for row, email in zip(batch.rows, batch.emails, strict=True)
        if row not in rejected
    ]


def count_still_there(engine: Engine, folder: RunFolder, names: tuple[str, ...], *, last: bool) -> int:
    """Count the leavers who are still members although the vendor accepted their removal.

    The removals of a batch without such people become confirmed. With `last`, such people are recorded as rejected.

    Args:
        engine: holds `AUDIENCE_MEMBERS`.
        folder: the removals' part of the run folder.
        names: ids of the planned batches.
        last: whether this is the last check.
    """
    total = 0
    for batch, entry in settled(folder, names):
        if entry.unattributed:
            decided = folder.rejected_rows(batch)
            present = [index for index in present_rows(engine, batch) if batch.rows[index] not in decided]
            total += len(present)
            if last or not present:
                rejected = tuple(
                    RowRejection(index, Reason.STILL_IN_AUDIENCE, STILL_IN_AUDIENCE, NOT_REMOVED) for index in present
                )
                folder.add_rejections(batch, entry, BatchResult(rejected=rejected))
    return total


def member_ids(engine: Engine, batch: Batch) -> list[tuple[int, str]]:
    """Return index and contact id of a batch's people who are members, once for each of their contacts."""
    _load_batch_emails(engine, batch)
    return sorted(
        engine.rows(
            f"""select distinct b.i, m.contact_id from {AUDIENCE_MEMBERS} m join batch_emails b on b.email = m.email
            where m.contact_id <> ''"""
        )
    )


def present_rows(engine: Engine, batch: Batch) -> list[int]:
    """Return the indexes of a batch's entries whose people are members."""
    _load_batch_emails(engine, batch)
    return _indexes(engine, f"select distinct b.i from {AUDIENCE_MEMBERS} m join batch_emails b on b.email = m.email")


def inactive_rows(engine: Engine, batch: Batch) -> list[int]:
    """Return the indexes of a batch's entries whose people are members that get no mail."""
    _load_batch_emails(engine, batch)
    return _indexes(
        engine,
        f"""select b.i from {AUDIENCE_MEMBERS} m join batch_emails b on b.email = m.email
        group by b.i having not bool_or(m.active)""",
    )


def absent_rows(engine: Engine, batch: Batch) -> list[int]:
    """Return the indexes of a batch's entries whose people are no active members."""
    _load_batch_emails(engine, batch)
    # The join hashes its right side: the batch, not the audience.
    active = f"select b.i from {AUDIENCE_MEMBERS} m join batch_emails b on b.email = m.email where m.active"
    return sorted(set(range(len(batch))) - set(_indexes(engine, active)))


def _load_batch_emails(engine: Engine, batch: Batch) -> None:
    """Create `batch_emails(i, email)`: a batch's addresses by index."""
    engine.table("batch_emails", pa.table({"i": int_array(range(len(batch))), "email": string_array(batch.emails)}))


def _indexes(engine: Engine, sql: str) -> list[int]:
    return sorted(index for (index,) in engine.rows(sql))

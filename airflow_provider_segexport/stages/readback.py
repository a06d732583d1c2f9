"""Reads the audience back, and finds who is not in it: before the plan those who left, after it those not named.

Some vendors bring people back who left an audience by their own choice, and some only count whom they did not take.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pyarrow as pa

from airflow_provider_segexport.model import Batch, BatchResult, Member, OptOut, Outcome, Reason, RowRejection
from airflow_provider_segexport.storage.arrow import bool_array, int_array, string_array
from airflow_provider_segexport.storage.duckdb_engine import Engine
from airflow_provider_segexport.storage.journal import Entry
from airflow_provider_segexport.storage.results import settled
from airflow_provider_segexport.storage.run_folder import RunFolder

log = logging.getLogger(__name__)

STILL_IN_AUDIENCE = "still_in_audience"
NOT_REMOVED = "Taken out, and in the audience all the same when it was read back."
NOT_ADDED_CODE = "not_added"
NOT_ADDED = "Counted by the vendor as not added, and not in the audience when it was read back."


class Pages:
    """Takes pages of members into the table `members(email, contact_id, active)`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        engine.run("create or replace table members (email varchar, contact_id varchar, active boolean)")

    def __call__(self, people: Sequence[Member]) -> None:
        """Add one page."""
        self._engine.table(
            "page",
            pa.table(
                {
                    "email": string_array(person.email for person in people),
                    "contact_id": string_array(person.contact_id for person in people),
                    "active": bool_array(person.active for person in people),
                }
            ),
        )
        self._engine.run("insert into members select * from page")


class OptOuts:
    """Takes pages of opt-outs into the table `listed(email, reason, since)`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        engine.run("create or replace table listed (email varchar, reason varchar, since varchar)")

    def __call__(self, people: Sequence[OptOut]) -> None:
        """Add one page."""
        page = pa.table(
            {
                "email": string_array(one.email for one in people),
                "reason": string_array(one.reason for one in people),
                "since": string_array(one.since for one in people),
            }
        )
        self._engine.table("page", page)
        self._engine.run("insert into listed select * from page")


def opted_out(engine: Engine, batch: Batch) -> list[int]:
    """Entries of a batch who are listed as opted out."""
    _sent(engine, batch)
    rows = engine.rows("select distinct s.i from sent s semi join listed l on l.email = s.email")
    return sorted(index for (index,) in rows)


def withhold_leavers(engine: Engine) -> int:
    """Set aside whom we put into the audience and who is not in it any more; returns how many.

    They left, or were taken out there, and an import would bring them back. Who is in it and gets no mail has not left.
    """
    find_gone(engine)
    engine.run("create or replace table leavers as select c.row from clean c semi join gone g on g.email = c.email")
    engine.run(
        "insert into aside select row, ?, ?, 'email' from leavers",
        [Outcome.WITHHELD, Reason.LEFT_AUDIENCE],
    )
    return int(engine.one("select count(*) from leavers")[0])


def find_gone(engine: Engine) -> None:
    """`gone(email)`: whom the ledger says we put into the audience, and who is not among its members."""
    engine.run(
        """create or replace table gone as select l.email
        from (select email from ledger where sure union all select email from gone_before) l
        anti join members m on m.email = l.email"""
    )


def left_rows(engine: Engine, batch: Batch) -> list[int]:
    """Entries of a batch who are gone."""
    _sent(engine, batch)
    return sorted(index for (index,) in engine.rows("select s.i from sent s semi join gone g on g.email = s.email"))


def unattributed_count(folder: RunFolder) -> int:
    """Rows that the vendor has only counted as not taken, or taken without a word on whom."""
    return sum(entry.unattributed for entry in folder.journal.states().values())


def attribute(engine: Engine, folder: RunFolder, names: tuple[str, ...]) -> None:
    """Give the rows that were only counted their verdict: they are those that the audience does not hold as active.

    A batch is named once: what it writes into the journal says that nothing is left to name.
    """
    for batch, entry in settled(folder, names):
        if entry.unattributed:
            known = folder.rejected_rows(batch) | {batch.rows[index] for index in (*entry.retry, *entry.resubscribe)}
            found = [index for index in absent_rows(engine, batch) if batch.rows[index] not in known]
            folder.add_rejections(batch, entry, BatchResult(rejected=tuple(_verdict(i, found, entry) for i in found)))
            if len(found) != entry.unattributed:
                log.warning(
                    "Rows that the vendor counted as not added: %d; not in the audience: %d. The report names these.",
                    entry.unattributed,
                    len(found),
                )


def unconfirmed(folder: RunFolder, names: tuple[str, ...]) -> list[str]:
    """Leavers whom an answer has only promised to take out."""
    waiting = [(batch, folder.rejected_rows(batch)) for batch, entry in settled(folder, names) if entry.unattributed]
    return [
        email
        for batch, known in waiting
        for row, email in zip(batch.rows, batch.emails, strict=True)
        if row not in known
    ]


def count_still_there(engine: Engine, folder: RunFolder, names: tuple[str, ...], *, last: bool) -> int:
    """Look at leavers whose removal nobody has confirmed; returns how many are in the audience yet.

    Whoever is gone has their verdict. At the last look whoever is not has one too.
    """
    left_rows = 0
    for batch, entry in settled(folder, names):
        if entry.unattributed:
            known = folder.rejected_rows(batch)
            found = [index for index in present_rows(engine, batch) if batch.rows[index] not in known]
            left_rows += len(found)
            if last or not found:
                refused = tuple(
                    RowRejection(index, Reason.STILL_IN_AUDIENCE, STILL_IN_AUDIENCE, NOT_REMOVED) for index in found
                )
                folder.add_rejections(batch, entry, BatchResult(rejected=refused))
    return left_rows


def other_ids(engine: Engine, folder: RunFolder, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """People to be taken out by contact id who are in the audience under another id: address and id."""
    people: list[tuple[str, str]] = []
    for batch, entry in settled(folder, names):
        if entry.unattributed:
            ids = dict(zip(batch.emails, batch.items, strict=True))
            _sent(engine, batch)
            rows = engine.rows(
                "select distinct m.email, m.contact_id from members m semi join sent s on s.email = m.email"
            )
            people += [(email, id_) for email, id_ in rows if id_ and id_ != ids[email]]
    return people


def present_rows(engine: Engine, batch: Batch) -> list[int]:
    """Entries of a batch whom the audience holds."""
    _sent(engine, batch)
    rows = engine.rows("select distinct s.i from members m join sent s on s.email = m.email")
    return sorted(index for (index,) in rows)


def absent_rows(engine: Engine, batch: Batch) -> list[int]:
    """Entries of a batch whom the audience does not hold as active. The batch, not the audience, is what is hashed."""
    _sent(engine, batch)
    present_rows = engine.rows("select s.i from members m join sent s on s.email = m.email where m.active")
    return sorted(set(range(len(batch))) - {index for (index,) in present_rows})


def _sent(engine: Engine, batch: Batch) -> None:
    engine.table("sent", pa.table({"i": int_array(range(len(batch))), "email": string_array(batch.emails)}))


def _verdict(index: int, found: Sequence[int], entry: Entry) -> RowRejection:
    """Where no more are missing than were counted, they are the counted ones, and the count's reason is theirs."""
    reason = Reason(entry.unattributed_reason) if len(found) <= entry.unattributed else Reason.NO_RESULT
    return RowRejection(index, reason, NOT_ADDED_CODE, NOT_ADDED)

"""The number of members that a version of a ledger states is that of its rows, whatever happened to each person."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain, product

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_segexport.model import Reason
from airflow_provider_segexport.storage import next_version
from airflow_provider_segexport.storage.duckdb_engine import engine
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_facts import LedgerCommit
from airflow_provider_segexport.storage.ledger_schema import (
    LEFT,
    MAYBE_MEMBER,
    MEMBER,
    NOT_ADDED,
    REMOVED,
    REMOVING,
    SCHEMA,
)
from airflow_provider_segexport.storage.paths import local_path

EARLIER, STARTED, NOW = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))
AS_OF = "2026-01-02T00:00:00Z"
BEFORE = [None, *product((MEMBER, REMOVED, REMOVING, LEFT, NOT_ADDED), (None, EARLIER, NOW), ("earlier", "this"))]
"""State, `added_at` and run of a person before; None for a new person."""
REJECTED = [Reason.NO_RESULT, Reason.JOB_FAILED, Reason.UNSUBSCRIBED, Reason.DELETED, Reason.INVALID_VALUE]
RESULTS = ["delivered", "unknown", "removed", "maybe_removed", "gone", "unchanged", *REJECTED]


def people_by_address():
    """Each state before with each result of a run; a former member that the vendor rejects has none."""
    return {
        f"p{at}@example.com": case
        for at, case in enumerate(product(BEFORE, RESULTS))
        if case[0] or case[1] in {"delivered", "unknown", *REJECTED}
    }


@contextmanager
def next_rows(tmp_path, *, keep_left):
    """Yield an engine, and SQL of the next version's rows."""
    people = people_by_address()
    previous = [
        {"email": email, "state": before[0], "added_at": before[1], "run": before[2], "as_of": STARTED, "row_hash": 1}
        for email, (before, _) in people.items()
        if before
    ]
    file = tmp_path / "previous.parquet"
    pq.write_table(pa.Table.from_pylist(previous, schema=SCHEMA), file)
    of = {result: [email for email, (_, each) in people.items() if each == result] for result in RESULTS}
    origin = LedgerCommit(
        AS_OF, "this", started_at=STARTED.timestamp(), ended_at=NOW.timestamp() + 60, keep_left=keep_left
    )
    with engine() as sql:
        sql.run(f"create view previous as select * from {sql.scan([local_path(str(file))])}")

        def table(name, columns, rows):
            sql.run(f"create table {name} ({columns})")
            for row in rows:
                sql.run(f"insert into {name} values ({', '.join('?' * len(row))})", list(row))

        delivered = [(email, 2, None) for email in of["delivered"]] + [(email, None, None) for email in of["unknown"]]
        table("delivered_rows", "email varchar, row_hash ubigint, contact_id varchar", delivered)
        rejected = [(email, 2, str(reason)) for reason in REJECTED for email in of[reason]]
        table("rejected_rows", "email varchar, row_hash ubigint, reason varchar", rejected)
        removed = [(email, 2) for email in of["removed"]] + [(email, None) for email in of["maybe_removed"]]
        table("removed_now", "email varchar, row_hash ubigint", removed)
        table("already_gone", "email varchar, reason varchar", [(email, "not_in_audience") for email in of["gone"]])
        table("planned_sharers", "email varchar, sharers_mask ubigint, row_hash ubigint", [])
        table("planned_bars", "email varchar, barred ubigint", [])
        table("planned_existing", "email varchar", [])
        changed = [(email,) for email, (_, result) in people.items() if result != "unchanged"]
        table("changed_emails", "email varchar", changed)
        sql.run("create table previous_touched as select l.* from previous l semi join changed_emails using (email)")
        parts = next_version.parts(origin, next_version.CHANGES[:4], first=False, was_read=False)
        yield sql, " union all ".join(parts)


@pytest.mark.parametrize("keep_left", [False, True])
def test_the_number_of_members_is_that_of_the_rows(tmp_path, keep_left):
    with next_rows(tmp_path, keep_left=keep_left) as (sql, rows):
        ledger = Ledger(local_path(str(tmp_path / "ledger")))
        ledger.commit(sql.stream(rows, rows=7), 0, {"members": "0"})
        (counted,) = sql.single_row(f"select count(*) from ({rows}) where state in {MAYBE_MEMBER}")
        assert counted == ledger.members()
        assert sql.single_row(f"select count(*) from ({rows}) where state = '{NOT_ADDED}' and reason = 'unsubscribed'")[
            0
        ]


@pytest.mark.parametrize(
    ("reason", "after"),
    [
        (Reason.INVALID_VALUE, (REMOVING, 1)),
        (Reason.UNSUBSCRIBED, (REMOVED, 0)),
        (Reason.DELETED, (REMOVED, 0)),
    ],
)
def test_a_rejected_value_does_not_say_that_a_removal_was_done(tmp_path, reason, after):
    """The vendor may not have removed a person who is in the segment again, and a later run has to remove them."""
    people = people_by_address()
    with next_rows(tmp_path, keep_left=False) as (sql, rows):
        states = {email: row for email, *row in sql.rows(f"select email, state, sharers_mask from ({rows})")}
    removing = [
        email for email, (before, result) in people.items() if before and before[0] == REMOVING and result == reason
    ]
    assert {tuple(states[email]) for email in removing} == {after}


TABLES = {
    "delivered_rows": "email, 2::ubigint as row_hash, null::varchar as contact_id from previous limit 400",
    "rejected_rows": "email, 2::ubigint as row_hash, 'invalid_value' as reason from previous limit 20 offset 400",
    "removed_now": "email, 2::ubigint as row_hash from previous limit 300 offset 420",
    "already_gone": "email, 'not_in_audience' as reason from previous limit 20 offset 720",
    "planned_sharers": "email, 3::ubigint as sharers_mask, 2::ubigint as row_hash from previous offset 740",
    "planned_bars": "email, 1::ubigint as barred from previous limit 400 offset 800",
    "planned_existing": "email from previous limit 400 offset 1200",
    "changed_emails": "email from previous limit 740",
}


def test_the_rows_of_every_kind_of_change_fit_into_the_memory_of_an_engine(tmp_path):
    """Each join holds up to 10 MB, so a single statement of all parts does not fit, however small the tables are."""
    person = {
        "state": MEMBER,
        "added_at": EARLIER,
        "run": "earlier",
        "as_of": STARTED,
        "row_hash": 1,
        "sharers_mask": 1,
    }
    previous = [{**person, "email": f"p{at}@example.com", "hashes": [(0, 1)]} for at in range(40_000)]
    file = tmp_path / "previous.parquet"
    pq.write_table(pa.Table.from_pylist(previous, schema=SCHEMA), file)
    origin = LedgerCommit(AS_OF, "this", started_at=STARTED.timestamp(), ended_at=NOW.timestamp())
    with engine() as sql:
        sql.run(f"create view previous as select * from {sql.scan([local_path(str(file))])}")
        for name, select in TABLES.items():
            sql.run(f"create table {name} as select {select}")
        sql.run("create table previous_touched as select l.* from previous l semi join changed_emails using (email)")
        parts = next_version.parts(origin, next_version.CHANGES, first=False, was_read=True)
        batches = chain.from_iterable(map(sql.stream, parts))
        assert len(previous) - 20 == sum(batch.num_rows for batch in batches)

"""The number of members that a version of a ledger states is that of its rows, whatever happened to each person."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

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


@pytest.mark.parametrize("keep_left", [False, True])
def test_the_number_of_members_is_that_of_the_rows(tmp_path, keep_left):
    """Each person has a state before and a result of the run; a former member that the vendor rejects has none."""
    people = [
        (f"p{at}@example.com", before, result)
        for at, (before, result) in enumerate(product(BEFORE, RESULTS))
        if before or result in {"delivered", "unknown", *REJECTED}
    ]
    previous = [
        {"email": email, "state": before[0], "added_at": before[1], "run": before[2], "as_of": STARTED, "row_hash": 1}
        for email, before, _ in people
        if before
    ]
    file = tmp_path / "previous.parquet"
    pq.write_table(pa.Table.from_pylist(previous, schema=SCHEMA), file)
    of = {result: [email for email, _, each in people if each == result] for result in RESULTS}
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
        changed = [(email,) for email, _, result in people if result != "unchanged"]
        table("changed_emails", "email varchar", changed)
        sql.run("create table previous_touched as select l.* from previous l semi join changed_emails using (email)")
        rows = next_version.rows(origin, next_version.CHANGES[:4], first=False, was_read=False)
        ledger = Ledger(local_path(str(tmp_path / "ledger")))
        ledger.commit(sql.stream(rows, rows=7), 0, {"members": "0"})
        (counted,) = sql.single_row(f"select count(*) from ({rows}) where state in {MAYBE_MEMBER}")
        assert counted == ledger.members()
        assert sql.single_row(f"select count(*) from ({rows}) where state = '{NOT_ADDED}' and reason = 'unsubscribed'")[
            0
        ]

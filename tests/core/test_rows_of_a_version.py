"""Each address has exactly one row in the next version of a ledger, whatever a run changes, and no address is lost."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_segexport.model import Reason
from airflow_provider_segexport.storage import next_version
from airflow_provider_segexport.storage.duckdb_engine import engine
from airflow_provider_segexport.storage.ledger_facts import LedgerCommit
from airflow_provider_segexport.storage.ledger_schema import LEFT, MEMBER, NOT_ADDED, REMOVED, REMOVING, SCHEMA
from airflow_provider_segexport.storage.paths import local_path

EARLIER, STARTED, NOW = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))
PEOPLE = 60
TABLES = {
    "delivered_rows": "email varchar, row_hash ubigint, contact_id varchar",
    "rejected_rows": "email varchar, row_hash ubigint, reason varchar",
    "removed_now": "email varchar, row_hash ubigint",
    "already_gone": "email varchar, reason varchar",
    "planned_sharers": "email varchar, sharers_mask ubigint, row_hash ubigint",
    "planned_bars": "email varchar, barred ubigint",
    "planned_existing": "email varchar",
    "changed_emails": "email varchar",
}
RESULTS, PLANNED = list(TABLES)[:4], list(TABLES)[4:7]
REJECTIONS = [Reason.NO_RESULT, Reason.UNSUBSCRIBED, Reason.DELETED, Reason.INVALID_VALUE]


def random_row(pick, email):
    """A row of the previous version; the values need not occur together."""
    return {
        "email": email,
        "row_hash": pick([None, 1]),
        "state": pick([MEMBER, REMOVED, REMOVING, LEFT, NOT_ADDED]),
        "added_at": pick([None, EARLIER, STARTED, NOW]),
        "run": pick(["earlier", "this"]),
        "as_of": STARTED,
        "sharers_mask": pick([0, 1, 3]),
        "sent_by": pick([None, 0, 1]),
        "hashes": pick([None, [(1, 7)]]),
        "barred": pick([None, 0, 1, 2]),
        "existed": pick([None, False, True]),
        "rejected_by": pick([None, 0, 1]),
        "rejected_hash": pick([None, 2]),
        "attempts": pick([None, 1, 255]),
    }


def random_change(pick, table):
    """The columns of a change without the address."""
    return {
        "delivered_rows": (pick([2, None]), None),
        "rejected_rows": (2, str(pick(REJECTIONS))),
        "removed_now": (pick([2, None]),),
        "already_gone": (str(pick([Reason.NOT_IN_AUDIENCE, Reason.UNSUBSCRIBED])),),
        "planned_sharers": (pick([0, 1, 3]), pick([None, 8])),
        "planned_bars": (pick([0, 1, 3]),),
        "planned_existing": (),
    }[table]


def random_case(pick):
    """The previous version's rows and the tables of changes. A person has one result at most."""
    used = {name for name in [*RESULTS, *PLANNED, "previous"] if pick([True, True, False])}
    previous, tables = {}, {name: {} for name in TABLES}
    for number in range(PEOPLE):
        email = f"p{number}@example.com"
        if "previous" in used and pick([True, False]):
            previous[email] = random_row(pick, email)
        result = pick([*RESULTS, *RESULTS, None, None, None])
        chosen = [result] if result else []
        chosen += [name for name in PLANNED if pick([True, False, False])]
        for name in used.intersection(chosen):
            tables[name][email] = random_change(pick, name)
            if name in RESULTS:
                tables["changed_emails"][email] = ()
    return previous, tables


def is_kept(before, reason, barred, *, keep_left):
    """Whether the row of a person who was not in the audience any more is kept."""
    if before is None:
        return False
    is_removed = before["state"] == REMOVING and reason != Reason.UNSUBSCRIBED
    has_left = keep_left and before["added_at"] is not None
    return is_removed or has_left or bool(before["barred"] if barred is None else barred)


def next_rows(folder, previous, tables, origin, *, was_read):
    """The rows of the next version."""
    with engine() as sql:
        if previous:
            file = folder / "previous.parquet"
            pq.write_table(pa.Table.from_pylist(list(previous.values()), schema=SCHEMA), file)
            sql.run(f"create view previous as select * from {sql.scan([local_path(str(file))])}")
        for name, columns in TABLES.items():
            sql.run(f"create table {name} ({columns})")
            kinds = {"varchar": pa.string(), "ubigint": pa.uint64()}
            schema = pa.schema([(name, kinds[kind]) for name, kind in map(str.split, columns.split(", "))])
            rows = [dict(zip(schema.names, (email, *more), strict=True)) for email, more in tables[name].items()]
            sql.table(f"new_{name}", pa.Table.from_pylist(rows, schema=schema))
            sql.run(f"insert into {name} select * from new_{name}")
        sql.table("previous_touched", pa.Table.from_batches([], SCHEMA))
        if previous:
            sql.run("insert into previous_touched select l.* from previous l semi join changed_emails using (email)")
        changes = [name for name in next_version.CHANGES if tables[name]]
        parts = next_version.parts(origin, changes, first=not previous, was_read=was_read)
        return [row for part in parts for batch in sql.stream(part) for row in batch.cast(SCHEMA).to_pylist()]


@pytest.mark.parametrize("seed", range(30))
def test_each_address_has_one_row(tmp_path, seed):
    """Rows without a result keep their values, but for claims, bars and `existed` that the plan changes."""
    generator = random.Random(seed)
    pick = generator.choice
    previous, tables = random_case(pick)
    origin = LedgerCommit(
        "2026-01-02T00:00:00Z",
        "this",
        started_at=STARTED.timestamp(),
        ended_at=NOW.timestamp(),
        keep_left=pick([True, False]),
        is_shared=pick([True, False]),
    )
    rows = next_rows(tmp_path, previous, tables, origin, was_read=bool(tables["planned_existing"]))
    after = {row["email"]: row for row in rows}
    assert len(after) == len(rows)
    bars = {email: barred for email, (barred,) in tables["planned_bars"].items()}
    dropped = {
        email
        for email, (reason,) in tables["already_gone"].items()
        if not is_kept(previous.get(email), reason, bars.get(email), keep_left=origin.keep_left)
    }
    changed = set().union(*(tables[name] for name in TABLES if name != "planned_sharers"))
    assert (previous.keys() | changed) - dropped == after.keys()
    for email, row in after.items():
        before = previous.get(email, {})
        assert (row["barred"] or 0) == bars.get(email, before.get("barred") or 0)
        if email not in tables["changed_emails"] and before:
            is_noted = email in tables["planned_existing"] and before["state"] == NOT_ADDED
            assert bool(row["existed"]) == (bool(before["existed"]) or is_noted)
            assert [before[name] for name in ("state", "row_hash", "run")] == [
                row["state"],
                row["row_hash"],
                row["run"],
            ]

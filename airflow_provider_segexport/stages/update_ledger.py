"""Write what the vendor has accepted into the ledger: `plan, batch results -> next version of the ledger`.

The next version is the previous one with the rows of `changed_emails` replaced. `storage.next_version` has its SQL,
over the tables that this stage creates.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import duckdb
import pyarrow as pa

from airflow_provider_segexport.errors import DamagedState, RetryableError, Superseded
from airflow_provider_segexport.model import GONE
from airflow_provider_segexport.storage import erased, next_version
from airflow_provider_segexport.storage.duckdb_engine import Engine, listed
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_facts import LedgerCommit, facts_of
from airflow_provider_segexport.storage.ledger_schema import SCHEMA
from airflow_provider_segexport.storage.local_copies import is_written
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.results import Numbered, late_rows, settled_rows
from airflow_provider_segexport.storage.run_folder import RunFolder

COMMIT_ATTEMPTS = 3
"""Attempts to write the next version while other runs write the same ledger."""

PLANNED_ROWS = pa.schema([("row", pa.int64()), ("email", pa.string()), ("row_hash", pa.uint64())])
"""Columns of the planned rows that are joined to batch results."""

MAX_ROWS_PER_STEP = 250_000
"""Rows that are joined to their results at a time. A million at once takes 60 MiB."""


@dataclass(frozen=True, slots=True)
class PlanBatches:
    """The ids of the planned batches, in the order of their record batches.

    Attributes:
        upsert_batches, removal_batches: ids of the plan's batches.
        late: for a superseded run, the ids of the upsert batches and of the removal batches that it may have sent after
            it was superseded. Only their rows are written, as possible members with unknown content. None for any other
            run.
    """

    upsert_batches: tuple[str, ...]
    removal_batches: tuple[str, ...] = ()
    late: tuple[frozenset[str], frozenset[str]] | None = None


def update_ledger(engine: Engine, ledger: Ledger, folder: RunFolder, names: PlanBatches, origin: LedgerCommit) -> int:
    """Write the next version of the ledger.

    An unfinished run that has changed nothing writes no version. A finished run always writes one, which records the
    snapshot that the audience is at.

    Args:
        engine: joins the rows.
        ledger: the audience's ledger.
        folder: the run folder.
        names: ids of the run's batches.
        origin: the run, as the version names it.

    Returns:
        The number of the newest version.

    Raises:
        RetryableError: other runs wrote the ledger in each of `COMMIT_ATTEMPTS` attempts.
        Superseded: another run has taken the audience over.
    """
    if names.late is None:
        _load_results(engine, folder, names, in_flight=origin.count_in_flight_as_sent)
    else:
        _load_late_rows(engine, folder, names, names.late)
    changes = [name for name in next_version.CHANGES if engine.rows(f"select 1 from {name} limit 1")]
    if set(changes) <= {"planned_sharers", "planned_existing"} and not origin.finished:
        return ledger.version()
    was_read = is_written(folder.path / "existing.parquet")
    for _ in range(COMMIT_ATTEMPTS):
        latest = ledger.pinned()
        version = latest.version()
        with _own_version(ledger):
            _load_previous(engine, latest, version)
            parts = next_version.parts(origin, changes, first=not version, was_read=was_read)
            facts = facts_of(origin, latest.facts(version))
            try:
                return ledger.commit(chain.from_iterable(map(engine.stream, parts)), version, facts)
            except Superseded:
                raise
            except RetryableError:
                continue
    raise RetryableError("The audience's ledger changes faster than it can be written: another run is writing it.")


@contextmanager
def _own_version(ledger: Ledger) -> Iterator[None]:
    """Raise `Superseded` if a version cannot be read because the next holder of the lease has removed it."""
    try:
        yield
    except (DamagedState, FileNotFoundError, duckdb.IOException):
        ledger.fence.check()
        raise


def _load_previous(engine: Engine, ledger: Ledger, version: int) -> None:
    """Create `previous`, the version that the next one is made from, and `previous_touched`, the rows that change.

    Joins by address use `previous_touched`, which is small if the ledger is large and the run small.
    """
    if not version:
        engine.table("previous_touched", pa.Table.from_batches([], SCHEMA))
        return
    ledger.check(version)
    erased.forget(engine, ledger.path, ledger.file(version), ledger.names)
    engine.run(f"create or replace view previous as select * from {engine.scan([ledger.file(version)])}")
    engine.run(
        """create or replace table previous_touched as
        select l.* from previous l semi join changed_emails c on c.email = l.email"""
    )


def _load_results(engine: Engine, folder: RunFolder, names: PlanBatches, *, in_flight: bool) -> None:
    """Create the tables of this run's results, by address.

    - `delivered_rows(email, row_hash, contact_id)`: `row_hash` is null if the result is open or does not count.
    - `rejected_rows(email, row_hash, reason)`.
    - `removed_now(email, row_hash)`: `row_hash` is null if the result is open.
    - `already_gone(email, reason)`: leavers who were no members.
    - `changed_emails(email)`: all of them.
    - `planned_sharers`, `planned_bars`, `planned_existing`: the plan's files of changed claims, changed bars, and
      people who were members before any export.
    """
    _load_batch_results(engine, folder, names.upsert_batches, "upsert_results", in_flight=in_flight)
    # A row that was accepted at first and rejected after reading back has two results: the rejection counts.
    engine.run(
        """create or replace table rejected_rows as
        select email, any_value(row_hash) as row_hash, any_value(reason) as reason from upsert_results
        where reason is not null group by email"""
    )
    engine.run(
        f"""create or replace view delivered_rows as
        select u.email, {_known_hash(engine, folder)} as row_hash, u.contact_id
        from upsert_results u anti join rejected_rows r on r.email = u.email where u.reason is null"""
    )
    _load_batch_results(engine, folder.removals, names.removal_batches, "removal_results", in_flight=in_flight)
    is_open = f"reason in ({listed(next_version.REMOVAL_UNKNOWN)})"
    engine.run(
        f"""create or replace table removed_now as
        select email, if({is_open}, null, row_hash) as row_hash from removal_results
        where reason is null or {is_open}"""
    )
    engine.run(
        f"""create or replace table already_gone as
        select email, reason from removal_results where reason in ({listed(GONE)})"""
    )
    not_sent = folder.path / "leavers_not_sent.parquet"
    if is_written(not_sent):
        engine.run(
            f"""insert into already_gone
            select email, reason from {engine.scan([not_sent])} where outcome = 'already_gone'"""
        )
    _load_planned_changes(engine, folder)
    engine.run(
        """create or replace view changed_emails as select email from delivered_rows
        union all select email from rejected_rows union all select email from removed_now
        union all select email from already_gone"""
    )


def _known_hash(engine: Engine, folder: RunFolder) -> str:
    """Return SQL of the hash of the delivered content; null for people who were erased while the run was unfinished.

    Creates the table `erased_people(mark)` if there are any.
    """
    marks = erased.marks(folder.path) if is_written(folder.path / erased.FOLDER) else []
    if not marks:
        return "u.row_hash"
    engine.table("erased_people", pa.table({"mark": pa.array(marks, pa.string())}))
    return "if(sha256(u.email) in (select mark from erased_people), null, u.row_hash)"


def _load_late_rows(
    engine: Engine, folder: RunFolder, names: PlanBatches, late: tuple[frozenset[str], frozenset[str]]
) -> None:
    """Create the tables of `_load_results` from a superseded run's late batches: their people may be members."""
    sources = [(folder, names.upsert_batches, late[0]), (folder.removals, names.removal_batches, late[1])]
    batches = (batch for source in sources if source[1] for batch in late_rows(*source))
    engine.run("create or replace table delivered_rows (email varchar, row_hash ubigint, contact_id varchar)")
    reader = pa.RecordBatchReader.from_batches(PLANNED_ROWS, batches)
    engine.append("delivered_rows", reader, "select distinct email, null::ubigint, null::varchar from incoming")
    engine.run("create or replace table rejected_rows (email varchar, row_hash ubigint, reason varchar)")
    engine.run("create or replace table removed_now (email varchar, row_hash ubigint)")
    engine.run("create or replace table already_gone (email varchar, reason varchar)")
    _load_planned_changes(engine, folder, existing_only=True)
    engine.run("create or replace view changed_emails as select email from delivered_rows")


def _load_planned_changes(engine: Engine, folder: RunFolder, *, existing_only: bool = False) -> None:
    """Create `planned_sharers`, `planned_bars` and `planned_existing`; empty if the plan has no such file."""
    for name, columns in (
        ("sharers", "email varchar, sharers_mask ubigint, row_hash ubigint"),
        ("bars", "email varchar, barred ubigint"),
        ("existing", "email varchar"),
    ):
        engine.run(f"create or replace table planned_{name} ({columns})")
        file = folder.path / f"{name}.parquet"
        if (name == "existing" or not existing_only) and is_written(file):
            engine.run(f"insert into planned_{name} by name select * from {engine.scan([file])}")


def _load_batch_results(
    engine: Engine, folder: RunFolder, names: tuple[str, ...], table: str, *, in_flight: bool
) -> None:
    """Create `table(email, row_hash, contact_id, reason)`: the rows that have a result.

    Args:
        engine: gets the table.
        folder: the part of the run folder that holds the batches.
        names: the planned batches; the table is empty if there are none.
        table: its name.
        in_flight: include rows that were sent without a response, with `row_hash` null.
    """
    engine.run(f"create or replace table {table} (email varchar, row_hash ubigint, contact_id varchar, reason varchar)")
    for planned, files in _steps(folder, names) if names else ():
        results = f"left join {engine.scan(files)} r on r.row = p.row" if files else ""
        result = "r.contact_id, r.reason" if files else "null, null"
        engine.append(
            table,
            pa.RecordBatchReader.from_batches(PLANNED_ROWS, settled_rows(folder, planned, in_flight=in_flight)),
            f"select p.email, p.row_hash, {result} from incoming p {results}",
        )


def _steps(folder: RunFolder, names: tuple[str, ...]) -> Iterator[tuple[Numbered, list[StoragePath]]]:
    """Yield the plan's batches in steps of `MAX_ROWS_PER_STEP`, each with the result files that may hold its rows.

    Those are the files of its own batches, and the files of parts, whose names do not say which batch they are from.
    """
    states, planned_names = folder.journal.states(), set(names)
    planned: list[tuple[int, str]] = []
    rows = 0
    for number, name in enumerate(names):
        planned.append((number, name))
        rows += states[name].rows if name in states else 0
        if rows >= MAX_ROWS_PER_STEP or number == len(names) - 1:
            other_steps = planned_names.difference(name for _, name in planned)
            yield planned, folder.result_files(without=other_steps)
            planned, rows = [], 0

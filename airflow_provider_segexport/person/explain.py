"""Looks up one person in every audience: state, since when, by which run, and why rows were rejected or withheld."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.storage.errors import reason_text
from airflow_provider_segexport.storage.history import latest, ledger_paths, recent_runs, resolved
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_schema import SCHEMA, TIME
from airflow_provider_segexport.storage.opening import open_file
from airflow_provider_segexport.storage.parquet_tables import matching_rows, read_table
from airflow_provider_segexport.storage.paths import PathResolver, StoragePath, uncached
from airflow_provider_segexport.storage.retention import KEPT_RUNS
from airflow_provider_segexport.storage.sealing import verify

STATES = {
    "member": "in the audience, added by an export",
    "removed": "not in the audience, removed by an export",
    "removing": "removed or added again by a call without a response, so it may be in the audience",
    "left": "not in the audience: left it, and not by an export",
    "not_added": "never delivered",
}
"""Text by a ledger row's state."""

EXISTED = "was in the audience before an export"
"""Text about people that a mirror does not remove when they leave the segment."""

MAX_RUNS = KEPT_RUNS
"""Number of an audience's newest runs whose rejects are searched. Their reports are stored, whatever their age."""


REJECTS_TEXTS = ("outcome", "reason", "field", "file", "vendor_code", "vendor_message")
REJECTS_COLUMNS = {"email", "file_row", *REJECTS_TEXTS}
"""Columns of the rejects that are read."""


@dataclass(frozen=True, slots=True)
class UndeliveredRow:
    """A row of the person that a run did not deliver, from its rejects."""

    run: str
    as_of: str
    outcome: str
    reason: str
    field: str
    file: str
    file_row: int
    vendor_code: str
    vendor_message: str


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """Records of a person in one audience.

    Attributes:
        path: folder of the audience's ledger.
        ledger: the person's row in the newest version, by column; None if there is none.
        versions: stored versions of the ledger with a row of the person.
        missed: the person's rows that the newest runs did not deliver, newest run first.
        runs: number of runs whose rejects were searched.
        unread: names of runs whose rejects are missing or damaged.
        damaged: stored versions that cannot be read. If the newest is among them, `ledger` is None.
        newest: number of the newest version; 0 if there is none.
        unreadable: why the files cannot be read from the disk or the store; empty if they can.
    """

    vendor: str
    account: str
    audience: str
    audience_name: str
    conn_id: str
    path: StoragePath
    ledger: Mapping[str, Any] | None
    versions: tuple[int, ...] = ()
    missed: tuple[UndeliveredRow, ...] = ()
    runs: int = 0
    unread: tuple[str, ...] = field(default=())
    damaged: tuple[int, ...] = ()
    newest: int = 0
    unreadable: str = ""

    @property
    def is_unknown(self) -> bool:
        """Whether the newest version cannot be read, so nothing says whether the person is in the audience."""
        return self.newest in self.damaged or bool(self.unreadable)

    @property
    def anything(self) -> bool:
        """Whether there is any record of the person."""
        return bool(self.ledger or self.versions or self.missed or self.is_unknown)


def state_text(row: Mapping[str, Any]) -> str:
    """Return what a ledger row says about the person's place in the audience."""
    text = STATES.get(row.get("state", ""), "not in the ledger")
    return f"{text}; {EXISTED}" if row.get("existed") else text


def explain(
    root: StoragePath, person: Person, resolve: PathResolver, max_runs: int = MAX_RUNS
) -> Iterator[PersonRecord]:
    """Yield every audience with its records of the person.

    Args:
        root: state root.
        person: to look up.
        resolve: turns a run folder's path into a storage path.
        max_runs: number of newest runs of each audience whose rejects are searched.
    """
    for path in ledger_paths(root):
        try:
            yield _record(path, person, resolve, max_runs)
        except OSError as error:  # the other audiences are yielded
            names = (path.parent.parent.name, path.parent.name, path.name)
            yield PersonRecord(*names, "", "", path, None, unreadable=reason_text(error))


def _record(path: StoragePath, person: Person, resolve: PathResolver, max_runs: int) -> PersonRecord:
    """Return the records of the person in one audience.

    Args:
        path: folder of the audience's ledger.
        person: the person to look up.
        resolve: turns a run folder's path into a storage path.
        max_runs: number of newest runs whose rejects are searched.
    """
    ledger, about = Ledger(path), latest(path) or {}
    versions = ledger.versions()
    rows = {version: _row(ledger, version, person) for version in versions}
    newest = max(versions, default=0)
    missed, runs, unread = undelivered(recent_runs(path), person, resolve, max_runs)
    return PersonRecord(
        vendor=path.parent.parent.name,
        account=str(about.get("account") or path.parent.name),
        audience=str(about.get("audience") or path.name),
        audience_name=str(about.get("audience_name") or ""),
        conn_id=str(about.get("conn_id") or ""),
        path=path,
        ledger=rows.get(newest) or None,
        versions=tuple(version for version, row in rows.items() if row),
        missed=missed,
        runs=runs,
        unread=unread,
        damaged=tuple(version for version, row in rows.items() if row is None),
        newest=newest,
    )


def current(record: PersonRecord, person: Person) -> PersonRecord:
    """Return the record with the ledger's present row; another run may have written the ledger since."""
    ledger = Ledger(record.path)
    newest = ledger.version()
    return replace(record, ledger=row(ledger, newest, person) if newest else None)


def row(ledger: Ledger, version: int, person: Person) -> dict[str, Any] | None:
    """Return the person's row in a version; None if there is none.

    Args:
        ledger: of the audience.
        version: its number, from 1.
        person: to look up.

    Raises:
        DamagedState: the version cannot be read.
    """
    ledger.check(version)
    return read_row(ledger, version, person) or None


def _row(ledger: Ledger, version: int, person: Person) -> dict[str, Any] | None:
    """Return the person's row in a version, empty if there is none; None if the version cannot be read.

    Only the row group that may contain the row is read.
    """
    try:
        ledger.check(version)
        return read_row(ledger, version, person)
    except DamagedState:
        return None


def read_row(ledger: Ledger, version: int, person: Person) -> dict[str, Any]:
    """Return the person's row in a version, empty if there is none. The file's checksum is not compared.

    Args:
        ledger: of the audience.
        version: its number, from 1.
        person: to look up.

    Raises:
        DamagedState: a column is of another type, or a time is one that no calendar has.
    """
    path = uncached(ledger.file(version))
    with open_file(path) as file:
        table = matching_rows(file, "email", person.email)
    try:
        rows = pa.Table.from_pydict(
            {
                field.name: table.column(field.name).cast(field.type, safe=field.type != TIME)
                if field.name in table.column_names
                else pa.nulls(table.num_rows, field.type)
                for field in SCHEMA
            }
        ).to_pylist()
    except (pa.ArrowException, ValueError, OverflowError):  # their text may quote the row
        raise DamagedState(str(path), "its columns are of other types") from None
    return dict(rows[0]) if rows else {}


def undelivered(
    recorded_runs: Sequence[Mapping[str, Any]], person: Person, resolve: PathResolver, max_runs: int
) -> tuple[tuple[UndeliveredRow, ...], int, tuple[str, ...]]:
    """Return the person's rows in the newest runs' rejects, how many runs were read, and which cannot be read.

    Args:
        recorded_runs: oldest first, with `run`, `as_of` and `run_folder`.
        person: to look up.
        resolve: turns a run folder's path into a storage path.
        max_runs: number of newest runs that are searched.
    """
    rows: list[UndeliveredRow] = []
    unread: list[str] = []
    runs = list(reversed(recorded_runs))[:max_runs]
    for run in runs:
        folder = resolved(resolve, str(run["run_folder"]))
        if folder is None or not _is_readable(folder / "rejects.parquet"):
            unread.append(str(run["run"]))
            continue
        path = folder / "rejects.parquet"
        with open_file(path) as file:
            if not set(pq.read_schema(file).names) >= REJECTS_COLUMNS:  # of another version
                unread.append(str(run["run"]))
                continue
            is_person = person.rows(read_table(file, ["email"]).column("email"))
            if not pc.any(is_person).as_py():
                continue
            table = read_table(file).filter(is_person)
        rows += [
            UndeliveredRow(
                run=str(run["run"]),
                as_of=str(run["as_of"]),
                file_row=int(rejected["file_row"] or 0),
                **{name: str(rejected[name] or "") for name in REJECTS_TEXTS},
            )
            for rejected in table.to_pylist()
        ]
    return tuple(rows), len(runs) - len(unread), tuple(unread)


def _is_readable(path: StoragePath) -> bool:
    try:
        verify(path, bare=True)
    except (DamagedState, OSError):
        return False
    return True

"""What is known of one person, audience by audience: in or out, since when, by which run, why rejected or withheld."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow.parquet as pq

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.storage.history import latest, ledger_paths
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.paths import PathResolver, StoragePath, uncached
from airflow_provider_segexport.storage.retention import NEWEST
from airflow_provider_segexport.storage.sealing import verify

RUNS = NEWEST
"""So many of an audience's last runs are looked through for rows that were not delivered; their reports are kept."""


@dataclass(frozen=True, slots=True)
class UndeliveredRow:
    """A row of the person that a run did not deliver."""

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
    """What is known of a person and one audience.

    Attributes:
        ledger: the newest version's row, by column; None where it holds no such person.
        versions: kept versions of the ledger that hold the person.
        damaged: kept versions that cannot be read.
        missed: rows of the last runs that were not delivered, newest run first.
        runs: how many runs were looked through.
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

    @property
    def anything(self) -> bool:
        """Whether anything is known at all."""
        return bool(self.ledger or self.versions or self.missed)


def explain(root: StoragePath, person: Person, resolve: PathResolver, most_runs: int = RUNS) -> Iterator[PersonRecord]:
    """Every audience there is, with what is known of the person in it."""
    for place in ledger_paths(root):
        ledger, about = Ledger(place), latest(place) or {}
        rows = {version: _row(ledger, version, person) for version in ledger.versions()}
        newest = ledger.version()
        missed, runs, unread = _missed(about, person, resolve, most_runs)
        yield PersonRecord(
            vendor=place.parent.parent.name,
            account=str(about.get("account") or place.parent.name),
            audience=str(about.get("audience") or place.name),
            audience_name=str(about.get("audience_name") or ""),
            conn_id=str(about.get("conn_id") or ""),
            path=place,
            ledger=rows.get(newest) or None,
            versions=tuple(version for version, row in rows.items() if row),
            missed=missed,
            runs=runs,
            unread=unread,
            damaged=tuple(version for version, row in rows.items() if row is None),
        )


def current(known: PersonRecord, person: Person) -> PersonRecord:
    """The same, with the ledger as it is now: another run may have written it since."""
    ledger = Ledger(known.path)
    newest = ledger.version()
    return replace(known, ledger=row(ledger, newest, person) if newest else None)


def row(ledger: Ledger, version: int, person: Person) -> dict[str, Any] | None:
    """The person's row in a version, if there is one.

    Raises:
        DamagedState: the version cannot be read.
    """
    ledger.check(version)
    return _row(ledger, version, person) or None


def _row(ledger: Ledger, version: int, person: Person) -> dict[str, Any] | None:
    """The person's row in a version, empty if there is none; None if the version cannot be read.

    Only the row group that may hold it is read.

    Raises:
        DamagedState: the newest version cannot be read.
    """
    try:
        ledger.check(version)
    except DamagedState:
        if version == ledger.version():
            raise
        return None
    with uncached(ledger.file(version)).open("rb") as file:
        found = pq.read_table(file, filters=[("email", "=", person.email)]).to_pylist()
    return dict(found[0]) if found else {}


def _missed(
    about: Mapping[str, Any], person: Person, resolve: PathResolver, most: int
) -> tuple[tuple[UndeliveredRow, ...], int, tuple[str, ...]]:
    """The person's rows in the reports of the last runs; what is gone or damaged is passed over and named."""
    found: list[UndeliveredRow] = []
    unread: list[str] = []
    runs = list(reversed(about.get("runs", [])))[:most]
    for run in runs:
        place = resolve(str(run["run_folder"])) / "rejects.parquet"
        try:
            verify(place, bare=True)
        except DamagedState:
            unread.append(str(run["run"]))
            continue
        with place.open("rb") as file:
            table = pq.read_table(file)
        table = table.filter(person.rows(table.column("email")))
        found += [
            UndeliveredRow(
                run=str(run["run"]),
                as_of=str(run["as_of"]),
                file_row=int(one["file_row"]),
                **{
                    name: str(one[name] or "")
                    for name in ("outcome", "reason", "field", "file", "vendor_code", "vendor_message")
                },
            )
            for one in table.to_pylist()
        ]
    return tuple(found), len(runs) - len(unread), tuple(unread)

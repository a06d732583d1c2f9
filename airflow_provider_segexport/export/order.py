"""What an export is asked for, and what it touches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_segexport.access import Access
from airflow_provider_segexport.contract import Vendor, drive
from airflow_provider_segexport.guards import GUARDS, KNOWN_GUARDS, Guard, Then
from airflow_provider_segexport.model import Kind, Operation, Request, Response, T, Target
from airflow_provider_segexport.ports.fencing import NO_FENCE, Fence, fenced
from airflow_provider_segexport.ports.http import Sender
from airflow_provider_segexport.ports.lease_files import TIMES, Times
from airflow_provider_segexport.ports.ledger import Ledger
from airflow_provider_segexport.ports.places import Place, Resolve, local
from airflow_provider_segexport.ports.run_folder import RunFolder

__all__ = [
    "GUARDS",
    "KNOWN_GUARDS",
    "MOST_PROFILES",
    "Consent",
    "Guard",
    "Job",
    "Mode",
    "Older",
    "Order",
    "Then",
    "Undo",
    "Waiting",
    "World",
]

Mode = Literal["full", "changes", "mirror"]
Older = Literal["skip", "fail", "verify"]
MOST_PROFILES = 1_000_000
JOB_TIMEOUT_S = 6 * 3600.0
"""How long a job may run at the vendor, in seconds. The longest import that a vendor documents takes minutes."""


@dataclass(frozen=True, slots=True)
class Undo:
    """Not a segment is exported: the audience's last version of the ledger is taken back, as far as the vendor allows.

    Attributes:
        version: which version of the ledger is taken back; no later one may have changed the same people. None: the
            newest that put people in or took people out.
    """

    version: int | None = None


@dataclass(frozen=True, slots=True)
class Consent:
    """Who is withheld before anything is sent.

    Attributes:
        column: a column of the segment that says yes (`yes_no.YES`); anything else withholds.
        suppression: Parquet with one address a row, plain or hashed (SHA-256, SHA-1, MD5): a path or several.
    """

    column: str | None = None
    suppression: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """What a colleague configured.

    Attributes:
        segment: a path, a folder, a glob, or several of them: several are united.
        audience: the vendor's id of the audience.
        matching: column by neutral field.
        custom_fields: column by the vendor's name of the field.
        create_fields: make custom fields that the audience lacks.
        mode: `full` sends every profile, `changes` those that are new or changed since the ledger; `mirror` does as
            `changes`, and takes out of the audience whom we put there and who has left the segment.
        as_of: the time that the segment describes, ISO 8601 with a zone.
        older: what to do when the ledger knows a newer state of the audience than `as_of`.
        run: who runs this, in words that go into the ledger: `dag/task/run/map index`.
        export: the name of this export, which owns its audience: `dag.task` where a DAG gives none.
        part: which of several mapped segments of the export this is; empty where the task is not mapped.
        shared: it shares its audience with other exports that say so too.
        consent: who is withheld before anything is sent.
        adopt_existing: people who were in the audience before an export put them in are taken out as others are.
        guards: by name; what is not named holds as in `GUARDS`, None switches one off.
        dry_run: plan and report, send nothing.
        undo: take back the last version of the ledger, in place of exporting a segment.
        max_profiles: more rows than this are refused.
        optouts: ask the vendor for the people who have opted out since the last export, at the end.
        expect: the mark of the plan that this run is to carry out; another one is refused.
        conn_id: the Airflow connection, for those who look at the audience's history.
        partition_columns: `key=value` folders above a file add columns of text that the file itself lacks.
        snapshot_at: a segment that is a table is read as of this time; empty for the table's current snapshot.
        segment_name: what reports say in place of the path of a frame's temporary file; empty for files.
        job_timeout: how long a job may run at the vendor, in seconds, counted from when the vendor accepted it.
    """

    segment: str | tuple[str, ...]
    audience: str
    matching: Mapping[str, str]
    as_of: str
    run: str
    custom_fields: Mapping[str, str] = field(default_factory=dict)
    create_fields: bool = False
    mode: Mode = "full"
    older: Older = "skip"
    max_profiles: int = MOST_PROFILES
    export: str = ""
    part: str = ""
    shared: bool = False
    adopt_existing: bool = False
    consent: Consent = field(default_factory=Consent)
    guards: Mapping[str, Guard | None] = field(default_factory=dict)
    dry_run: bool = False
    undo: Undo | None = None
    optouts: bool = False
    expect: str = ""
    conn_id: str = ""
    snapshot_at: str = ""
    partition_columns: bool = False
    segment_name: str = ""
    job_timeout: float = JOB_TIMEOUT_S

    @property
    def shown_segment(self) -> str | list[str]:
        """The segment as reports and logs name it."""
        return self.segment_name or (self.segment if isinstance(self.segment, str) else list(self.segment))

    def guard(self, name: str) -> Guard | None:
        """A guard of this export; None where it is switched off, or nobody has set it."""
        return self.guards[name] if name in self.guards else GUARDS.get(name)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The run is not finished: jobs are at the vendor. Come back when `enough` of the tickets have ended.

    Attributes:
        kind: import jobs, or jobs that take people out, which are asked for in another way.
        since: when the vendor took the oldest of the jobs, in epoch seconds.
        api, audience: where the jobs run, as the vendor names it.
    """

    tickets: tuple[str, ...]
    enough: int
    kind: Kind = Kind.UPSERT
    since: float = math.inf
    api: str = ""
    audience: str = ""


@dataclass(frozen=True, slots=True)
class World:
    """What an export touches.

    Attributes:
        send: calls the vendor.
        folder: the run's own.
        root: where ledgers stand.
        resolve: makes a place of a text.
        pause: told the number of jobs; True when it is time to poll, False to leave with `Waiting`.
        tell: told how far the run is, now and then: `phase`, `settled`, `batches`, `jobs`.
        quota_left: calls that the account has left today, or as the vendor told; None where nobody knows.
        alive: asked whether the holder of a lease (`dag/task/run/map index`) still runs; None where nobody knows.
        gone: asked whether a holder that left its place to the Airflow of a mark is no longer known to it.
        airflow: the mark of this Airflow; empty where none runs.
        lease: how long an audience stays with a run that says nothing more.
    """

    send: Sender
    folder: RunFolder
    root: Place
    pause: Callable[[int], bool]
    resolve: Resolve = local
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    tell: Callable[[Mapping[str, Any]], None] = lambda _: None
    alive: Callable[[str], bool | None] = lambda _: None
    gone: Callable[[str, str], bool] = lambda *_: False
    airflow: Callable[[], str] = lambda: ""
    quota_left: Callable[[], int | None] = lambda: None
    lease: Times = TIMES


@dataclass(frozen=True, slots=True)
class Job:
    """An order at a vendor, with the world it touches.

    `fence` is asked right before every call leaves, and before every write beside the ledger.
    """

    vendor: Vendor
    access: Access
    order: Order
    world: World
    fence: Fence = NO_FENCE

    def drive(self, operation: Operation[T], send: Callable[[Request], Response] | None = None) -> T:
        """Run one of the vendor's operations; its requests go out by `send`, or as they are."""
        return drive(operation, send or self.send, self.world.sleep)

    def send(self, request: Request) -> Response:
        """Send one request; each attempt leaves only while the run holds the audience."""
        with fenced(self.fence.check):
            return self.world.send(request)

    def ledger(self, target: Target) -> Ledger:
        """The audience's ledger, which this run writes while it holds the audience."""
        return Ledger.of(self.world.root, self.vendor.name, target, self.fence)


def works_later(job: Job) -> bool:
    """Whether the vendor may do what a call asks for after it has answered the call."""
    removal = job.vendor.removal
    return bool(job.vendor.limits.jobs) or (removal is not None and not removal.verdict)

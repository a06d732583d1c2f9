"""What an export is asked for, and what it touches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_segexport.fencing import NO_FENCE, Fence, fenced
from airflow_provider_segexport.guards import GUARDS, KNOWN_GUARDS, Guard, GuardAction
from airflow_provider_segexport.http.client import Sender
from airflow_provider_segexport.model import Audience, BatchKind, Operation, Request, Response, T
from airflow_provider_segexport.storage.lease_files import TIMES, Times
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.paths import PathResolver, StoragePath, local_path
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.base import Vendor
from airflow_provider_segexport.vendors.operations import run_operation

__all__ = [
    "GUARDS",
    "KNOWN_GUARDS",
    "MOST_PROFILES",
    "Consent",
    "ExportConfig",
    "ExportContext",
    "ExportEnvironment",
    "Guard",
    "GuardAction",
    "Mode",
    "OnStale",
    "PendingJobs",
    "Undo",
]

Mode = Literal["upsert", "mirror", "full"]
OnStale = Literal["skip", "fail", "verify"]
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
        suppression_list: Parquet with one address a row, plain or hashed (SHA-256, SHA-1, MD5): a path or several.
    """

    column: str | None = None
    suppression_list: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportConfig:
    """What a colleague configured.

    Attributes:
        segment: a path, a folder, a glob, or several of them: several are united.
        audience: the vendor's id of the audience.
        field_mapping: column by neutral field.
        custom_fields: column by the vendor's name of the field.
        create_custom_fields: make custom fields that the audience lacks.
        mode: `full` sends every profile, `upsert` those that are new or changed since the ledger; `mirror` does as
            `upsert`, and takes out of the audience whom we put there and who has left the segment.
        as_of: the time that the segment describes, ISO 8601 with a zone.
        on_stale: what to do when the ledger knows a newer state of the audience than `as_of`.
        run: who runs this, in words that go into the ledger: `dag/task/run/map index`.
        export_name: the name of this export, which owns its audience: `dag.task` where a DAG gives none.
        segment_part: which of several mapped segments of the export this is; empty where the task is not mapped.
        allow_shared_audience: it shares its audience with other exports that say so too.
        consent: who is withheld before anything is sent.
        adopt_existing: people who were in the audience before an export put them in are taken out as others are.
        guards: by name; what is not named holds as in `GUARDS`, None switches one off.
        dry_run: plan and report, send nothing.
        undo: take back the last version of the ledger, in place of exporting a segment.
        max_profiles: more rows than this are refused.
        fetch_optouts: ask the vendor for the people who have opted out since the last export, at the end.
        expected_plan: the mark of the plan that this run is to carry out; another one is refused.
        conn_id: the Airflow connection, for those who look at the audience's history.
        partition_columns: `key=value` folders above a file add columns of text that the file itself lacks.
        snapshot_at: a segment that is a table is read as of this time; empty for the table's current snapshot.
        segment_name: what reports say in place of the path of a frame's temporary file; empty for files.
        job_timeout: how long a job may run at the vendor, in seconds, counted from when the vendor accepted it.
    """

    segment: str | tuple[str, ...]
    audience: str
    field_mapping: Mapping[str, str]
    as_of: str
    run: str
    custom_fields: Mapping[str, str] = field(default_factory=dict)
    create_custom_fields: bool = False
    mode: Mode = "full"
    on_stale: OnStale = "skip"
    max_profiles: int = MOST_PROFILES
    export_name: str = ""
    segment_part: str = ""
    allow_shared_audience: bool = False
    adopt_existing: bool = False
    consent: Consent = field(default_factory=Consent)
    guards: Mapping[str, Guard | None] = field(default_factory=dict)
    dry_run: bool = False
    undo: Undo | None = None
    fetch_optouts: bool = False
    expected_plan: str = ""
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
class PendingJobs:
    """The run is not finished: jobs are at the vendor. Come back when `enough` of the tickets have ended.

    Attributes:
        kind: import jobs, or jobs that take people out, which are asked for in another way.
        since: when the vendor took the oldest of the jobs, in epoch seconds.
        base_url, audience: where the jobs run, as the vendor names it.
    """

    job_ids: tuple[str, ...]
    min_done: int
    kind: BatchKind = BatchKind.UPSERT
    since: float = math.inf
    base_url: str = ""
    audience: str = ""


@dataclass(frozen=True, slots=True)
class ExportEnvironment:
    """What an export touches.

    Attributes:
        http: calls the vendor.
        run_folder: the run's own.
        state_root: where ledgers stand.
        resolve: makes a place of a text.
        wait_or_leave: told the number of jobs; True when it is time to poll, False to leave with `Waiting`.
        on_progress: told how far the run is, now and then: `phase`, `settled`, `batches`, `jobs`.
        remaining_quota: calls that the account has left today, or as the vendor told; None where nobody knows.
        is_task_running: asked whether the holder of a lease (`dag/task/run/map index`) still runs; None where nobody
            knows.
        is_holder_gone: asked whether a holder that left its place to the Airflow of a mark is no longer known to it.
        airflow_id: the mark of this Airflow; empty where none runs.
        lease_times: how long an audience stays with a run that says nothing more.
    """

    http: Sender
    run_folder: RunFolder
    state_root: StoragePath
    wait_or_leave: Callable[[int], bool]
    resolve: PathResolver = local_path
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    on_progress: Callable[[Mapping[str, Any]], None] = lambda _: None
    is_task_running: Callable[[str], bool | None] = lambda _: None
    is_holder_gone: Callable[[str, str], bool] = lambda *_: False
    airflow_id: Callable[[], str] = lambda: ""
    remaining_quota: Callable[[], int | None] = lambda: None
    lease_times: Times = TIMES


@dataclass(frozen=True, slots=True)
class ExportContext:
    """An order at a vendor, with the world it touches.

    `fence` is asked right before every call leaves, and before every write beside the ledger.
    """

    vendor: Vendor
    endpoint: ApiEndpoint
    config: ExportConfig
    environment: ExportEnvironment
    fence: Fence = NO_FENCE

    def run_operation(self, operation: Operation[T], send: Callable[[Request], Response] | None = None) -> T:
        """Run one of the vendor's operations; its requests go out by `send`, or as they are."""
        return run_operation(operation, send or self.send, self.environment.sleep)

    def send(self, request: Request) -> Response:
        """Send one request; each attempt leaves only while the run holds the audience."""
        with fenced(self.fence.check):
            return self.environment.http(request)

    def ledger(self, audience: Audience) -> Ledger:
        """The audience's ledger, which this run writes while it holds the audience."""
        return Ledger.of(self.environment.state_root, self.vendor.name, audience, self.fence)


def works_later(context: ExportContext) -> bool:
    """Whether the vendor may do what a call asks for after it has answered the call."""
    removal = context.vendor.removal
    return bool(context.vendor.limits.max_jobs) or (removal is not None and not removal.confirms)

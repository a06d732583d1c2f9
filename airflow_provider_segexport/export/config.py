"""Configuration and environment of an export."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from airflow_provider_segexport.fencing import NO_FENCE, Fence, fenced
from airflow_provider_segexport.guards import GUARDS, KNOWN_GUARDS, Guard, GuardAction
from airflow_provider_segexport.http.client import Sender
from airflow_provider_segexport.model import Audience, BatchKind, Operation, Request, Response, T
from airflow_provider_segexport.modes import JOB_TIMEOUT_S, MOST_PROFILES, Mode, OnStale
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.lease_files import TIMES, Times
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.paths import PathResolver, StoragePath, local_path
from airflow_provider_segexport.storage.proof_columns import ProofColumns
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.base import Vendor
from airflow_provider_segexport.vendors.operations import run_operation

__all__ = [
    "GUARDS",
    "JOB_TIMEOUT_S",
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
    "ProofColumns",
    "Undo",
    "Verify",
]


@dataclass(frozen=True, slots=True)
class Undo:
    """Revert a version of the audience's ledger, as far as the vendor allows, instead of exporting a segment.

    Attributes:
        version: the ledger version to revert; no later version may have changed the same people. None means the newest
            version that added or removed people.
    """

    version: int | None = None


@dataclass(frozen=True, slots=True)
class Verify:
    """Compare the audience with its ledger instead of exporting a segment.

    Attributes:
        repair: mark people who are missing and have not opted out, so that the next run sends them again.
        sample: number of people of the ledger to read, if that takes fewer calls than reading the whole audience; None
            to read the whole audience.
        sample_values: maximum people whose values are compared, if a segment is given.
    """

    repair: bool = False
    sample: int | None = None
    sample_values: int = 1000


@dataclass(frozen=True, slots=True)
class Consent:
    """Rules by which rows are withheld before anything is sent, and the proof of consent that is sent.

    Attributes:
        column: a column of the segment; a row is withheld unless its value means yes (`yes_no.YES`).
        suppression_list: paths of Parquet files with one address a row, plain or hashed (SHA-256, SHA-1, MD5).
        proof: columns with the proof of consent; None to send no proof, so that no person is subscribed.
    """

    column: str | None = None
    suppression_list: tuple[str, ...] = ()
    proof: ProofColumns | None = None


@dataclass(frozen=True, slots=True)
class ExportConfig:
    """The export as its user configured it.

    Attributes:
        segment: a path, a folder or a glob, or several of them, which are read as one segment.
        audience: the vendor's id of the audience, or `name:` and its exact name.
        field_mapping: column by vendor-neutral field.
        custom_fields: column by the vendor's name of the field.
        create_custom_fields: create the custom fields that the audience lacks.
        create_audience: create the audience if no audience has the name in `audience`.
        default_region: ISO 3166-1 alpha-2 code of the country of national phone numbers in rows without a country;
            empty for none.
        date_formats: format by text column with dates, such as `%d.%m.%Y`.
        mode: `full` sends every profile; `upsert` sends profiles that are new or changed since the ledger; `mirror`
            also removes people that we added and that have left the segment.
        as_of: the time that the segment describes, ISO 8601 with a zone.
        on_stale: action if the audience already has a newer snapshot than `as_of`.
        run: the task instance as the ledger names it: `dag/task/run/map index`.
        export_name: name of the export, which the audience's state and the ledger hold.
        segment_part: which of several segments of the export this is; empty if it has one.
        allow_shared_audience: share the audience with other exports that set this too.
        consent: rules by which rows are withheld.
        adopt_existing: also remove people who were in the audience before an export added them.
        guards: guards by name; None disables a guard. A guard that is not listed has its default from `GUARDS`.
        dry_run: plan and report, send nothing.
        undo: revert a version of the ledger instead of exporting a segment.
        verify: compare the audience with its ledger instead of exporting a segment; `segment` may be empty.
        max_profiles: refuse a segment with more rows.
        fetch_optouts: at the end, read the people who have opted out since the last export from the vendor.
        expected_plan: `plan_hash` of the approved plan; any other plan is refused. Empty: any plan may run.
        conn_id: the Airflow connection, shown in the audience's history.
        partition_columns: read `key=value` folders above a file as text columns, if the file lacks them.
        snapshot_at: read a segment that is a table as of this time; empty for the table's current snapshot.
        segment_name: shown in reports instead of the path of a data frame's temporary file; empty for files.
        job_timeout: seconds that a job may run at the vendor after the vendor accepted it.
    """

    segment: str | tuple[str, ...]
    audience: str
    field_mapping: Mapping[str, str]
    as_of: str
    run: str
    custom_fields: Mapping[str, str] = field(default_factory=dict)
    create_custom_fields: bool = False
    create_audience: bool = False
    default_region: str = ""
    date_formats: Mapping[str, str] = field(default_factory=dict)
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
    verify: Verify | None = None
    fetch_optouts: bool = False
    expected_plan: str = ""
    conn_id: str = ""
    snapshot_at: str = ""
    partition_columns: bool = False
    segment_name: str = ""
    job_timeout: float = JOB_TIMEOUT_S

    @property
    def shown_segment(self) -> str | list[str]:
        """Return the segment as reports and logs name it."""
        return self.segment_name or (self.segment if isinstance(self.segment, str) else list(self.segment))

    def guard(self, name: str) -> Guard | None:
        """Return a guard's settings; None if the guard is disabled, or has no default and is not configured."""
        return self.guards[name] if name in self.guards else GUARDS.get(name)


@dataclass(frozen=True, slots=True)
class PendingJobs:
    """Jobs at the vendor that the run waits for.

    Attributes:
        job_ids: ids of the jobs.
        min_done: number of ended jobs at which the run resumes.
        kind: imports or removals, which are polled in different ways.
        since: when the vendor accepted the oldest of the jobs, epoch seconds.
        base_url, audience: where the jobs run, as the vendor names it.
    """

    job_ids: tuple[str, ...]
    min_done: int
    kind: BatchKind = BatchKind.UPSERT
    since: float = math.inf
    base_url: str = ""
    audience: str = ""


class Phase(StrEnum):
    """Phases of a run, in their order; a verification reads instead of planning and sending."""

    CHECK = "Check"
    PLAN = "Plan"
    READ = "Read"
    SEND = "Send"
    REPORT = "Report"


@dataclass(frozen=True, slots=True)
class ExportEnvironment:
    """Services and folders that an export uses.

    Attributes:
        http: sends requests to the vendor.
        run_folder: of this run.
        state_root: folder of the ledgers.
        wait_or_leave: takes the number of running jobs; waits and returns True to poll them, or returns False to end
            the task with `PendingJobs`.
        resolve: turns a path into a storage path.
        clock: returns epoch seconds.
        sleep: waits for the given seconds.
        on_progress: takes a mapping with some of `phase`, `settled`, `batches`, `people` and `jobs` during the run.
        on_phase: takes each phase when it begins; may be called several times with the same phase.
        on_audience: takes the audience and the path of its ledger, as soon as the vendor has reported the audience.
        is_task_running: takes the holder of a lease (`dag/task/run/map index`), and returns whether it still runs; None
            if unknown.
        is_holder_gone: takes a lease's holder and the id of its Airflow; returns whether the holder is a deleted task
            instance of this Airflow.
        airflow_id: returns the id of this Airflow; empty outside Airflow.
        remaining_quota: returns the calls that the account has left today; None if unknown.
        lease_times: when a lease that is not renewed expires.
    """

    http: Sender
    run_folder: RunFolder
    state_root: StoragePath
    wait_or_leave: Callable[[int], bool]
    resolve: PathResolver = local_path
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    on_progress: Callable[[Mapping[str, Any]], None] = lambda _: None
    on_phase: Callable[[Phase], None] = lambda _: None
    on_audience: Callable[[Audience, StoragePath], None] = lambda *_: None
    is_task_running: Callable[[str], bool | None] = lambda _: None
    is_holder_gone: Callable[[str, str], bool] = lambda *_: False
    airflow_id: Callable[[], str] = lambda: ""
    remaining_quota: Callable[[], int | None] = lambda: None
    lease_times: Times = TIMES


@dataclass(frozen=True, slots=True)
class ExportContext:
    """An export's configuration, vendor and environment.

    Attributes:
        fence: checked right before every call is sent, and before every write beside the ledger.
    """

    vendor: Vendor
    endpoint: ApiEndpoint
    config: ExportConfig
    environment: ExportEnvironment
    fence: Fence = NO_FENCE

    def run_operation(self, operation: Operation[T], send: Callable[[Request], Response] | None = None) -> T:
        """Run one of the vendor's operations, and return its result. `send` sends the requests; None: `self.send`."""
        return run_operation(operation, send or self.send, self.environment.sleep)

    def send(self, request: Request) -> Response:
        """Send one request. Each attempt is sent only while the run holds the audience's lease."""
        with fenced(self.fence.check):
            return self.environment.http(request)

    def lease(self, path: StoragePath) -> Lease:
        """Return the lease of an audience's ledger, or of another folder that one run at a time may write."""
        environment = self.environment
        return Lease(
            path,
            self.config.run,
            clock=environment.clock,
            sleep=environment.sleep,
            is_task_running=environment.is_task_running,
            is_holder_gone=environment.is_holder_gone,
            times=environment.lease_times,
        )

    def ledger(self, audience: Audience) -> Ledger:
        """Return the audience's ledger, which this run may write while it holds the lease."""
        return Ledger.of(self.environment.state_root, self.vendor.name, audience, self.fence)


def may_finish_after_response(context: ExportContext) -> bool:
    """Return whether the vendor may process a call after it has responded to it."""
    removal = context.vendor.removal
    return bool(context.vendor.limits.max_jobs) or (removal is not None and not removal.confirms)

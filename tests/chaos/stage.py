"""An audience at a simulated vendor, and exports to it that may be struck: what happens is kept as evidence."""

from __future__ import annotations

import json
import logging
import shutil
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import requests
from chaos.fault_injection import FaultAdapter, Killed, KillSwitch, strikes
from chaos.population import write_segment
from chaos.run_records import AGENT, Row, Run, RunRecords, Try, in_audience
from chaos.vendor_log_readers import LOG_READERS
from vendors.rows import row

from airflow_provider_segexport.errors import AudienceLocked, RetryableError, SegexportError
from airflow_provider_segexport.export import repair
from airflow_provider_segexport.export.config import (
    GUARDS,
    Consent,
    ExportConfig,
    ExportEnvironment,
    PendingJobs,
    ProofColumns,
)
from airflow_provider_segexport.export.pipeline import Export
from airflow_provider_segexport.http.client import Sender
from airflow_provider_segexport.ratelimit.backends import open_store
from airflow_provider_segexport.ratelimit.limiter import RateLimiter
from airflow_provider_segexport.simulator import Simulator
from airflow_provider_segexport.storage.history import ledger_paths
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.base import Limits, Vendor
from airflow_provider_segexport.vendors.registry import VENDORS

FOREIGN_TAG = "Tag of others"
BATCH, CONNECTIONS, JOBS = 4, 2, 2
MOST_LOOKS = 400
UNGUARDED = dict.fromkeys(GUARDS)
"""A population of two dozen people moves by shares that no real segment does."""


def small(name: str, rows: int = BATCH) -> Vendor:
    """The vendor with batches so small that a few people make many calls."""
    vendor = VENDORS[name]

    def limited(limits: Limits) -> Limits:
        return replace(
            limits,
            batch_rows=min(rows, limits.batch_rows),
            max_concurrency=CONNECTIONS,
            max_jobs=min(JOBS, limits.max_jobs),
        )

    removal = vendor.removal and replace(vendor.removal, limits=limited(vendor.removal.limits))
    return replace(vendor, limits=limited(vendor.limits), removal=removal)


@dataclass
class Trouble:
    """What a try meets.

    Attributes:
        doom: what strikes it, and when.
        leaves: it gives its place back when it would have to wait for jobs.
        skew: seconds that the worker's clock is ahead of the vendor's. Calls are counted by the right clock: workers
            whose clocks are an hour apart do not see each other's calls.
    """

    kill_switch: KillSwitch | None = None
    leaves: bool = False
    skew: float = 0.0


class Heard(logging.Handler):
    """What a process would write into a task's log."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._texts = texts

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line, with what an exception brings."""
        if not record.name.startswith("uvicorn"):  # the simulator's server, in this process
            self._texts.append(self.format(record))


@contextmanager
def hearing(texts: list[str]) -> Iterator[None]:
    """Our loggers down to the last detail, everybody else's as a task's log shows them."""
    handler = Heard(texts)
    ours, everybody = logging.getLogger("airflow_provider_segexport"), logging.getLogger()
    levels = ours.level, everybody.level
    ours.setLevel(logging.DEBUG)
    everybody.setLevel(logging.INFO)
    everybody.addHandler(handler)
    try:
        yield
    finally:
        everybody.removeHandler(handler)
        ours.setLevel(levels[0])
        everybody.setLevel(levels[1])


@dataclass
class Stage:
    """One audience, the runs that go to it, and what is known of them."""

    sim: Simulator
    name: str
    home: Path
    vendor: Vendor
    runs: dict[str, Run] = field(default_factory=dict)
    opted_out: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    opt_outs: list[tuple[str, float, int]] = field(default_factory=list)
    there_before: frozenset[str] = frozenset()
    foreign_tags: frozenset[str] = frozenset()
    asked_again: int = 0
    unexpected: list[str] = field(default_factory=list)
    looks: int = 0
    running: list[str] = field(default_factory=list)
    paced: bool = True
    """Calls are counted against the account's quota, as every session of ours does."""
    store: Mapping[str, Any] | None = None
    """Where state lies, if not in a folder: `url`, and `options` of the file system. `root` is then a copy."""
    nobody_knows: set[str] = field(default_factory=set)
    """Runs of which Airflow tells nothing, such as those of another Airflow."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Other names of the segment's columns."""
    below: str = "root"
    """The folder that state lies in."""

    def __post_init__(self) -> None:
        self.row = row(self.name)
        self.dialect = LOG_READERS[self.name]
        self.described: Mapping[str, Any] = self.sim.describe()["vendors"][self.name]  # type: ignore[index]
        self.audience = str(self.described["audiences"][0]["id"])
        self.access = ApiEndpoint(str(self.described["base_url"]), is_default_url=False)

    @property
    def root(self) -> Path:
        return self.home / self.below

    @property
    def place(self) -> Any:
        """Where state lies, as a machine sees it that remembers no listing."""
        return self.root if self.store is None else stored(self.store, str(self.store["url"]))

    def resolve(self, text: str) -> Any:
        """A place by its name, as a state file has it."""
        return stored(self.store, text) if self.store and text.startswith("s3://") else Path(text)

    def fetch(self) -> None:
        """Copy what lies in the store to where the laws read it."""
        if self.store is None:
            return
        shutil.rmtree(self.root, ignore_errors=True)
        top = self.store["url"].removeprefix(f"s3://{self.store['bucket']}/") + "/"
        from s3 import objects  # noqa: PLC0415 - schedules on a disk do not wait for it

        for key, content in objects(self.store["endpoint"], self.store["bucket"]).items():
            path = self.root / key.removeprefix(top)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def now(self) -> float:
        return self.sim.clock.now()

    def sleep(self, seconds: float, kill_switch: KillSwitch | None = None) -> None:
        """Let time pass, when none of a try's calls is under way."""
        with kill_switch.road.empty() if kill_switch else nullcontext():
            if kill_switch:
                kill_switch.waits(seconds)
            self.sim.clock.advance(seconds)

    def begin(self, as_of: str, rows: Sequence[Row], mode: str, **options: Any) -> Run:
        """A new task instance, with its segment on disk."""
        name = f"chaos/export/r{len(self.runs)}/-1"
        folder = self.root / "runs" / f"r{len(self.runs)}"
        files = options.pop("files", 1)
        run = self.runs[name] = Run(name, as_of, mode, rows, folder, **options)
        write_segment(rows, self.segments / folder.name, files, self.columns)
        return run

    @property
    def segments(self) -> Path:
        """Where segments lie: a folder of a name as odd as that of the state."""
        return self.home / f"{self.below} segments"

    def order(self, run: Run, **options: Any) -> ExportConfig:
        segment = str(self.segments / run.folder.name)
        column = {name: self.columns.get(name, name) for name in ("email", "name", "consent", "consented_at")}
        proof = ProofColumns(column["consented_at"], {}) if run.proof else None
        field_mapping = options.pop("field_mapping", None) or {"email": column["email"], "first_name": column["name"]}
        told: dict[str, Any] = {
            "guards": UNGUARDED,
            "consent": Consent(column=column["consent"], proof=proof),
            "export_name": "chaos.export",
            "dry_run": run.dry,
            "mode": run.mode,
            **run.asked,
            **options,
        }
        return ExportConfig(segment, self.audience, field_mapping, run.as_of, run.name, **told)

    def sender(self, attempt: str, kill_switch: KillSwitch, clock: Callable[[], float]) -> Sender:
        """Calls that tell whose they are, under the account's quota."""
        sleep = partial(self.sleep, kill_switch=kill_switch)

        def session() -> requests.Session:
            made = requests.Session()
            made.auth = self.row.auth(self.described)
            made.trust_env = False
            made.headers["User-Agent"] = attempt
            made.mount("http://", FaultAdapter(kill_switch))
            return made

        pace = None
        if self.paced:
            store = open_store(str(self.home / "quotas"), self.name, self.vendor.limits)
            pace = RateLimiter(
                self.vendor, store, max_wait_s=60, sleep=sleep, clock=self.now, raise_if_stopped=kill_switch.gate
            )
        return Sender(session, self.vendor, rate_limiter=pace, sleep=sleep, clock=clock)

    def attempt(self, run: Run, trouble: Trouble | None = None, **options: Any) -> str:
        """One try of a run; how it ended."""
        trouble = trouble or Trouble()
        self.fetch()
        this = Try(len(run.tries) + 1, in_audience(self.root))
        run.tries.append(this)
        kill_switch = trouble.kill_switch or KillSwitch(str(self.root))
        clock = partial(self.clock_of, trouble)
        sender = self.sender(f"{AGENT}{run.name} {this.number}", kill_switch, clock)
        world = ExportEnvironment(
            sender,
            RunFolder.open(self.place / "runs" / run.folder.name),
            self.place,
            resolve=self.resolve,
            wait_or_leave=lambda jobs: self.pause(leaves=trouble.leaves),
            clock=clock,
            sleep=partial(self.sleep, kill_switch=kill_switch),
            on_progress=lambda told: this.texts.append(json.dumps(dict(told), default=str)),
            is_task_running=lambda holder: None if holder in self.nobody_knows else holder in self.running,
        )
        self.looks = 0
        self.running.append(run.name)
        with hearing(this.texts), strikes(kill_switch):
            try:
                this.ended = self._go(run, this, world, kill_switch, options)
            finally:
                sender.close()
                self.running.remove(run.name)
        self.fetch()
        this.closed = world.run_folder.finished()
        this.members |= in_audience(self.root, versions=5)
        if this.ended in {"killed", "disk", "Superseded"}:
            this.in_flight = CONNECTIONS
        return this.ended

    def clock_of(self, trouble: Trouble) -> float:
        """The worker's clock."""
        return self.now() + trouble.skew

    def _go(
        self, run: Run, this: Try, world: ExportEnvironment, kill_switch: KillSwitch, options: Mapping[str, Any]
    ) -> str:
        try:
            report = Export(self.vendor, self.access, self.order(run, **options), world).run()
        except Killed:
            return "killed"
        except SegexportError as error:
            this.texts.append("".join(traceback.format_exception(error)))
            if type(error) is SegexportError:
                self.unexpected.append(f"{run.name}: {error}")
            elif isinstance(error, RetryableError) and error.retry_after_s:
                self.sleep(error.retry_after_s)
            return type(error).__name__
        except Exception as error:  # noqa: BLE001 - whatever it is, the schedule that led to it is told
            if isinstance(error, OSError) and kill_switch.struck:
                return "disk"
            this.texts.append(traceback.format_exc())
            self.unexpected.append(f"{run.name}, try {this.number}: {traceback.format_exc()}")
            return "unexpected"
        if isinstance(report, PendingJobs):
            return "waiting"
        this.report = report
        this.texts.append(json.dumps(report))
        return "finished"

    def repair(self) -> None:
        """What `airflow segexport repair` does."""
        for place in ledger_paths(self.root):
            try:
                repair.repair(place, self.resolve, clock=self.now, sleep=self.sleep)
            except AudienceLocked as busy:
                self.sleep(busy.retry_after_s or 0)
                repair.repair(place, self.resolve, clock=self.now, sleep=self.sleep)
        folders = [RunFolder.latest(run.folder) for run in self.runs.values()]
        for folder, why in repair.unreadable_runs([folder for folder in folders if folder is not None]):
            repair.set_run_aside(folder, why, self.now())

    def pause(self, *, leaves: bool) -> bool:
        """Wait for jobs, or leave."""
        self.looks += 1
        if self.looks > MOST_LOOKS:
            raise RuntimeError(f"{self.name} is asked for its jobs without an end.")
        self.sleep(2)
        return not leaves

    def evidence(self, *, settled: bool = False) -> RunRecords:
        """All that is on record, with the vendor as it is now."""
        self.sleep(60)
        self.fetch()
        entries = self.sim.requests(vendor=self.name)
        return RunRecords(
            self.dialect,
            entries,
            self.runs,
            self.root,
            members=self.people(self.audience),
            people=self.people(self.dialect.account) if self.dialect.account else {},
            opted_out=self.opted_out,
            left=self.left,
            opt_outs=self.opt_outs,
            there_before=self.there_before,
            harmed_tags=self.harmed_tags(),
            asked_again=self.asked_again,
            secrets=list(secrets(self.described["credentials"])),
            unexpected=self.unexpected,
            settled=settled,
        )

    def harmed_tags(self) -> list[str]:
        """People who have lost the tag of others, or still have a tag of an experiment."""
        if not self.foreign_tags:
            return []
        tags = {email: set(person["tags"]) for email, person in self.people("all-contacts").items()}
        lost = [email for email in sorted(self.foreign_tags) if FOREIGN_TAG not in tags.get(email, set())]
        return lost + [email for email, names in tags.items() if any(name.startswith("segexport") for name in names)]

    def people(self, view: str) -> dict[str, dict[str, Any]]:
        """Everybody in a view of the simulator's, by address."""
        found: Any = self.sim.members(self.name, view)["members"]
        return {str(one["email"]).lower(): one for one in found}


def stored(store: Mapping[str, Any], url: str) -> Any:
    """A place in object storage."""
    from upath import UPath  # noqa: PLC0415 - schedules on a disk do not wait for it

    return UPath(url, **store["options"], skip_instance_cache=True)


def secrets(told: object) -> Iterator[str]:
    """All texts of some length in what a connection holds."""
    if isinstance(told, Mapping):
        for one in told.values():
            yield from secrets(one)
    elif isinstance(told, str) and len(told) > 12:
        yield told

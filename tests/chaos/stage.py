"""Runs exports to a simulated audience, with a fault in any attempt."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import requests
from chaos.captured_logs import collected_logs
from chaos.fault_injection import FaultAdapter, Killed, KillSwitch, strikes
from chaos.run_records import AGENT, Run, Try, in_audience
from chaos.simulated_audience import SimulatedAudience

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
from airflow_provider_segexport.person.files import run_folders
from airflow_provider_segexport.ratelimit.backends import open_store
from airflow_provider_segexport.ratelimit.limiter import RateLimiter
from airflow_provider_segexport.storage.history import ledger_paths
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.vendors.base import Limits, Vendor
from airflow_provider_segexport.vendors.registry import VENDORS

BATCH, CONNECTIONS, JOBS = 4, 2, 2
MOST_LOOKS = 400
UNGUARDED = dict.fromkeys(GUARDS)
"""All guards disabled, because the changes of two dozen people exceed the shares that guards allow."""


def small(name: str, rows: int = BATCH) -> Vendor:
    """Return the vendor with small batches, so that a few people make many calls."""
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
    """The faults of one attempt.

    Attributes:
        kill_switch: the fault, and the step at which it occurs.
        leaves: the attempt releases its worker slot when it would have to wait for jobs.
        skew: seconds that the worker's clock is ahead of the vendor's. Calls are counted by the right clock: workers
            whose clocks are an hour apart do not see each other's calls.
    """

    kill_switch: KillSwitch | None = None
    leaves: bool = False
    skew: float = 0.0


class Stage(SimulatedAudience):
    """An audience whose exports run in this process."""

    def order(self, run: Run, **options: Any) -> ExportConfig:
        segment = str(self.segments / run.folder.name)
        column = {name: self.columns.get(name, name) for name in ("email", "name", "consent", "consented_at")}
        proof = ProofColumns(column["consented_at"], {}) if run.proof else None
        field_mapping = options.pop("field_mapping", None) or {"email": column["email"], "first_name": column["name"]}
        arguments: dict[str, Any] = {
            "guards": UNGUARDED,
            "consent": Consent(column=column["consent"], proof=proof),
            "export_name": "chaos.export",
            "dry_run": run.dry,
            "mode": run.mode,
            **run.options,
            **options,
        }
        return ExportConfig(segment, self.audience, field_mapping, run.as_of, run.name, **arguments)

    def sender(self, attempt: str, kill_switch: KillSwitch, clock: Callable[[], float]) -> Sender:
        """Return a sender whose calls name their attempt, within the account's quota."""
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
        """Run one attempt, and return how it ended."""
        trouble = trouble or Trouble()
        self.fetch()
        this = Try(len(run.tries) + 1, in_audience(self.root))
        run.tries.append(this)
        kill_switch = trouble.kill_switch or KillSwitch(str(self.root))
        clock = partial(self.clock_of, trouble)
        sender = self.sender(f"{AGENT}{run.name} {this.number}", kill_switch, clock)
        environment = ExportEnvironment(
            sender,
            RunFolder.open(self.state_path / "runs" / run.folder.name),
            self.state_path,
            resolve=self.resolve,
            wait_or_leave=lambda jobs: self.pause(leaves=trouble.leaves),
            clock=clock,
            sleep=partial(self.sleep, kill_switch=kill_switch),
            on_progress=lambda update: this.texts.append(json.dumps(dict(update), default=str)),
            is_task_running=lambda holder: None if holder in self.unknown_to_airflow else holder in self.running,
        )
        self.looks = 0
        self.running.append(run.name)
        with collected_logs(this.texts), strikes(kill_switch):
            try:
                this.ended = self._go(run, this, environment, kill_switch, options)
            finally:
                sender.close()
                self.running.remove(run.name)
        self.fetch()
        this.closed, this.ended_after = environment.run_folder.finished(), self.last_request()
        this.members |= in_audience(self.root, versions=5)
        if this.ended in {"killed", "disk", "Superseded"}:
            this.in_flight = CONNECTIONS
        return this.ended

    def last_request(self) -> int:
        """Return the number of the newest call in the vendor's log."""
        return max((int(entry["number"]) for entry in self.sim.requests()), default=0)

    def clock_of(self, trouble: Trouble) -> float:
        """The worker's clock."""
        return self.now() + trouble.skew

    def _go(
        self, run: Run, this: Try, environment: ExportEnvironment, kill_switch: KillSwitch, options: Mapping[str, Any]
    ) -> str:
        try:
            report = Export(self.vendor, self.access, self.order(run, **options), environment).run()
        except Killed:
            return "killed"
        except SegexportError as error:
            this.texts.append("".join(traceback.format_exception(error)))
            if type(error) is SegexportError:
                self.unexpected.append(f"{run.name}: {error}")
            elif isinstance(error, RetryableError) and error.retry_after_s:
                self.sleep(error.retry_after_s)
            return type(error).__name__
        except Exception as error:  # noqa: BLE001 - whatever it is, the schedule that led to it is reported
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
        """Repair the audience as `airflow segexport repair` does."""
        for path in ledger_paths(self.root):
            runs = list(run_folders(self.state_path / "runs"))
            try:
                repair.repair(path, self.resolve, clock=self.now, sleep=self.sleep, runs=runs)
            except AudienceLocked as busy:
                self.sleep(busy.retry_after_s or 0)
                repair.repair(path, self.resolve, clock=self.now, sleep=self.sleep, runs=runs)
        folders = [RunFolder.latest(run.folder) for run in self.runs.values()]
        for folder, why in repair.unreadable_runs([folder for folder in folders if folder is not None]):
            repair.set_run_aside(folder, why, self.now())

    def pause(self, *, leaves: bool) -> bool:
        """Wait for jobs, or stop the attempt if `leaves`."""
        self.looks += 1
        if self.looks > MOST_LOOKS:
            raise RuntimeError(f"{self.name} is asked for its jobs without an end.")
        self.sleep(2)
        return not leaves

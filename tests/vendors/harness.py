"""An account at a simulated vendor, and exports to it through the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import requests
from requests.auth import AuthBase
from vendors.rows import Row, row

from airflow_provider_segexport.export.config import Consent, ExportConfig, ExportEnvironment, PendingJobs, Undo
from airflow_provider_segexport.export.pipeline import Export
from airflow_provider_segexport.http.client import RetryLimits, Sender
from airflow_provider_segexport.model import Operation, Request, Response, T
from airflow_provider_segexport.simulator import Simulator
from airflow_provider_segexport.storage import history
from airflow_provider_segexport.storage.account_record import AccountRecord, LearntFact
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_schema import MEMBER, REMOVING
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.base import Vendor
from airflow_provider_segexport.vendors.operations import run_operation
from airflow_provider_segexport.vendors.registry import VENDORS

AS_OF = "2026-01-01T00:00:00Z"
Send = Callable[[Request], Response]


def people(count: int) -> list[str]:
    return [f"p{number}@example.com" for number in range(count)]


class VendorHarness:
    """One vendor's account in a simulator with a manual clock, and a folder for runs."""

    learnt = "merge"
    """The content of the account record before the first run; empty for no record."""

    def __init__(self, sim: Simulator, name: str, home: Path, **limits: object) -> None:
        self.sim = sim
        self.name = name
        self.home = home
        self.row: Row = row(name)
        self.vendor: Vendor = VENDORS[name]
        if limits:
            self.vendor = replace(self.vendor, limits=replace(self.vendor.limits, **limits))
        self.described: Mapping[str, Any] = sim.describe()["vendors"][name]  # type: ignore[index]
        self.audience = str(self.described["audiences"][0]["id"])
        sim.configure({name: self.row.relax_limits})
        self.slept: list[float] = []
        self.paused: list[int] = []

    def sender(self, auth: AuthBase | None = None, patience: RetryLimits | None = None) -> Sender:
        def session() -> requests.Session:
            session = requests.Session()
            session.auth = auth or self.row.auth(self.described)
            session.trust_env = False
            return session

        return Sender(session, self.vendor, retry_limits=patience, sleep=self.sleep, clock=self.sim.clock.now)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.sim.clock.advance(seconds)

    def pause(self, jobs: int) -> bool:
        self.paused.append(jobs)
        self.sim.clock.advance(5)
        return True

    @property
    def endpoint(self) -> ApiEndpoint:
        return ApiEndpoint(str(self.described["base_url"]), is_default_url=False)

    def call(self, operation: Operation[T], auth: AuthBase | None = None) -> T:
        sender = self.sender(auth)
        try:
            return run_operation(operation, sender, self.sleep)
        finally:
            sender.close()

    def segment(self, columns: Mapping[str, Sequence[object]], name: str = "segment.parquet") -> Path:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(dict(columns)), path)
        return path

    def config(self, segment: Path, **options: Any) -> ExportConfig:
        field_mapping = {"email": "email", **options.pop("field_mapping", {})}
        arguments = {"as_of": AS_OF, "run": options.pop("by", "test"), "export_name": "tests.export", **options}
        return ExportConfig(str(segment), self.audience, field_mapping, **arguments)

    def learn(self, value: str) -> None:
        """Write what an experiment would find out about the account."""
        if self.vendor.experiment is not None:
            fact = LearntFact(value, self.sim.clock.now())
            self.account_record().record(self.vendor.experiment.fact, fact)

    def account_record(self) -> AccountRecord:
        account, experiment = self.row.account_id(self.described), self.vendor.experiment
        return AccountRecord.of(self.home, self.name, account, experiment.api_version if experiment else "")

    def environment(self, run: str = "run", **options: Any) -> ExportEnvironment:
        experiment = self.vendor.experiment
        if self.learnt and experiment and not self.account_record().path(experiment.fact).exists():
            self.learn(self.learnt)
        send = options.pop("send", None) or self.sender(patience=options.pop("patience", None))
        folder = RunFolder.open(self.home / "runs" / run)
        pause = options.pop("pause", self.pause)
        return ExportEnvironment(send, folder, self.home, pause, clock=self.sim.clock.now, sleep=self.sleep, **options)

    def export(
        self, segment: Path, run: str = "run", *, environment: ExportEnvironment | None = None, **options: Any
    ) -> dict[str, Any]:
        """Run an export to its end; return the report."""
        environment = environment or self.environment(run)
        try:
            report = Export(self.vendor, self.endpoint, self.config(segment, **options), environment).run()
        finally:
            environment.http.close()
        assert not isinstance(report, PendingJobs)
        return report

    def day(self, number: int, emails: Sequence[str], **options: Any) -> dict[str, Any]:
        """Export the people of a day, with the first names in `first`; return the report."""
        first = options.pop("first", {})
        columns: dict[str, list[Any]] = {"email": list(emails), "first": [first.get(email, "Same") for email in emails]}
        columns |= options.pop("columns", {})
        name = options.pop("name", f"day-{number}")
        arguments = {"as_of": f"2026-01-{number:02d}T00:00:00Z", "by": f"dag/task/{name}/0", "mode": "mirror"}
        arguments |= {
            "field_mapping": {"first_name": "first"},
            "guards": {"max_removals_share": None, "max_shrink": None},
            **options,
        }
        return self.export(self.segment(columns, f"{name}.parquet"), name, **arguments)

    def undo(self, undo: Undo | None = None, run: str = "undo", export_name: str = "") -> dict[str, Any]:
        """Undo the last run, or that of one export; return the report."""
        options = {"undo": undo or Undo(), "by": f"dag/undo/{run}/0", "export_name": export_name}
        return self.export(self.home / "none.parquet", run, **options)

    @staticmethod
    def consent(column: str | None = None, *suppression: Path) -> Consent:
        return Consent(column, tuple(map(str, suppression)))

    def latest_summary(self) -> dict[str, Any]:
        """Return the newest state of the audience."""
        target = self.call(self.vendor.resolve_audience(self.endpoint, self.audience))
        latest = history.latest(Ledger.of(self.home, self.name, target).path)
        assert latest
        return latest

    def ledger(self) -> dict[str, dict[str, Any]]:
        """Return the newest version of the audience's ledger, by address."""
        target = self.call(self.vendor.resolve_audience(self.endpoint, self.audience))
        ledger = Ledger.of(self.home, self.name, target)
        rows = pq.read_table(ledger.file(ledger.version())).to_pylist() if ledger.version() else []
        assert ledger.members() == sum(row["state"] in {MEMBER, REMOVING} for row in rows)
        return {row["email"]: row for row in rows}

    def active(self) -> set[str]:
        """Return the addresses of mailable members."""
        quiet = {self.row.opted_out, "unsubscribed", "deleted", "bounced", "suppressed", "unconfirmed"}
        return {email for email, member in self.members().items() if str(member["status"]).lower() not in quiet}

    def rejects(self, run: str = "run", generation: str = "01") -> list[dict[str, Any]]:
        return pq.read_table(self.home / "runs" / run / generation / "rejects.parquet").to_pylist()

    def members(self) -> dict[str, dict[str, Any]]:
        """Return the audience's members at the simulator, by address."""
        self.sim.clock.advance(60)
        return {str(member["email"]): member for member in self.sim.members(self.name, self.audience)["members"]}

    def upserts(self) -> list[dict[str, Any]]:
        """Return the simulator's log entries of calls with a batch."""
        method, path = self.row.upsert
        entries = self.sim.requests(vendor=self.name)
        return [entry for entry in entries if entry["method"] == method and str(entry["path"]).endswith(path)]

    def fault(self, **line: object) -> None:
        """Script a fault of the call with a batch."""
        method, path = self.row.upsert
        self.sim.faults([{"vendor": self.name, "method": method, "path": f"{path}$", **line}])

    def facts(self, what: str) -> int:
        """Return the total of a counter in the simulator's request log."""
        return sum(entry["facts"].get(what, 0) for entry in self.sim.requests(vendor=self.name))

"""Runs exports of the product in a simulated account, and reads what the vendor and the ledger hold afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from chaos.outside_changes import contact
from chaos.person_model import Contact, LedgerRow, Row
from chaos.steps import PEOPLE, WITH_SHOP, Break, Export, Sequence
from chaos.vendor_log_readers import LOG_READERS
from chaos.vendor_model import RULES
from vendors.harness import VendorHarness

from airflow_provider_segexport.errors import AudienceLocked
from airflow_provider_segexport.export.config import Consent, ExportConfig, Guard, PendingJobs
from airflow_provider_segexport.export.pipeline import Export as Product
from airflow_provider_segexport.http.client import RetryLimits
from airflow_provider_segexport.simulator import Simulator
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.ledger import Ledger

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
GUARDS = (
    "min_rows",
    "max_shrink",
    "max_growth",
    "max_removals_share",
    "max_invalid_emails_share",
    "max_duplicates_share",
    "max_rejected_share",
)
JOB_SECONDS = 600
MAX_POLLS = 60


class Disagreement(AssertionError):
    """Model and product differ after a step."""


class WorkerKilled(BaseException):
    """The worker was killed."""


def address(person: str) -> str:
    return f"{person}@example.com"


def without_concurrency(account: VendorHarness) -> VendorHarness:
    """Send one call at a time, so that a fault hits the same call on each machine."""
    removal = account.vendor.removal
    if removal is not None:
        sequential = replace(removal, limits=replace(removal.limits, max_concurrency=1))
        account.vendor = replace(account.vendor, removal=sequential)
    return account


class CallsUntilKill:
    """Sends the calls of a run until the worker is killed at one of them."""

    def __init__(self, send: Any, at: int, *, after: bool) -> None:
        self._send, self._at, self._after = send, at, after
        self._count = 0

    def __call__(self, request: Any) -> Any:
        self._count += 1
        if self._count > self._at or (self._count == self._at and not self._after):
            raise WorkerKilled
        response = self._send(request)
        if self._count == self._at:
            raise WorkerKilled
        return response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._send, name)


class CallsWithRival:
    """Sends the calls of a run. Another run begins before the first call that carries people."""

    def __init__(self, send: Any, upsert: tuple[str, str], begin: Callable[[], None]) -> None:
        self._send, self._upsert, self._begin = send, upsert, begin
        self._begun = False

    def __call__(self, request: Any) -> Any:
        method, path = self._upsert
        if not self._begun and request.method == method and request.url.endswith(path):
            self._begun = True
            self._begin()
        return self._send(request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._send, name)


class ProductRuns:
    """The product's runs at one vendor, and reads of the vendor, the ledger and the run folders."""

    def __init__(self, sim: Simulator, home: Path, sequence: Sequence) -> None:
        sim.reset(seed=1, latency=0.0, log_body_bytes=0)
        self.sequence = sequence
        self.vendor = RULES[sequence.vendor]
        self.account = without_concurrency(VendorHarness(sim, sequence.vendor, home, batch_rows=3, max_concurrency=1))
        self.runs = 0

    def run_export(
        self, step: Export, lines: list[tuple[str | None, Row]], as_of: int, plan_hash: str = ""
    ) -> Mapping[str, Any] | None:
        """Run the export in the product; None if it stopped to wait for jobs."""
        account, name = self.account, f"run-{self.runs}"
        columns: dict[str, Any] = {
            "email": [person if person is None or " " in person else address(person) for person, _ in lines],
            "first": [row.value for _, row in lines],
            "agreed": [row.consent for _, row in lines],
            "orders": pa.array(["many" if row.bad else None for _, row in lines], pa.string()),
            "shop": pa.array(["Oslo" if row.value == WITH_SHOP else None for _, row in lines], pa.string()),
        }
        segment = account.segment(columns, f"{name}.parquet")
        guards: dict[str, Guard | None] = dict.fromkeys(GUARDS)
        if step.guard:
            guards["max_removals"] = Guard(0, step.guard)  # type: ignore[arg-type]
        custom = account.row.number_field
        config = account.config(
            segment,
            as_of=(FIRST_DAY + timedelta(days=as_of)).isoformat(),
            by=f"dag/task/{name}/0",
            export_name=step.export,
            mode=step.mode,
            allow_shared_audience=self.sequence.shared,
            field_mapping={"first_name": "first"},
            custom_fields=({custom: "orders"} if custom else {})
            | ({account.row.custom[1]: "shop"} if step.field else {}),
            create_custom_fields=step.field == "create",
            consent=Consent("agreed", self.write_suppression_list(step, name)),
            guards=guards,
            dry_run=step.dry,
            on_stale="verify" if step.verify else "skip",
            expected_plan=plan_hash,
        )
        environment = self.environment(name, step.trouble)
        if step.beside and step.trouble is None:
            calls = CallsWithRival(account.sender(), account.row.upsert, lambda: self.run_rival(config, name))
            environment = replace(environment, http=calls)
        try:
            report = Product(account.vendor, account.endpoint, config, environment).run()
        finally:
            environment.http.close()
        if not isinstance(report, PendingJobs):
            return report
        if step.beside:
            self.run_rival(config, name)
        return None

    def write_suppression_list(self, step: Export, name: str) -> tuple[str, ...]:
        """Write the people that a step suppresses; return the list's path, or none if it suppresses no person."""
        if not step.suppressed:
            return ()
        path = self.account.home / f"{name}-stop.parquet"
        pq.write_table(pa.table({"email": [address(person) for person in sorted(step.suppressed)]}), path)
        return (str(path),)

    def run_rival(self, config: ExportConfig, name: str) -> None:
        """Start another run of the audience: it must wait, and change nothing."""
        segment = self.account.segment({"email": [address(PEOPLE[-1])], "first": ["Z"]}, f"{name}-rival.parquet")
        plain = ExportConfig(
            str(segment),
            config.audience,
            {"email": "email", "first_name": "first"},
            as_of=config.as_of,
            run=f"dag/task/{name}-rival/0",
            export_name=config.export_name,
            mode="mirror",
            allow_shared_audience=config.allow_shared_audience,
            guards=dict.fromkeys(GUARDS),
        )
        environment = self.account.environment(f"{name}-rival", is_task_running=lambda _: True)
        try:
            Product(self.account.vendor, self.account.endpoint, plain, environment).run()
        except AudienceLocked:
            return
        finally:
            environment.http.close()
        raise Disagreement("two runs of one audience at once")

    def environment(self, name: str, trouble: Break | None) -> Any:
        """Return the environment of a run, with the step's fault."""
        account, polls = self.account, [0]

        def pause(_: int) -> bool:
            polls[0] += 1
            account.sim.clock.advance(JOB_SECONDS / 10)
            if polls[0] > MAX_POLLS:
                raise Disagreement("the run polls without an end")
            return True

        options: dict[str, Any] = {"pause": pause, "is_task_running": lambda _: False}
        if trouble is None:
            return account.environment(name, **options)
        if trouble.kind == "killed":
            options["send"] = CallsUntilKill(account.sender(), trouble.at, after=trouble.after)
        elif trouble.kind == "left":
            account.sim.configure({account.name: {"job_seconds": JOB_SECONDS}})
            options["pause"] = lambda _: False
        elif trouble.kind == "jobs":
            running, _, failed, _ = account.row.states
            if account.name == "omnisend":
                account.sim.act(account.name, "stop_batches", {"after": [1]})
            else:
                account.sim.act(account.name, "script_jobs", {"scripts": [[running, failed[0]]]})
        else:
            options["patience"] = RetryLimits(attempts=1)
            method, path = (trouble.removals and account.row.removal) or account.row.upsert
            line = {"status": 503} if trouble.kind == "503" else {"drop": True, "when": "after"}
            fault = {
                "vendor": account.name,
                "method": method,
                "path": f"{path}$",
                "nth": trouble.at % 3 + 1,
                "count": 0,
            }
            account.sim.faults([{**fault, **line}])
        return account.environment(name, **options)

    def recover(self) -> None:
        """Remove the scripted faults after a run, also those that it did not meet."""
        self.account.sim.clear_faults()
        if self.account.name == "omnisend":
            self.account.sim.act("omnisend", "stop_batches", {"after": []})
        elif self.vendor.jobs:
            self.account.sim.act(self.account.name, "script_jobs", {"scripts": []})
        self.account.sim.clock.advance(200)
        if self.vendor.jobs:
            self.account.sim.configure({self.account.name: {"job_seconds": 1}})

    @cached_property
    def ledger(self) -> Ledger:
        """The audience's ledger."""
        target = self.account.call(self.account.vendor.resolve_audience(self.account.endpoint, self.account.audience))
        return Ledger.of(self.account.home, self.account.name, target)

    def read_ledger(self) -> tuple[dict[str, dict[str, Any]], dict[str, LedgerRow]]:
        """Read the newest version of the ledger: its rows by address, and the columns that the model compares."""
        version = self.ledger.version()
        rows = {row["email"]: row for row in pq.read_table(self.ledger.file(version)).to_pylist()} if version else {}
        sharers = AudienceState.of(self.ledger.path).sharers

        def names(bits: int | None) -> frozenset[str]:
            return frozenset(name for at, name in enumerate(sharers) if (bits or 0) >> at & 1)

        return rows, {
            email: LedgerRow(row["state"], names(row["sharers_mask"]), names(row["barred"]), bool(row["existed"]))
            for email, row in rows.items()
        }

    def read_result(self, name: str) -> list[dict[str, Any]]:
        """Read a file of the newest generation in the last run's folder."""
        folders = sorted((self.account.home / "runs" / f"run-{self.runs}").glob(f"*/{name}"))
        return pq.read_table(folders[-1]).to_pylist() if folders else []

    def contacts(self) -> dict[str, Contact | None]:
        """Read each person from the simulator."""
        self.account.sim.clock.advance(60)
        members = self.people(self.account.audience)
        view = LOG_READERS[self.account.name].account
        others = self.people(view) if view else {}
        if self.account.name == "constant_contact":
            others |= self.people("deleted")
        return {
            person: contact(self.account.name, members.get(address(person)), others.get(address(person)))
            for person in PEOPLE
        }

    def people(self, view: str) -> dict[str, dict[str, Any]]:
        members: Any = self.account.sim.members(self.account.name, view)["members"]
        return {str(member["email"]): member for member in members}

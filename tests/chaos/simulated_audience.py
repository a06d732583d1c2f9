"""An audience at a simulated vendor: where its state and segments are, its runs, and the records for the invariants."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.fault_injection import KillSwitch
from chaos.population import write_segment
from chaos.run_records import Row, Run, RunRecords
from chaos.vendor_log_readers import LOG_READERS
from vendors.rows import row

from airflow_provider_segexport.simulator import Simulator
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.base import Vendor

FOREIGN_TAG = "Tag of others"


LOGIN_S = 10 * 365 * 86_400
"""Seconds for which the login at Constant Contact is valid: a run with a wrong clock may wait for a day."""


@dataclass
class SimulatedAudience:
    """One audience at a simulated vendor, the runs of its exports, and the records of both."""

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
    unknown_to_airflow: set[str] = field(default_factory=set)
    """Runs that Airflow knows nothing of, such as those of another Airflow."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Other names of the segment's columns."""
    below: str = "root"
    """The folder that state lies in."""

    def __post_init__(self) -> None:
        self.row = row(self.name)
        self.dialect = LOG_READERS[self.name]
        self.described: Mapping[str, Any] = self.sim.describe()["vendors"][self.name]  # type: ignore[index]
        if self.name == "constant_contact" and isinstance(self.sim, Simulator):  # a process of its own gets the login
            self.sim.configure({self.name: {"access_seconds": LOGIN_S}})
            login: Any = self.sim.act(self.name, "authorize", {})
            self.described = {**self.described, "credentials": {**self.described["credentials"], **login}}
        self.audience = str(self.described["audiences"][0]["id"])
        self.access = ApiEndpoint(str(self.described["base_url"]), is_default_url=False)

    @property
    def root(self) -> Path:
        return self.home / self.below

    @property
    def state_path(self) -> Any:
        """The state path, opened without a cached listing."""
        return self.root if self.store is None else stored(self.store, str(self.store["url"]))

    def resolve(self, text: str) -> Any:
        """Return the path for a path in a state file."""
        return stored(self.store, text) if self.store and text.startswith("s3://") else Path(text)

    def fetch(self) -> None:
        """Copy the state from the object store to `root`, which the invariants read."""
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
        """Advance the clock, while no call of an attempt is in flight."""
        with kill_switch.road.empty() if kill_switch else nullcontext():
            if kill_switch:
                kill_switch.waits(seconds)
            self.sim.clock.advance(seconds)

    def begin(self, as_of: str, rows: Sequence[Row], mode: str, **options: Any) -> Run:
        """Create a task instance, and write its segment."""
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

    def people(self, view: str) -> dict[str, dict[str, Any]]:
        """Return every person in a view of the simulator, by address."""
        members: Any = self.sim.members(self.name, view)["members"]
        return {str(member["email"]).lower(): member for member in members}

    def harmed_tags(self) -> list[str]:
        """People who have lost the tag of others, or still have a tag of an experiment."""
        if not self.foreign_tags:
            return []
        tags = {email: set(person["tags"]) for email, person in self.people("all-contacts").items()}
        lost = [email for email in sorted(self.foreign_tags) if FOREIGN_TAG not in tags.get(email, set())]
        return lost + [email for email, names in tags.items() if any(name.startswith("segexport") for name in names)]

    def evidence(self, *, settled: bool = False) -> RunRecords:
        """Return all records, with the current state of the vendor."""
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


def stored(store: Mapping[str, Any], url: str) -> Any:
    """Return a path in object storage."""
    from upath import UPath  # noqa: PLC0415 - schedules on a disk do not wait for it

    return UPath(url, **store["options"], skip_instance_cache=True)


def secrets(value: object) -> Iterator[str]:
    """Yield the longer texts in a connection, which may be secrets."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from secrets(item)
    elif isinstance(value, str) and len(value) > 12:
        yield value

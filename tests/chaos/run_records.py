"""The records against which invariants are checked: runs, their attempts, and the calls that the vendor received."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from chaos.vendor_log_readers import Entry, Json, LogReader

AGENT = "chaos "
"""Prefix of the `User-Agent` of an attempt; the run and the number of the attempt follow."""

CONFIGURATION = frozenset(
    {
        "InvalidSegment",
        "InvalidArgument",
        "InvalidConnection",
        "ConnectionNotAllowed",
        "ExportsDisabled",
        "AudienceOwnedByOther",
        "StaleSnapshot",
        "AuthenticationFailed",
        "PermissionDenied",
        "AudienceNotFound",
    }
)
"""Errors that a run raises before it sends anything, by class name."""


@dataclass(frozen=True)
class Row:
    """One row of a segment, and what is wrong with it: the outcome and reason that it must end in, where we know."""

    email: str | None
    name: str
    wrong: tuple[str, str] | None = None
    consent: bool = True
    consented_at: str | None = None

    @property
    def address(self) -> str:
        return (self.email or "").strip().lower()


@dataclass
class Try:
    """One attempt: one process's work on a run.

    Attributes:
        ended: `finished`, `waiting`, `killed`, `disk`, or the class of the error that it ended with.
        members: people that were members by the ledger when the attempt began, or while it ran.
        texts: all text output of the process: logs, errors, progress, the report.
        in_flight: calls that may have been in flight when the process was killed.
        closed: the run's report was finished when the attempt ended.
        ended_after: number of the vendor's last call, of any run, when the attempt ended.
    """

    number: int
    members: frozenset[str] = frozenset()
    ended: str = ""
    texts: list[str] = field(default_factory=list)
    in_flight: int = 0
    closed: bool = False
    ended_after: int = 0
    report: Mapping[str, Any] | None = None


@dataclass
class Run:
    """One task instance: an export of a snapshot to an audience, in one or more attempts."""

    name: str
    as_of: str
    mode: str
    rows: Sequence[Row]
    folder: Path
    tries: list[Try] = field(default_factory=list)
    dry: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    """Other arguments of the run's configuration."""
    proof: bool = False
    """The run subscribes people with proof of consent."""

    @property
    def ended(self) -> str:
        return self.tries[-1].ended if self.tries else ""

    @property
    def export(self) -> str:
        return str(self.options.get("export_name", ""))

    @property
    def finished(self) -> bool:
        return self.ended == "finished"

    def reports(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield the reports in the run's folder, of all generations except those that a repair has set aside."""
        for path in sorted(self.folder.glob("*/summary.json")):
            report = json.loads(path.read_text())
            if not report.keys() & {"set_aside", "salvaged"}:
                yield path.parent, report

    @cached_property
    def withheld(self) -> frozenset[str]:
        """The people without consent, which the run must not send."""
        return frozenset(row.address for row in self.rows if not row.consent)

    @cached_property
    def wanted(self) -> dict[str, str]:
        """The people in the audience after it, with the name: the first row of each good address."""
        return {self.rows[number].address: self.rows[number].name for number in self._good}

    @cached_property
    def moments(self) -> dict[str, float]:
        """The moments of people's consent, by the row that is sent; without those whose moment cannot be read."""
        moments = {}
        for number in self._good:
            with suppress(ValueError):
                moment = datetime.fromisoformat(self.rows[number].consented_at or "")
                moments[self.rows[number].address] = moment.timestamp()
        return moments

    @cached_property
    def _good(self) -> list[int]:
        first: dict[str, int] = {}
        for number, row in enumerate(self.rows):
            if row.wrong is None and row.address not in self.withheld:
                first.setdefault(row.address, number)
        return list(first.values())

    def aside(self) -> set[str]:
        """Those of them that the last report names as not delivered."""
        folder, _ = list(self.reports())[-1]
        named = {line["row"] for line in rejects(folder)}
        return {self.rows[number].address for number in self._good if number in named}


@dataclass(frozen=True)
class Call:
    """A request from the simulator's log, interpreted by the vendor's rules."""

    entry: Entry
    dialect: LogReader

    @property
    def number(self) -> int:
        return int(self.entry["number"])

    @cached_property
    def by(self) -> tuple[str, int]:
        """Run and attempt, from the call's `User-Agent`; the run is empty for a call of another program."""
        agent = str(self.entry["headers"].get("user-agent", ""))
        if not agent.startswith(AGENT):
            return "", 0
        name, _, number = agent.removeprefix(AGENT).rpartition(" ")
        return name, int(number)

    @property
    def run(self) -> str:
        return self.by[0]

    @cached_property
    def items(self) -> Mapping[str, Json]:
        """The people that the call adds or updates, by address."""
        body = self.entry["body"]
        if not self.dialect.is_upsert(self.entry) or not isinstance(body, Mapping):
            return {}
        return {self.dialect.email(item).lower(): item for item in self.dialect.items(body)}

    @cached_property
    def leavers(self) -> Sequence[str]:
        """The people that the call removes: addresses, or the vendor's ids."""
        return self.dialect.leavers(self.entry) if self.dialect.is_removal(self.entry) else ()

    @property
    def batch(self) -> str:
        """The exact content of the body, which identifies a batch together with its kind."""
        return json.dumps([self.entry["method"], self.entry["query"], self.entry["body"]], sort_keys=True)

    @property
    def writes(self) -> bool:
        return self.dialect.is_write(self.entry)

    @property
    def refused(self) -> bool:
        """Whether the vendor did nothing, because it rejected or postponed the call."""
        status = self.entry["status"]
        return status is not None and status >= 400 and not self.fact("failures") and not self.spoilt

    @property
    def spoilt(self) -> bool:
        """Whether a scripted fault changed the response; the vendor may have processed the call before."""
        return bool(self.entry["fault"])

    @property
    def arrived(self) -> bool:
        """Whether the vendor processed the call, whatever happened to its response."""
        if self.spoilt:
            return bool(self.entry["facts"])
        return not self.refused

    def fact(self, name: str) -> int:
        return int(self.entry["facts"].get(name, 0))


@dataclass
class RunRecords:
    """All records about one audience at one vendor.

    Attributes:
        members: the audience at the end, by address; `people` the whole account, where the vendor shows it.
        opted_out: people who opted out at the vendor and did not return, with the number of the last call before that.
        opt_outs: each opt-out: the person, the time, and the number of the last call before it.
        there_before: people who were in the audience before any export.
        harmed_tags: people who have lost a tag of others at the end, or have a temporary one.
        asked_again: batches that must be sent once more, because of a scripted failure of their job.
        unexpected: errors in which no schedule may end.
    """

    dialect: LogReader
    entries: Sequence[Entry]
    runs: dict[str, Run]
    root: Path
    members: Mapping[str, Json] = field(default_factory=dict)
    people: Mapping[str, Json] = field(default_factory=dict)
    opted_out: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)
    opt_outs: Sequence[tuple[str, float, int]] = ()
    there_before: frozenset[str] = frozenset()
    harmed_tags: Sequence[str] = ()
    asked_again: int = 0
    secrets: Sequence[str] = ()
    unexpected: Sequence[str] = ()
    settled: bool = False
    """The last run exported the newest snapshot and nothing has changed since, so vendor and segment must agree."""

    @cached_property
    def calls(self) -> list[Call]:
        return [Call(entry, self.dialect) for entry in self.entries]

    def last_opt_out(self, email: str, before: int) -> float:
        """Return when a person last opted out before the call of this number; a time long ago if never."""
        return max(
            (at for person, at, number in self.opt_outs if person == email and number < before),
            default=0.0,
        )

    def calls_of(self, run: Run) -> list[Call]:
        return self._by_run[run.name]

    def last_call(self, run: Run) -> int:
        """Return the number of a run's last call; 0 if it made none."""
        return max((call.number for call in self.calls_of(run)), default=0)

    @cached_property
    def _by_run(self) -> dict[str, list[Call]]:
        calls_by_run: dict[str, list[Call]] = defaultdict(list)
        for call in self.calls:
            calls_by_run[call.run].append(call)
        return calls_by_run

    def ever_refused(self) -> set[str]:
        """People that the vendor rejected at some time, and may not have stored the values of."""
        lines = (line for run in self.runs.values() for folder, _ in run.reports() for line in rejects(folder))
        return {*self.opted_out, *self.left, *(line["email"] for line in lines if line["outcome"] == "rejected")}

    def address(self, leaver: str) -> str:
        """Return the address of the person in a removal."""
        return leaver.lower() if "@" in leaver else self._ids.get(leaver, leaver)

    @cached_property
    def _ids(self) -> dict[str, str]:
        all_people = {**self.people, **self.members}
        return {str(person["id"]): email for email, person in all_people.items() if "id" in person}


def rejects(folder: Path) -> list[dict[str, Any]]:
    """The rows that a report names as not delivered."""
    path = folder / "rejects.parquet"
    return list(pq.read_table(path).to_pylist()) if path.exists() else []


def in_audience(root: Path, *, versions: int = 1) -> frozenset[str]:
    """Return the people that are added and not removed by any of the ledger's last versions."""
    emails = set()
    for audience in (root / "ledgers").glob("*/*/*"):
        for path in sorted(audience.glob("[0-9]*.parquet"))[-versions:]:
            with suppress(OSError, pa.ArrowException):  # a schedule has damaged it
                rows = pq.read_table(path).to_pylist()
                emails |= {row["email"] for row in rows if row.get("state", "member") == "member"}
    return frozenset(emails)

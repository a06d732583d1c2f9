"""The conductor: knows the order of the stages, and where a run that was interrupted goes on.

All that a run knows lies in its run folder, so there is one way in: `Export.run`. It plans what is not planned, sends
what is not sent, waits for the jobs that run, and reports. A first try, a retry, a return from deferral and another
machine all call it alike.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from airflow_provider_segexport import contract
from airflow_provider_segexport.contract import Access, Vendor, drive
from airflow_provider_segexport.errors import BadMatching, BadSegment, SegexportError
from airflow_provider_segexport.model import Operation, T, Target, VendorField
from airflow_provider_segexport.ports.engine import Engine, engine
from airflow_provider_segexport.ports.http import Sender
from airflow_provider_segexport.ports.ledger import Ledger
from airflow_provider_segexport.ports.places import Place, Resolve, local
from airflow_provider_segexport.ports.run_folder import RunFolder
from airflow_provider_segexport.segment import Asked, Planned, SegmentFiles
from airflow_provider_segexport.stages import clean, commit, encode, match, plan, read, readback, report, send, settle

log = logging.getLogger(__name__)

Mode = Literal["full", "changes"]
MOST_PROFILES = 1_000_000


@dataclass(frozen=True, slots=True)
class Order:
    """What a colleague configured.

    Attributes:
        segment: a path, a folder, a glob, or several of them: several are united.
        audience: the vendor's id of the audience.
        matching: column by neutral field.
        custom_fields: column by the vendor's name of the field.
        create_fields: make custom fields that the audience lacks.
        mode: `full` sends every profile, `changes` those that are new or changed since the ledger.
        as_of: the time that the segment describes, ISO 8601 with a zone.
        run: who runs this, in words that go into the ledger.
        max_profiles: more rows than this are refused.
    """

    segment: str | tuple[str, ...]
    audience: str
    matching: Mapping[str, str]
    as_of: str
    run: str
    custom_fields: Mapping[str, str] = field(default_factory=dict)
    create_fields: bool = False
    mode: Mode = "full"
    max_profiles: int = MOST_PROFILES


@dataclass(frozen=True, slots=True)
class Waiting:
    """The run is not finished: jobs are at the vendor. Come back when `enough` of the tickets have ended."""

    tickets: tuple[str, ...]
    enough: int


@dataclass(frozen=True, slots=True)
class World:
    """What an export touches.

    Attributes:
        send: calls the vendor.
        folder: the run's own.
        root: where ledgers stand.
        resolve: makes a place of a text.
        pause: told the number of jobs; True when it is time to poll, False to leave with `Waiting`.
    """

    send: Sender
    folder: RunFolder
    root: Place
    pause: Callable[[int], bool]
    resolve: Resolve = local
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


class Export:
    """One export of one segment to one audience."""

    def __init__(self, vendor: Vendor, access: Access, order: Order, world: World) -> None:
        self._vendor = vendor
        self._access = access
        self._order = order
        self._world = world
        self._started = world.clock()

    def run(self) -> dict[str, Any] | Waiting:
        """Do what is left to do; the report, or what is waited for.

        Raises:
            StopExport: a person must act; what was done is in the report.
            TryAgain: the vendor cannot be reached; another try goes on where this one stopped.
        """
        folder = self._world.folder
        planned, facts = folder.plan() or self._plan()
        target = _target(facts["target"])
        books = settle.Bookkeeper(folder)
        flight = send.Flight(settle.remaining(folder, planned.batches))
        calls = send.Calls(
            upsert=lambda batch: self._drive(self._vendor.upsert(target, batch)),
            poll=lambda tickets: self._drive(self._vendor.poll(target, tickets)),
            collect=lambda batch, ticket: self._drive(self._vendor.collect(target, batch, ticket)),
            sending=books.sending,
            answered=books.answered,
        )
        try:
            tickets = send.send(flight, calls, self._vendor.limits, pause=self._world.pause, stop=books.why_stop)
        except send.Stopped as stopped:
            self._report(planned, facts, target, error=stopped.error)
            raise stopped.error from None
        if tickets:
            more = bool(flight.waiting) or not flight.exhausted
            return Waiting(tuple(tickets), enough=(len(tickets) + 1) // 2 if more else len(tickets))
        return self._report(planned, facts, target)

    def _plan(self) -> tuple[Planned, dict[str, Any]]:
        """Check everything that can be checked, then freeze what is to be done."""
        order, vendor = self._order, self._vendor
        asked = Asked(order.matching, order.custom_fields)
        wanted = match.names(vendor, asked)
        files = read.inspect(read.find(order.segment, self._world.resolve), wanted)
        self._size(files)
        matched = match.types(vendor, asked, files)
        target = self._check(asked, matched, files)
        matching = match.settle_on(vendor, asked, matched, files, target)
        ledger = Ledger.of(self._world.root, vendor.name, target)
        version = ledger.version()
        with engine() as sql, read.readable(files):
            cleaned = clean.clean(sql, files, matching)
            if version:
                commit.load(sql, ledger, version)
            if version and vendor.readds_leavers:
                self._read_back(sql, target)
                readback.withhold_leavers(sql)
            item = encode.expression(vendor.item(matched, target))
            upserts = plan.upserts(item, against_ledger=bool(version) and order.mode == "changes")
            planned = plan.freeze(sql, upserts, vendor.limits, self._world.folder.place, cleaned)
        self._worth_sending(planned)
        facts = {
            "vendor": vendor.name,
            "target": asdict(target),
            "files": [(file.name, file.first_row) for file in files.files],
            "mode": order.mode,
            "as_of": order.as_of,
            "started_at": self._started,
        }
        self._world.folder.freeze(planned, facts)
        log.info(
            "Planned: %d profiles, %d to send in %d calls, %d unchanged, set aside %s.",
            planned.profiles,
            planned.upserts,
            len(planned.batches),
            planned.unchanged,
            dict(planned.aside) or "none",
        )
        return planned, facts

    def _drive(self, operation: Operation[T]) -> T:
        return drive(operation, self._world.send, self._world.sleep)

    def _size(self, files: SegmentFiles) -> None:
        if files.rows == 0:
            raise BadSegment(
                "The segment has no rows. An empty segment is more often a mistake upstream than the truth."
            )
        if files.rows > self._order.max_profiles:
            raise BadSegment(
                f"The segment has {files.rows:,} profiles, and this export takes {self._order.max_profiles:,} at most. "
                "Split the segment, or raise `max_profiles` if your contract with the vendor holds more."
            )

    def _check(self, asked: Asked, matched: contract.Matched, files: SegmentFiles) -> Target:
        """Credentials, audience and custom fields, as the vendor tells them; makes fields where that is asked for."""
        target = self._drive(self._vendor.check(self._access, self._order.audience))
        lacking = match.missing(self._vendor, asked, matched, files, target)
        if not lacking:
            return target
        if not self._order.create_fields:
            raise BadMatching(
                f"{self._vendor.title} has no field {', '.join(map(repr, lacking))} for {self._vendor.audience_word} "
                f"{target.audience_name!r}. Create it there, match it to another, or set `create_fields=True`."
            )
        for name, kind in lacking.items():
            self._drive(self._vendor.create_field(target, name, kind))
        target = self._drive(self._vendor.check(self._access, self._order.audience))
        lacking = match.missing(self._vendor, asked, matched, files, target)
        if lacking:
            raise BadMatching(
                f"{self._vendor.title} took the new fields {', '.join(map(repr, lacking))} and does not list them yet. "
                "Try again in a minute, or create them there."
            )
        return target

    def _read_back(self, sql: Engine, target: Target) -> None:
        """Who is in the audience now, as the table `members`."""
        self._drive(self._vendor.members(target, readback.Pages(sql)))

    def _worth_sending(self, planned: Planned) -> None:
        rejected = sum(planned.aside.get("rejected", {}).values())
        if rejected == planned.profiles:
            raise BadSegment(
                f"Not one of {planned.profiles:,} profiles can be sent: {dict(planned.aside['rejected'])}. "
                f"Is {self._order.matching['email']!r} the column with the emails?"
            )

    def _report(
        self,
        planned: Planned,
        facts: Mapping[str, Any],
        target: Target,
        *,
        error: SegexportError | None = None,
    ) -> dict[str, Any]:
        """Add up, write the ledger and the report."""
        folder, traffic = self._world.folder, self._world.send.traffic
        with engine() as sql:
            if error is None and readback.unnamed(folder):
                self._read_back(sql, target)
                readback.name_them(sql, folder, planned.batches)
            reasons = report.write_rejects(sql, folder, facts["files"])
            accepted, _ = settle.tally(folder.journal.states())
            counts = report.count(planned, accepted, reasons)
            version = self._commit(sql, planned, facts, target)
        before = (folder.summary() or {}).get("traffic", {})
        ended = self._world.clock()
        summary = report.summarize(
            counts,
            reasons,
            {
                "vendor": facts["vendor"],
                "audience": target.audience,
                "audience_name": target.audience_name,
                "account": target.account_name,
                "mode": facts["mode"],
                "as_of": facts["as_of"],
                "run": self._order.run,
                "finished": error is None,
                "error": str(error) if error else None,
                "started_at": facts["started_at"],
                "ended_at": ended,
                "seconds": round(ended - facts["started_at"], 3),
                "traffic": {key: round(value + before.get(key, 0), 3) for key, value in asdict(traffic).items()},
                "batches": len(planned.batches),
                "warnings": planned.warnings,
                "ledger_version": version,
                "report": str(folder.place),
                "versions": report.versions(),
            },
        )
        folder.write_summary(summary)
        return summary

    def _commit(self, sql: Engine, planned: Planned, facts: Mapping[str, Any], target: Target) -> int:
        ledger = Ledger.of(self._world.root, self._vendor.name, target)
        origin = commit.Origin(facts["as_of"], self._order.run)
        return commit.commit(sql, ledger, self._world.folder, planned.batches, origin)


def _target(facts: Mapping[str, Any]) -> Target:
    """The target as the plan keeps it."""
    fields = {name: VendorField(**found) for name, found in facts["fields"].items()}
    return Target(**{**facts, "fields": fields, "notes": tuple(facts["notes"])})

"""The life cycle of an audience at a simulated vendor, in phases that can be repeated from a snapshot.

The people: `p0` to `p3` stay (p0 gets another name), `p1` opts out, `p4` leaves and comes back, `p5` opts out and
leaves, `p6` leaves, `n1` comes in on the second day. The vendor does not take `turned.away`, and `foreign` belongs to
others.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from chaos.vendor_log_readers import LOG_READERS
from vendors.harness import VendorHarness, people
from vendors.mutations import Tap, Tapped

from airflow_provider_segexport.errors import RetryableError, SegexportError
from airflow_provider_segexport.export.config import PendingJobs, Undo
from airflow_provider_segexport.export.pipeline import Export
from airflow_provider_segexport.http.client import RetryLimits
from airflow_provider_segexport.simulator import ManualClock, Simulator
from airflow_provider_segexport.simulator.routes import RouteTable
from airflow_provider_segexport.simulator.vendor import Vendor
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.run_folder import RunFolder

FOREIGN, TURNED_AWAY, NEW = "foreign@example.com", "turned.away@example.com", "n1@example.com"
UNGUARDED = dict.fromkeys(("max_removals_share", "max_shrink", "max_growth", "max_rejected_share", "new_share"))
TRIES = 4


@dataclass(frozen=True)
class Phase:
    """One run of the life.

    Attributes:
        name: name of the phase and of its run.
        day: day of January.
        emails: the segment; empty for an undo.
        names: first names of people who do not have the default name.
        before: changes the vendor's data before the run.
        lost: the response to the first call with a batch is lost, and the worker dies.
    """

    name: str
    day: int
    emails: Sequence[str] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[Life], None] = lambda _: None
    lost: bool = False


@dataclass
class Outcome:
    """The result of a phase: its report or error, and the content of the ledger."""

    error: SegexportError | None = None
    report: dict[str, Any] | None = None


def first_day(life: Life) -> None:
    """A person of another program is in the audience, and one person cannot be added."""
    account = life.account
    account.sim.seed(account.name, [{"email": FOREIGN, "status": "active"}], account.audience)
    if account.row.rejected_status:
        status, _ = account.row.rejected_status
        account.sim.seed(account.name, [{"email": TURNED_AWAY, "status": status}], account.audience)
    else:
        account.sim.act(account.name, "fail_items", {"status": 400, "email": TURNED_AWAY, "times": 99})


def opt_outs(life: Life) -> None:
    """Two people unsubscribe; one of them also leaves the segment."""
    out = [{"email": email, "status": "unsubscribed"} for email in ("p1@example.com", "p5@example.com")]
    life.account.sim.seed(life.account.name, out, life.account.audience)


SECOND = [*people(4), NEW, TURNED_AWAY]
PHASES = (
    Phase("first", 1, [*people(7), TURNED_AWAY], before=first_day),
    Phase("second", 2, SECOND, {"p0@example.com": "New"}, before=opt_outs, lost=True),
    Phase("third", 3, [*people(5)[1:], NEW, TURNED_AWAY]),
    Phase("undo", 4),
)
LAST = Phase("last", 9, SECOND, {"p0@example.com": "New"})
"""The last run, after which the audience has the same state whatever happened before."""


class Life:
    """One vendor's account and audience, and the snapshots of it at the beginning of each phase."""

    def __init__(self, sim: Simulator, name: str, home: Path) -> None:
        self.sim = sim
        self.folder = home
        lasting = {"constant_contact": {"access_seconds": 90 * 86_400}}
        sim.reset(lasting, seed=1, latency=0.0)
        self.account = VendorHarness(sim, name, home / "home", batch_rows=3)
        self.account.home.mkdir()
        self.dialect = LOG_READERS.get(name) or pytest.skip(f"{name} has no row in tests/chaos/vendor_log_readers.py")
        self.prefix = f"/{name}"
        self.snapshots: dict[str, tuple[Vendor, float]] = {}

    def keep(self, phase: str) -> None:
        """Take a snapshot of vendor, clock and state."""
        self.snapshots[phase] = self._copied(self._vendor()), self.sim.clock.now()
        shutil.copytree(self.account.home, self.folder / phase)

    def back(self, phase: str) -> None:
        """Restore a snapshot, with an empty request log."""
        vendor, moment = self.snapshots[phase]
        self.sim.context.clock = ManualClock(moment)
        self.sim.reset()
        self.sim._vendors[self.account.name] = self._copied(vendor)
        shutil.rmtree(self.account.home)
        shutil.copytree(self.folder / phase, self.account.home)

    def _copied(self, vendor: Vendor) -> Vendor:
        """A copy of a vendor's account; its routes are built again, because they lead to their own account."""
        copied = copy.deepcopy(vendor, {id(self.sim.context): self.sim.context, id(vendor.table): None})
        copied.table = RouteTable(copied.routes())
        return copied

    def _vendor(self) -> Vendor:
        return self.sim._vendors[self.account.name]

    def play(self, phase: Phase, tap: Tap | None = None) -> Outcome:
        """Run one task, and retry it as Airflow would, unless the error needs a user's action."""
        phase.before(self)
        tap = tap or Tap(self.prefix)
        if phase.lost:
            self.account.fault(drop=True, when="after")
            outcome = self.attempt(phase, tap, RetryLimits(attempts=1))
            self.sim.clear_faults()
            if not isinstance(outcome.error, RetryableError):
                return outcome
        for _ in range(TRIES):
            outcome = self.attempt(phase, tap)
            if not isinstance(outcome.error, RetryableError):
                break
            self.sim.clock.advance(outcome.error.retry_after_s or 60)
        return outcome

    def attempt(self, phase: Phase, tap: Tap, patience: RetryLimits | None = None) -> Outcome:
        """Run one attempt of a phase. Only the provider's own errors become an outcome; other errors propagate."""
        account = self.account
        undo = Undo() if not phase.emails else None
        options: dict[str, Any] = {
            "as_of": f"2026-01-{phase.day:02d}T00:00:00Z",
            "by": f"dag/task/{phase.name}/0",
            "mode": "mirror",
            "fetch_optouts": True,
            "create_custom_fields": True,
            "guards": UNGUARDED,
            "field_mapping": {"first_name": "first"},
            "custom_fields": {account.row.custom[1]: "number"},
            "undo": undo,
        }
        columns = {
            "email": list(phase.emails),
            "first": [phase.names.get(email, "Same") for email in phase.emails],
            "number": [str(at) for at, _ in enumerate(phase.emails)],
        }
        segment = account.segment(columns, f"{phase.name}.parquet") if phase.emails else account.home / "none.parquet"
        environment = account.environment(phase.name, send=self.sender(tap, patience))
        try:
            report = Export(account.vendor, account.endpoint, account.config(segment, **options), environment).run()
        except SegexportError as error:
            return Outcome(error, RunFolder.open(account.home / "runs" / phase.name).summary())
        finally:
            environment.http.close()
        assert not isinstance(report, PendingJobs)
        return Outcome(None, report)

    def sender(self, tap: Tap, patience: RetryLimits | None) -> Any:
        sender = self.account.sender(patience=patience)
        make = sender._make_session

        def session() -> requests.Session:
            made: requests.Session = make()
            made.mount("http://", Tapped(tap))
            return made

        sender._make_session = session
        return sender

    def audience(self) -> dict[str, str]:
        """People that get mail through the audience, with their first names."""
        members = self.account.members()
        return {
            email: self.dialect.name_of(member) for email, member in members.items() if self.dialect.mailable(member)
        }

    def ledger(self) -> dict[str, str]:
        """The state of every person in the ledger, read without a call."""
        target = self.account.call(self.account.vendor.resolve_audience(self.account.endpoint, self.account.audience))
        ledger = Ledger.of(self.account.home, self.account.name, target)
        return {row["email"]: row["state"] for row in self.account.ledger().values()} if ledger.version() else {}

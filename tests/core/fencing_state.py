"""State that all writers of the fencing model share: the vendor, calls on their way, the ledger's heads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.paths import listing

WANTS = {"a": "old"}
"""The content of each row in the oldest snapshot; all newer ones say `new`, so a later run finds no change."""

LONGEST_CALL_S = 40.0


class Late:
    """The fence of a writer that is paused between its check and the write."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self.writer_token = lease.writer_token

    @property
    def number(self) -> int:
        return self._lease.number

    def check(self) -> None:
        """Do nothing, because the check passed before the pause."""


@dataclass
class Call:
    """A call on its way to the vendor."""

    by: str
    row: str
    left_at: float
    landed: bool = False


@dataclass
class Model:
    """State that all writers share.

    Attributes:
        late: a writer may be paused between its last check and its write or call.
        ended: for a writer that is not running, Airflow reports that its task has ended.
        skew: seconds by which a writer's wall clock is wrong.
        calls: in the order in which they landed.
        takings: writers, in the order in which they took the lease.
        heads: the newest version whenever it changed, with its writer.
        complaints: violations of the rules.
        seen: names of the ledger's files at the last check.
        state: by its place among the takings, the newest writer whose state was read.
    """

    path: Path
    late: bool = False
    ended: bool = False
    now: float = 1_767_225_600.0
    skew: dict[str, float] = field(default_factory=dict)
    running: str = ""
    killed: set[str] = field(default_factory=set)
    vendor: dict[str, str] = field(default_factory=dict)
    flying: list[Call] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    takings: list[str] = field(default_factory=list)
    heads: list[tuple[int, str]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    seen: frozenset[str] = frozenset()
    state: int = 0

    def pass_time(self, seconds: float) -> None:
        """Let time pass; the network delivers a call within its longest time, though its process be suspended."""
        self.now += seconds
        for call in list(self.flying):
            if not self.late and self.now - call.left_at >= LONGEST_CALL_S:
                self.land(call)

    def leave(self, name: str, row: str) -> Call:
        """Send a call, immediately after the check."""
        if self.takings[-1] != name:
            self.complaints.append("a superseded writer sent after its successor had taken over")
        call = Call(name, row, self.now)
        self.flying.append(call)
        return call

    def land(self, call: Call) -> None:
        """Let the vendor process a call."""
        if call.landed:
            return
        call.landed = True
        self.flying.remove(call)
        if not self.late and any(self.takings.index(call.by) < self.takings.index(other.by) for other in self.calls):
            self.complaints.append("a superseded writer's call landed after its successor's")
        self.calls.append(call)
        self.vendor[call.row] = WANTS.get(call.by, "new")

    def look(self) -> None:
        """Record a new head of the ledger, and of the state."""
        names = frozenset(listing(self.path))
        if names == self.seen:
            return
        self.seen = names
        version = Ledger(self.path).version()
        head = version, str(Ledger(self.path).facts().get("by", "")) if version else ""
        if version and (not self.heads or self.heads[-1] != head):
            self.heads.append(head)

    def look_at_the_state(self) -> None:
        """A state is that of the newest writer that has written one."""
        run = AudienceState.of(self.path).run
        if run:
            at = self.takings.index(run)
            if at < self.state:
                self.complaints.append("a superseded writer's state is read")
            self.state = max(self.state, at)

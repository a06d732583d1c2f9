"""Takes one person out of audiences, ledgers and run folders: `address -> receipt`.

At the vendor first: the ledger is what tells that we have put them there, and stays until they are out. Where that
fails, their row in this one ledger stays, the receipt says so, and erasing again goes on.

    <root>/erasures/<ms>-<mark>.json      the receipt: what was found and removed, where, when, by whom; no address
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow_provider_segexport.errors import DamagedState, SegexportError
from airflow_provider_segexport.model import GONE, Reason
from airflow_provider_segexport.person import traces
from airflow_provider_segexport.person.explain import Known, current, explain
from airflow_provider_segexport.person.removal import REMOVED
from airflow_provider_segexport.person.whom import Person
from airflow_provider_segexport.ports import erased
from airflow_provider_segexport.ports.audiences import audiences, card
from airflow_provider_segexport.ports.fencing import NO_FENCE, Fence
from airflow_provider_segexport.ports.lease import Lease
from airflow_provider_segexport.ports.ledger import IN, LEAVING, Ledger
from airflow_provider_segexport.ports.ledger import OUT as TAKEN_OUT
from airflow_provider_segexport.ports.places import Place, Resolve, folder, write
from airflow_provider_segexport.ports.quiet_logs import quiet
from airflow_provider_segexport.ports.run_folder import RunFolder
from airflow_provider_segexport.ports.takeover import held

OUT = frozenset({REMOVED, *map(str, GONE)})
"""What a vendor's answer means that the person is not in the audience, or not as one who gets mail."""


RESTORE = "It may hold the person. To fix: restore it from a backup or delete it, then erase again."


@dataclass(frozen=True, slots=True)
class Found:
    """What was found at one place, and what became of it."""

    kind: str
    place: str
    rows: int
    outcome: str


@dataclass(slots=True)
class Receipt:
    """What was done for one person. `person` is SHA-256 of the address."""

    person: str
    by: str
    at: str
    dry_run: bool
    found: list[Found] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    place: str = ""

    @property
    def complete(self) -> bool:
        """Nothing was left."""
        return not self.left


@dataclass(frozen=True, slots=True)
class Tools:
    """What an erasure touches.

    Attributes:
        take_out: takes the person out of an audience at the vendor: what became of it.
        alive: whether a lease's holder still runs.
        longest_call_s: seconds that a call to the vendor may take.
        marks: whether the vendor refuses a deleted person without saying who deleted them, so that a mark of the erased
            person is kept (`ports/erased.py`).
    """

    root: Place
    resolve: Resolve
    take_out: Callable[[Known, Person], str]
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    alive: Callable[[str], bool | None] = lambda _: None
    longest_call_s: Callable[[Known], float] = lambda _: 0.0
    marks: Callable[[Known], bool] = lambda _: False


@quiet()
def erase(tools: Tools, person: Person, by: str, *, dry_run: bool = False) -> Receipt:
    """Erase, and write the receipt; with `dry_run` only look."""
    at = datetime.fromtimestamp(tools.clock(), UTC).isoformat(timespec="seconds")
    receipt = Receipt(person.mark, by, at, dry_run)
    for known in explain(tools.root, person, tools.resolve, most_runs=0):
        if known.versions or known.damaged:
            _audience(tools, person, known, receipt)
    _runs(tools, person, receipt)
    if not dry_run:
        place = folder(tools.root / "erasures") / f"{int(tools.clock() * 1000):015d}-{person.mark[:12]}.json"
        receipt.place = str(place)
        write(place, json.dumps(told(receipt), indent=2).encode())
    return receipt


def told(receipt: Receipt) -> dict[str, Any]:
    """The receipt as JSON has it."""
    return {**asdict(receipt), "complete": receipt.complete}


def _audience(tools: Tools, person: Person, known: Known, receipt: Receipt) -> None:
    """One audience, while nobody else writes it; each call leaves only while this erasure holds it."""
    if receipt.dry_run:
        _take(tools, person, known, receipt, NO_FENCE)
        return
    owner = f"segexport/erase/{secrets.token_hex(4)}"
    lease = Lease(known.place, owner, clock=tools.clock, sleep=tools.sleep, alive=tools.alive)
    try:
        with held(lease, Ledger(known.place, lease), tools.longest_call_s(known), tools.clock):
            _take(tools, person, current(known, person), receipt, lease)
    except SegexportError as error:  # another run writes it, has taken it over, or its state is damaged
        receipt.left.append(f"{known.place}: {error}")


def _take(tools: Tools, person: Person, known: Known, receipt: Receipt, fence: Fence) -> None:
    """Out of the audience, then out of every kept version of its ledger."""
    where = f"{known.vendor} {known.audience_name or known.audience} ({known.audience}), account {known.account}"
    outcome = ""
    if known.ledger is not None and known.ledger["state"] in {IN, LEAVING}:
        if receipt.dry_run:
            receipt.found.append(Found("audience", where, 1, "in"))
        else:
            try:
                outcome = tools.take_out(known, person)
            except SegexportError as error:
                receipt.left.append(f"{where}: {error} The ledger's row stays until the person is out.")
                return
            receipt.found.append(Found("audience", where, 1, outcome))
            if outcome not in OUT:
                receipt.left.append(f"{where}: {outcome}. The ledger's row stays until the person is out.")
                return
    fence.check()
    if known.ledger is not None and not receipt.dry_run and tools.marks(known):
        ours = known.ledger["state"] == TAKEN_OUT or outcome == REMOVED
        if ours or (known.ledger["state"] == LEAVING and outcome == Reason.DELETED):
            erased.note(known.place, person.mark)
    for file in traces.ledger_files(Ledger(known.place)):
        fence.check()
        _clean(file, person, "ledger", receipt)


def _runs(tools: Tools, person: Person, receipt: Receipt) -> None:
    """Out of every run folder: those below the root, and those that audiences name elsewhere."""
    homes = [tools.root / "runs"]
    for place in audiences(tools.root):
        homes += [tools.resolve(str(run["report"])) for run in (card(place) or {}).get("runs", [])]
    seen: set[str] = set()
    for home in homes:
        for run in traces.run_folders(home):
            if str(run.place) in seen:
                continue
            seen.add(str(run.place))
            if _is_over(run):
                for table in traces.tables(run.place):
                    _clean(table, person, "run folder", receipt)
            else:
                _not_finished(run, person, receipt)


def _is_over(run: RunFolder) -> bool:
    """Whether nothing of the run is ever sent: it has ended, or has no frozen plan."""
    try:
        return run.finished() or not run.frozen()
    except DamagedState:  # of its report alone
        return not run.frozen()


def _not_finished(run: RunFolder, person: Person, receipt: Receipt) -> None:
    """Leave the tables of a run that goes on as they are."""
    try:
        held = any(traces.count(table, person) for table in traces.tables(run.place))
    except DamagedState as damaged:
        receipt.left.append(f"{damaged.file}: {damaged.why}. {RESTORE}")
        return
    if held:
        receipt.left.append(f"{run.place}: a run that is not finished. Let it end, or remove the folder.")


def _clean(place: Place, person: Person, kind: str, receipt: Receipt) -> None:
    """Take the person out of a file. One that cannot be read stays as it is, and the receipt names it."""
    try:
        rows = traces.count(place, person) if receipt.dry_run else traces.clean(place, person)
    except DamagedState as damaged:
        receipt.left.append(f"{damaged.file}: {damaged.why}. {RESTORE}")
        return
    if rows:
        receipt.found.append(Found(kind, str(place), rows, "found" if receipt.dry_run else REMOVED))

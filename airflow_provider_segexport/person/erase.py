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
from airflow_provider_segexport.fencing import NO_FENCE, Fence
from airflow_provider_segexport.http.quiet_logs import quiet
from airflow_provider_segexport.model import GONE, Reason
from airflow_provider_segexport.person import files
from airflow_provider_segexport.person.explain import PersonRecord, current, explain
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.person.vendor_removal import REMOVED
from airflow_provider_segexport.storage import erased
from airflow_provider_segexport.storage.history import latest, ledger_paths
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_schema import MEMBER, REMOVING
from airflow_provider_segexport.storage.ledger_schema import REMOVED as REMOVED_STATE
from airflow_provider_segexport.storage.paths import PathResolver, StoragePath, folder, write
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.takeover import held

OUT = frozenset({REMOVED, *map(str, GONE)})
"""What a vendor's answer means that the person is not in the audience, or not as one who gets mail."""


RESTORE = "It may hold the person. To fix: restore it from a backup or delete it, then erase again."


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found at one place, and what became of it."""

    kind: str
    path: str
    rows: int
    outcome: str


@dataclass(slots=True)
class Receipt:
    """What was done for one person. `person` is SHA-256 of the address."""

    person: str
    requested_by: str
    at: str
    dry_run: bool
    findings: list[Finding] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    path: str = ""

    @property
    def complete(self) -> bool:
        """Nothing was left."""
        return not self.left


@dataclass(frozen=True, slots=True)
class ErasureDeps:
    """What an erasure touches.

    Attributes:
        remove: takes the person out of an audience at the vendor: what became of it.
        is_task_running: whether a lease's holder still runs.
        longest_call_s: seconds that a call to the vendor may take.
        marks: whether the vendor refuses a deleted person without saying who deleted them, so that a mark of the erased
            person is kept (`storage/erased.py`).
    """

    root: StoragePath
    resolve: PathResolver
    remove: Callable[[PersonRecord, Person], str]
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    is_task_running: Callable[[str], bool | None] = lambda _: None
    longest_call_s: Callable[[PersonRecord], float] = lambda _: 0.0
    marks: Callable[[PersonRecord], bool] = lambda _: False


@quiet()
def erase(tools: ErasureDeps, person: Person, by: str, *, dry_run: bool = False) -> Receipt:
    """Erase, and write the receipt; with `dry_run` only look."""
    at = datetime.fromtimestamp(tools.clock(), UTC).isoformat(timespec="seconds")
    receipt = Receipt(person.mark, by, at, dry_run)
    for known in explain(tools.root, person, tools.resolve, most_runs=0):
        if known.versions or known.damaged:
            _audience(tools, person, known, receipt)
    _runs(tools, person, receipt)
    if not dry_run:
        place = folder(tools.root / "erasures") / f"{int(tools.clock() * 1000):015d}-{person.mark[:12]}.json"
        receipt.path = str(place)
        write(place, json.dumps(told(receipt), indent=2).encode())
    return receipt


def told(receipt: Receipt) -> dict[str, Any]:
    """The receipt as JSON has it."""
    return {**asdict(receipt), "complete": receipt.complete}


def _audience(tools: ErasureDeps, person: Person, known: PersonRecord, receipt: Receipt) -> None:
    """One audience, while nobody else writes it; each call leaves only while this erasure holds it."""
    if receipt.dry_run:
        _take(tools, person, known, receipt, NO_FENCE)
        return
    owner = f"segexport/erase/{secrets.token_hex(4)}"
    lease = Lease(known.path, owner, clock=tools.clock, sleep=tools.sleep, alive=tools.is_task_running)
    try:
        with held(lease, Ledger(known.path, lease), tools.longest_call_s(known), tools.clock):
            _take(tools, person, current(known, person), receipt, lease)
    except SegexportError as error:  # another run writes it, has taken it over, or its state is damaged
        receipt.left.append(f"{known.path}: {error}")


def _take(tools: ErasureDeps, person: Person, known: PersonRecord, receipt: Receipt, fence: Fence) -> None:
    """Out of the audience, then out of every kept version of its ledger."""
    where = f"{known.vendor} {known.audience_name or known.audience} ({known.audience}), account {known.account}"
    outcome = ""
    if known.ledger is not None and known.ledger["state"] in {MEMBER, REMOVING}:
        if receipt.dry_run:
            receipt.findings.append(Finding("audience", where, 1, "in"))
        else:
            try:
                outcome = tools.remove(known, person)
            except SegexportError as error:
                receipt.left.append(f"{where}: {error} The ledger's row stays until the person is out.")
                return
            receipt.findings.append(Finding("audience", where, 1, outcome))
            if outcome not in OUT:
                receipt.left.append(f"{where}: {outcome}. The ledger's row stays until the person is out.")
                return
    fence.check()
    if known.ledger is not None and not receipt.dry_run and tools.marks(known):
        ours = known.ledger["state"] == REMOVED_STATE or outcome == REMOVED
        if ours or (known.ledger["state"] == REMOVING and outcome == Reason.DELETED):
            erased.note(known.path, person.mark)
    for file in files.ledger_files(Ledger(known.path)):
        fence.check()
        _clean(file, person, "ledger", receipt)


def _runs(tools: ErasureDeps, person: Person, receipt: Receipt) -> None:
    """Out of every run folder: those below the root, and those that audiences name elsewhere."""
    homes = [tools.root / "runs"]
    for place in ledger_paths(tools.root):
        homes += [tools.resolve(str(run["run_folder"])) for run in (latest(place) or {}).get("runs", [])]
    seen: set[str] = set()
    for home in homes:
        for run in files.run_folders(home):
            if str(run.path) in seen:
                continue
            seen.add(str(run.path))
            if _is_over(run):
                for table in files.tables(run.path):
                    _clean(table, person, "run folder", receipt)
            else:
                _not_finished(run, person, receipt)


def _is_over(run: RunFolder) -> bool:
    """Whether nothing of the run is ever sent: it has ended, or has no frozen plan."""
    try:
        return run.finished() or not run.has_plan()
    except DamagedState:  # of its report alone
        return not run.has_plan()


def _not_finished(run: RunFolder, person: Person, receipt: Receipt) -> None:
    """Leave the tables of a run that goes on as they are."""
    try:
        held = any(files.count(table, person) for table in files.tables(run.path))
    except DamagedState as damaged:
        receipt.left.append(f"{damaged.file}: {damaged.why}. {RESTORE}")
        return
    if held:
        receipt.left.append(f"{run.path}: a run that is not finished. Let it end, or remove the folder.")


def _clean(path: StoragePath, person: Person, kind: str, receipt: Receipt) -> None:
    """Take the person out of a file. One that cannot be read stays as it is, and the receipt names it."""
    try:
        rows = files.count(path, person) if receipt.dry_run else files.clean(path, person)
    except DamagedState as damaged:
        receipt.left.append(f"{damaged.file}: {damaged.why}. {RESTORE}")
        return
    if rows:
        receipt.findings.append(Finding(kind, str(path), rows, "found" if receipt.dry_run else REMOVED))

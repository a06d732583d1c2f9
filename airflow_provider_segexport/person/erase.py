"""Erases one person from audiences, ledgers and run folders: `email -> receipt`.

The person is removed from the audience first, because the ledger proves that we added them. If the vendor fails, the
person's row in that ledger stays, the receipt says so, and a second erasure continues.

    <root>/erasures/<ms>-<hash>.json      the receipt: what was removed, where, when and for which request; no address
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow_provider_segexport.errors import DamagedState, SegexportError
from airflow_provider_segexport.fencing import NO_FENCE, Fence
from airflow_provider_segexport.http.quiet_logs import quiet
from airflow_provider_segexport.model import GONE, Reason
from airflow_provider_segexport.person import files, unfinished_runs
from airflow_provider_segexport.person.explain import PersonRecord, current, explain
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.person.vendor_removal import REMOVED
from airflow_provider_segexport.storage import erased
from airflow_provider_segexport.storage.errors import reason_text
from airflow_provider_segexport.storage.history import ledger_paths, recent_runs, resolved
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_schema import MEMBER, REMOVING
from airflow_provider_segexport.storage.ledger_schema import REMOVED as REMOVED_STATE
from airflow_provider_segexport.storage.paths import (
    STALE_TEMP_FILE_S,
    PathResolver,
    StoragePath,
    ensure_folder,
    modified_at,
    write,
)
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.takeover import holding_lease

NOT_IN_AUDIENCE = frozenset({REMOVED, *map(str, GONE)})
"""Outcomes of a removal after which the person is not in the audience, or is not mailed."""

RESTORE = "It may contain the person. To fix: restore it from a backup or delete it, then erase again."

OnError = Callable[[StoragePath, OSError], None]

AWAITED_RUN = "keep the folder, which the audience's next run reads; let this run or the next one finish"
RESUMABLE_RUN = "let it finish, or delete the folder; a later try of the run then makes a new plan"


@dataclass(frozen=True, slots=True)
class Finding:
    """Records of the person at one place, and their outcome: `in`, `found`, `removed` or a reason."""

    kind: str
    path: str
    rows: int
    outcome: str


@dataclass(slots=True)
class Receipt:
    """Result of erasing one person.

    Attributes:
        person: SHA-256 of the address.
        requested_by: the request that the erasure answers.
        at: ISO 8601.
        left: one message for each place that may still contain the person.
        path: of the receipt's file; empty for a dry run.
    """

    person: str
    requested_by: str
    at: str
    dry_run: bool
    findings: list[Finding] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    path: str = ""

    @property
    def complete(self) -> bool:
        """Whether no place is left that may contain the person."""
        return not self.left

    def as_json(self) -> dict[str, Any]:
        """Return the content of the receipt's file."""
        return {**asdict(self), "complete": self.complete}


@dataclass(frozen=True, slots=True)
class ErasureDeps:
    """Services and folders that an erasure uses.

    Attributes:
        root: state root.
        resolve: turns a run folder's path into a storage path.
        remove: removes the person from an audience at the vendor, and returns the outcome.
        clock: returns epoch seconds.
        sleep: waits for the given seconds.
        is_task_running: returns whether a lease's holder still runs; None if unknown.
        longest_call_s: returns the seconds that a call to the vendor may take.
        marks: returns whether the vendor rejects a deleted person without saying who deleted them; then a hash of the
            erased person is stored (`storage/erased.py`).
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
def erase(deps: ErasureDeps, person: Person, requested_by: str, *, dry_run: bool = False) -> Receipt:
    """Erase a person and write the receipt.

    Args:
        deps: services and folders.
        person: to erase.
        requested_by: the request, written to the receipt.
        dry_run: only find the person's records; write nothing.
    """
    at = datetime.fromtimestamp(deps.clock(), UTC).isoformat(timespec="seconds")
    receipt = Receipt(person.mark, requested_by, at, dry_run)
    if dry_run:
        _erase_everywhere(deps, person, receipt)
        return receipt
    folder = ensure_folder(deps.root / "erasures")  # first, because without it nothing would prove the erasure
    try:
        _erase_everywhere(deps, person, receipt)
    except BaseException as error:
        receipt.left.append(f"The erasure was stopped ({type(error).__name__}). To fix: erase again.")
        raise
    finally:
        path = folder / f"{int(deps.clock() * 1000):015d}-{person.mark[:12]}.json"
        receipt.path = str(path)
        write(path, json.dumps(receipt.as_json(), indent=2).encode())
    return receipt


def _erase_everywhere(deps: ErasureDeps, person: Person, receipt: Receipt) -> None:
    for record in explain(deps.root, person, deps.resolve, max_runs=0):
        if record.unreadable:
            receipt.left.append(_unreadable(record.path, record.unreadable))
            continue
        if record.versions or record.damaged:
            _erase_from_audience(deps, person, record, receipt)
        _remove_leftovers(record.path, receipt, deps.clock())
    _erase_from_runs(deps, person, receipt)


def _unreadable(path: StoragePath, reason: str) -> str:
    return (
        f"{path}: cannot be read or written ({reason}). It may contain the person. To fix: let this user read and "
        "write it, then erase again."
    )


def _erase_from_audience(deps: ErasureDeps, person: Person, record: PersonRecord, receipt: Receipt) -> None:
    """Erase the person from one audience under its lease; every call is sent only while the lease is held."""
    if receipt.dry_run:
        _remove_and_clean(deps, person, record, receipt, NO_FENCE)
        return
    owner = f"segexport/erase/{secrets.token_hex(4)}"
    lease = Lease(record.path, owner, clock=deps.clock, sleep=deps.sleep, is_task_running=deps.is_task_running)
    try:
        with holding_lease(lease, Ledger(record.path, lease), deps.longest_call_s(record), deps.clock):
            _remove_and_clean(deps, person, current(record, person), receipt, lease)
    except SegexportError as error:  # another run holds the lease or has taken it over, or the state is damaged
        receipt.left.append(f"{record.path}: {error}")
    except OSError as error:
        receipt.left.append(_unreadable(record.path, reason_text(error)))


def _remove_and_clean(deps: ErasureDeps, person: Person, record: PersonRecord, receipt: Receipt, fence: Fence) -> None:
    """Remove the person from the audience, then from every stored version of its ledger."""
    where = f"{record.vendor} {record.audience_name or record.audience} ({record.audience}), account {record.account}"
    state = record.ledger["state"] if record.ledger is not None else ""
    outcome = ""
    if not receipt.dry_run:
        unfinished_runs.mark(record.path, person, deps.resolve)
    if state in {MEMBER, REMOVING}:
        if receipt.dry_run:
            receipt.findings.append(Finding("audience", where, 1, "in"))
        else:
            try:
                outcome = deps.remove(record, person)
            except SegexportError as error:
                receipt.left.append(f"{where}: {error} The ledger's row stays until the person is out.")
                return
            receipt.findings.append(Finding("audience", where, 1, outcome))
            if outcome not in NOT_IN_AUDIENCE:
                receipt.left.append(f"{where}: {outcome}. The ledger's row stays until the person is out.")
                return
    fence.check()
    if record.ledger is not None and not receipt.dry_run and deps.marks(record):
        removed_by_us = state == REMOVED_STATE or outcome == REMOVED
        if removed_by_us or (state == REMOVING and outcome == Reason.DELETED):
            erased.note(record.path, person.mark)
    for file in files.ledger_files(record.path):
        fence.check()
        _clean(file, person, "ledger", receipt)


def _erase_from_runs(deps: ErasureDeps, person: Person, receipt: Receipt) -> None:
    """Erase the person from every run folder: below the state root, and where audiences' histories name others."""
    roots, awaited = [deps.root / "runs"], set[str]()

    def leave(path: StoragePath, error: OSError) -> None:
        receipt.left.append(_unreadable(path, reason_text(error)))

    for name in _recorded_folders(deps.root, leave, awaited):
        root = resolved(deps.resolve, name)
        if root is None:
            receipt.left.append(f"{name}: this machine has no store for this run folder. {RESTORE}")
        else:
            roots.append(root)
    seen: set[str] = set()
    for root in roots:
        for run in files.run_folders(root, leave):
            name = str(run.path)
            if name in seen:
                continue
            seen.add(name)
            try:
                _erase_from_run(run, person, receipt, AWAITED_RUN if name in awaited else RESUMABLE_RUN)
                _remove_leftovers(run.path, receipt, deps.clock())
            except OSError as error:
                leave(run.path, error)


def _recorded_folders(root: StoragePath, on_error: OnError, awaited: set[str]) -> Iterator[str]:
    """Yield the run folders that the audiences' histories and states name, each once.

    Args:
        root: state root.
        on_error: called for a history that cannot be read.
        awaited: gets the run folders from which the next run of an audience learns what was sent.
    """
    names: dict[str, None] = {}
    for path in ledger_paths(root):
        try:
            names |= dict.fromkeys(run["run_folder"] for run in recent_runs(path))
            awaited.update(unfinished_runs.unfinished_folders(path))
        except OSError as error:
            on_error(path, error)
    yield from names | dict.fromkeys(sorted(awaited))


def _erase_from_run(run: RunFolder, person: Person, receipt: Receipt, advice: str) -> None:
    if not unfinished_runs.is_over(run):
        _report_unfinished(run, person, receipt, advice)
        return
    for table in files.tables(run.path):
        _clean(table, person, "run folder", receipt)


def _report_unfinished(run: RunFolder, person: Person, receipt: Receipt, advice: str) -> None:
    """Leave the tables of a run that may continue unchanged; report it if they contain the person."""
    try:
        if not unfinished_runs.has_person(run, person):
            return
    except DamagedState as damaged:
        receipt.left.append(f"{damaged.file}: {damaged.why}. {RESTORE}")
    else:
        receipt.left.append(f"{run.path}: a run that is not finished. To fix: {advice}, then erase again.")


def _remove_leftovers(folder: StoragePath, receipt: Receipt, now: float) -> None:
    """Delete the files that killed processes have left in a folder; report those that a process may still use."""
    try:
        for file in files.leftovers(folder):
            if receipt.dry_run or not now - modified_at(file) > STALE_TEMP_FILE_S:
                receipt.left.append(
                    f"{file}: a process is writing it, or a killed process has left it in the last six hours. It may "
                    "contain the person. To fix: erase again when it is gone or older, or delete it."
                )
            else:
                file.unlink(missing_ok=True)
    except OSError as error:
        receipt.left.append(_unreadable(folder, reason_text(error)))


def _clean(path: StoragePath, person: Person, kind: str, receipt: Receipt) -> None:
    """Remove the person from a file. A file that cannot be read stays unchanged, and is reported."""
    try:
        rows = files.count(path, person) if receipt.dry_run else files.clean(path, person)
    except DamagedState as damaged:
        receipt.left.append(f"{damaged.file}: {damaged.why}. {RESTORE}")
        return
    if rows:
        receipt.findings.append(Finding(kind, str(path), rows, "found" if receipt.dry_run else REMOVED))

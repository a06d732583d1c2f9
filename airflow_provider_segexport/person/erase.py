"""Erases one person from audiences, ledgers and run folders: `email -> receipt`.

The person is removed from the audience first, because the ledger proves that we added them. If the vendor fails, the
person's row in that ledger stays, the receipt says so, and a second erasure continues.

    <root>/erasures/<ms>-<hash>.json      the receipt: what was removed, where, when and for which request; no address
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_provider_segexport.errors import FatalError, RetryableError, SegexportError, UnexpectedResponse
from airflow_provider_segexport.fencing import NO_FENCE, Fence
from airflow_provider_segexport.http.quiet_logs import quiet
from airflow_provider_segexport.model import GONE, Reason
from airflow_provider_segexport.person import files, unfinished_runs
from airflow_provider_segexport.person.erase_files import clean, clean_set_aside, erase_from_runs, remove_leftovers
from airflow_provider_segexport.person.explain import PersonRecord, current, explain
from airflow_provider_segexport.person.one_erasure import alone, new_owner
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.person.receipt import Finding, Receipt, unreadable
from airflow_provider_segexport.person.vendor_removal import REMOVED
from airflow_provider_segexport.storage import erased
from airflow_provider_segexport.storage.errors import reason_text
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_schema import MEMBER, REMOVING
from airflow_provider_segexport.storage.ledger_schema import REMOVED as REMOVED_STATE
from airflow_provider_segexport.storage.paths import (
    PathResolver,
    StoragePath,
    ensure_folder,
    list_names,
    write,
)
from airflow_provider_segexport.storage.scratch import remove_stale_folders
from airflow_provider_segexport.storage.takeover import holding_lease

NOT_IN_AUDIENCE = frozenset({REMOVED, *map(str, GONE)})
"""Outcomes of a removal after which the person is not in the audience, or is not mailed."""

NO_STATE = (
    "this state path holds no ledger and no run. To fix: set `[segexport] state_path` on this machine to the path "
    "that exports use, and erase again. If no export has run yet, no record of the person exists."
)


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
        _erase_everywhere(deps, person, receipt, lambda: None)
        return receipt
    folder = ensure_folder(deps.root / "erasures")  # first, because without it nothing would prove the erasure
    try:
        with alone(deps.root, deps.clock, deps.sleep) as check:
            _erase_everywhere(deps, person, receipt, check)
    except RetryableError as error:
        receipt.left.append(f"{deps.root}: {error}")
    except BaseException as error:
        receipt.left.append(f"The erasure was stopped ({type(error).__name__}). To fix: erase again.")
        raise
    finally:
        path = folder / f"{int(deps.clock() * 1000):015d}-{person.mark[:12]}.json"
        receipt.path = str(path)
        write(path, json.dumps(receipt.as_json(), indent=2).encode())
    return receipt


def _erase_everywhere(deps: ErasureDeps, person: Person, receipt: Receipt, check: Callable[[], None]) -> None:
    for record in explain(deps.root, person, deps.resolve, max_runs=0):
        check()
        if record.unreadable:
            receipt.left.append(unreadable(record.path, record.unreadable))
            continue
        if record.versions or record.damaged:
            _erase_from_audience(deps, person, record, receipt)
        remove_leftovers(record.path, receipt, deps.clock())
        clean_set_aside(record.path, person, receipt)
    if not any(list_names(deps.root / name) for name in ("ledgers", "runs")):
        receipt.left.append(f"{deps.root}: {NO_STATE}")
    if not receipt.dry_run:
        _remove_scratch(receipt)
    erase_from_runs(deps.root, deps.resolve, person, receipt, deps.clock(), check=check)


def _remove_scratch(receipt: Receipt) -> None:
    """Delete the temporary folders of killed processes of this machine."""
    try:
        remove_stale_folders()
    except SegexportError as error:
        receipt.left.append(str(error))
    except OSError as error:
        receipt.left.append(unreadable(tempfile.gettempdir(), reason_text(error)))


def _erase_from_audience(deps: ErasureDeps, person: Person, record: PersonRecord, receipt: Receipt) -> None:
    """Erase the person from one audience under its lease; every call is sent only while the lease is held."""
    if receipt.dry_run:
        _remove_and_clean(deps, person, record, receipt, NO_FENCE)
        return
    lease = Lease(record.path, new_owner(), clock=deps.clock, sleep=deps.sleep, is_task_running=deps.is_task_running)
    try:
        with holding_lease(lease, Ledger(record.path, lease), deps.longest_call_s(record), deps.clock):
            _remove_and_clean(deps, person, current(record, person), receipt, lease)
    except SegexportError as error:  # another run holds the lease or has taken it over, or the state is damaged
        receipt.left.append(f"{record.path}: {error}")
    except OSError as error:
        receipt.left.append(unreadable(record.path, reason_text(error)))


def _remove_and_clean(deps: ErasureDeps, person: Person, record: PersonRecord, receipt: Receipt, fence: Fence) -> None:
    """Remove the person from the audience, then from every stored version of its ledger."""
    where = f"{record.vendor} {record.audience_name or record.audience} ({record.audience}), account {record.account}"
    state = record.ledger["state"] if record.ledger is not None else ""
    if not receipt.dry_run:
        unfinished_runs.mark(record.path, person, deps.resolve)
    if state in {MEMBER, REMOVING}:
        if receipt.dry_run:
            receipt.findings.append(Finding("audience", where, 1, "in"))
        else:
            try:
                outcome = _remove(deps, person, record, began=state == REMOVING)
            except SegexportError as error:
                receipt.left.append(f"{where}: {error} The ledger's row stays until the person is out.")
                return
            receipt.findings.append(Finding("audience", where, 1, outcome))
            if outcome not in NOT_IN_AUDIENCE:
                receipt.left.append(f"{where}: {outcome}. The ledger's row stays until the person is out.")
                return
    fence.check()
    if state == REMOVED_STATE and not receipt.dry_run and deps.marks(record):
        erased.note(record.path, person.mark)
    for file in files.ledger_files(record.path):
        fence.check()
        clean(file, person, "ledger", receipt)


def _remove(deps: ErasureDeps, person: Person, record: PersonRecord, *, began: bool) -> str:
    """Remove the person at the vendor. The mark of the person is written first, because a response may be lost.

    Args:
        deps: services and folders.
        person: to erase.
        record: the person's record in the audience.
        began: an export began to remove the person, and got no response.

    Returns:
        The outcome. The mark stays if this erasure, an earlier one or that export has deleted the person.
    """
    if not deps.marks(record):
        return deps.remove(record, person)
    began = began or person.mark in erased.marks(record.path)
    erased.note(record.path, person.mark)
    try:
        outcome = deps.remove(record, person)
    except FatalError as error:
        if not began and not isinstance(error, UnexpectedResponse):  # the vendor has deleted nothing
            erased.withdraw(record.path, person.mark)
        raise
    if outcome != REMOVED and not (began and outcome == Reason.DELETED):
        erased.withdraw(record.path, person.mark)
    return outcome

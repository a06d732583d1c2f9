"""What a task was told, the order that this makes, and the run folder in which it is carried out."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.errors import BadMatching
from airflow_provider_segexport.export import Mode, Older, Order
from airflow_provider_segexport.export.order import Consent, Guard, Undo
from airflow_provider_segexport.hooks.state import resolve
from airflow_provider_segexport.ports.places import Place, read, write
from airflow_provider_segexport.ports.run_folder import RunFolder, safe

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook

log = logging.getLogger(__name__)

ORDER, ATTEMPT = "order.json", "attempt.json"
"""What a run folder was begun for, and by which try of the task."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What a task was told.

    Attributes:
        identity: DAG, task, run and map index: the name of the run folder, and who stands in the ledger.
        root: where ledgers and run folders stand.
        export: the name of the export, which owns its audience.
        reports: where the run folder goes instead of below the root.
        attempt: the number of this try, and how many there may be: a task that is cleared is given more.
    """

    segment: str | Sequence[str]
    matching: Mapping[str, str]
    as_of: datetime
    identity: tuple[str, ...]
    root: Place
    export: str
    audience: str | None = None
    custom_fields: Mapping[str, str] = field(default_factory=dict)
    create_fields: bool = False
    mode: Mode = "changes"
    older: Older = "skip"
    max_profiles: int = 1_000_000
    shared: bool = False
    consent: Consent = field(default_factory=Consent)
    guards: Mapping[str, Guard | None] = field(default_factory=dict)
    dry_run: bool = False
    undo: Undo | None = None
    optouts: bool = False
    expect: str = ""
    reports: str | None = None
    attempt: tuple[int, int] = (0, 0)


def order_of(hook: SegmentExportHook, errand: Errand) -> Order:
    """The order, at the audience that the errand or else the connection names."""
    audience = errand.audience or hook.settings.audience
    if not audience:
        raise BadMatching(
            f"No {hook.vendor.audience_word} is named: give `audience`, or a default audience in connection "
            f"{hook.conn_id!r}."
        )
    return Order(
        segment=errand.segment if isinstance(errand.segment, str) else tuple(errand.segment),
        audience=str(audience),
        matching=errand.matching,
        as_of=errand.as_of.astimezone(UTC).isoformat(),
        run="/".join(errand.identity),
        custom_fields=errand.custom_fields,
        create_fields=errand.create_fields,
        mode=errand.mode,
        older=errand.older,
        max_profiles=errand.max_profiles,
        export=errand.export,
        shared=errand.shared,
        consent=errand.consent,
        guards=errand.guards,
        dry_run=errand.dry_run,
        undo=errand.undo,
        optouts=errand.optouts,
        expect=errand.expect,
        conn_id=hook.conn_id,
    )


def home(errand: Errand) -> Place:
    """Where the run folders of this task instance stand."""
    place = resolve(errand.reports) if errand.reports else errand.root / "runs"
    for part in errand.identity:
        place /= safe(part)
    return place


def run_folder(errand: Errand) -> RunFolder:
    """The run folder that this task instance is in."""
    return RunFolder.open(home(errand))


def folder_for(errand: Errand, order: Order) -> RunFolder:
    """The run folder to go on in; a plan that was made for other arguments is left alone, and a new one is made.

    Arguments change between tries when a DAG is mended, and when a mapped task's index means another pair by now.
    """
    folder, asked = run_folder(errand), _asked(order)
    note = folder.place / ORDER
    if not note.exists() or read(note) != asked:
        if note.exists() and folder.plan() is not None:
            folder = RunFolder(home(errand) / f"{int(folder.place.name) + 1:02d}")
            log.warning("The task's arguments have changed since its last try: this try makes a new plan.")
        write(folder.place / ORDER, asked)
    elif folder.plan() is not None:
        log.info("An earlier try has made the plan: this one goes on where that stopped.")
    write(folder.place / ATTEMPT, json.dumps(errand.attempt).encode())
    return folder


def _asked(order: Order) -> bytes:
    """The order as a run folder keeps it."""
    told = {name: value for name, value in asdict(order).items() if name not in {"run", "conn_id"}}
    return json.dumps(told, indent=2).encode()


def done_before(errand: Errand, order: Order) -> dict[str, Any] | None:
    """The report of an earlier try that came to its end, and whose worker died before Airflow knew.

    Clearing a task raises the number of its tries (`clear_task_instances`, Airflow 3.3.2): then it begins anew.
    """
    last = RunFolder.newest(home(errand)) if errand.attempt[0] > 1 else None
    report = last.summary() if last is not None else None
    if last is None or report is None or not report["finished"]:
        return None
    note, attempt = last.place / ORDER, last.place / ATTEMPT
    if not (note.exists() and attempt.exists()) or read(note) != _asked(order):
        return None
    number, most = json.loads(read(attempt))
    return report if number < errand.attempt[0] and most == errand.attempt[1] else None

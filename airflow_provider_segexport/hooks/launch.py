"""Puts an export together from a hook and what a task was told, and runs it."""

from __future__ import annotations

import json
import logging
import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

from airflow_provider_segexport.errors import BadMatching, SegexportError
from airflow_provider_segexport.export import Export, Mode, Older, Order, Waiting, World
from airflow_provider_segexport.hooks.state import resolve, state_root
from airflow_provider_segexport.ports.places import Place, read, write
from airflow_provider_segexport.ports.run_folder import RunFolder, safe

if TYPE_CHECKING:
    import pandas as pd

    from airflow_provider_segexport.hooks.base import SegmentExportHook

log = logging.getLogger(__name__)

FIRST_LOOK_S = 0.5
GRACE_S = 5.0
"""So long a worker looks itself before it hands the waiting to the triggerer: most small jobs are done by then."""


@dataclass(slots=True)
class Patient:
    """Decides between looking again and leaving, each time that there is nothing to do but wait.

    Attributes:
        interval_s: the longest time between two looks; the first ones come sooner.
        leaves: hand the waiting to the triggerer after the grace.
        just_back: jobs have ended already: look at once.
        sleep: lets time pass.
    """

    interval_s: float
    leaves: bool = False
    just_back: bool = False
    sleep: Callable[[float], None] = time.sleep
    _wait_s: float = FIRST_LOOK_S
    _waited_s: float = 0.0

    def __call__(self, jobs: int) -> bool:
        """Wait and return True to look; False to leave. `jobs` are in flight."""
        del jobs
        if self.just_back:
            self.just_back = False
            return True
        if self.leaves and self._waited_s >= GRACE_S:
            return False
        wait = min(self._wait_s, self.interval_s)
        self.sleep(wait)
        self._waited_s += wait
        self._wait_s *= 1.5
        return True


@dataclass(frozen=True, slots=True)
class Errand:
    """What a task was told.

    Attributes:
        identity: DAG, task, run and map index: the name of the run folder, and who stands in the ledger.
        root: where ledgers and run folders stand.
        reports: where the run folder goes instead of below the root.
    """

    segment: str | Sequence[str]
    matching: Mapping[str, str]
    as_of: datetime
    identity: tuple[str, ...]
    root: Place
    audience: str | None = None
    custom_fields: Mapping[str, str] = field(default_factory=dict)
    create_fields: bool = False
    mode: Mode = "changes"
    older: Older = "skip"
    max_profiles: int = 1_000_000
    reports: str | None = None


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
    folder = run_folder(errand)
    asked = json.dumps(
        {
            "segment": order.segment,
            "audience": order.audience,
            "matching": dict(order.matching),
            "custom_fields": dict(order.custom_fields),
            "mode": order.mode,
            "as_of": order.as_of,
        },
        indent=2,
    ).encode()
    note = folder.place / "order.json"
    if note.exists() and read(note) == asked:
        if folder.plan() is not None:
            log.info("An earlier try has made the plan: this one goes on where that stopped.")
        return folder
    if note.exists() and folder.plan() is not None:
        folder = RunFolder(home(errand) / f"{int(folder.place.name) + 1:02d}")
        log.warning("The task's arguments have changed since its last try: this try makes a new plan.")
    write(folder.place / "order.json", asked)
    return folder


def launch(hook: SegmentExportHook, errand: Errand, patient: Patient | None = None) -> dict[str, Any] | Waiting:
    """Run the export as far as it goes: its report, or what it waits for."""
    audience = errand.audience or hook.settings.audience
    if not audience:
        raise BadMatching(
            f"No {hook.vendor.audience_word} is named: give `audience`, or a default audience in connection "
            f"{hook.conn_id!r}."
        )
    segment = errand.segment if isinstance(errand.segment, str) else tuple(errand.segment)
    order = Order(
        segment=segment,
        audience=str(audience),
        matching=errand.matching,
        as_of=errand.as_of.astimezone(UTC).isoformat(),
        run="/".join(errand.identity),
        custom_fields=errand.custom_fields,
        create_fields=errand.create_fields,
        mode=errand.mode,
        older=errand.older,
        max_profiles=errand.max_profiles,
    )
    sender = hook.sender()
    pause = patient or Patient(interval_s=10, sleep=hook.wait)
    folder = folder_for(errand, order)
    log.info(
        "Exporting %s to %s %s through connection %s: mode %s, as of %s. Run folder: %s",
        order.segment if isinstance(segment, str) else ", ".join(segment),
        f"{hook.vendor.title} {hook.vendor.audience_word}",
        order.audience,
        hook.conn_id,
        order.mode,
        order.as_of,
        folder.place,
    )
    world = World(sender, folder, errand.root, pause, resolve, hook.clock, hook.wait)
    try:
        return Export(hook.vendor, hook.settings.access, order, world).run()
    finally:
        sender.close()


def alone(
    hook: SegmentExportHook,
    segment: str | os.PathLike[str] | Sequence[str] | pd.DataFrame,
    dag_id: str | None,
    *,
    as_of: datetime | None,
    **told: Any,
) -> dict[str, Any]:
    """Export without an operator around it, to the end; returns the report."""
    hook.settings.gate(dag_id or running_dag())
    with tempfile.TemporaryDirectory(prefix="segexport-") as folder:
        if isinstance(segment, os.PathLike):
            segment = str(segment)
        elif not isinstance(segment, (str, Sequence)):
            path = pathlib.Path(folder) / "segment.parquet"
            segment.to_parquet(path, index=False)
            segment = str(path)
        errand = Errand(
            segment=segment,
            as_of=as_of or datetime.now(UTC),
            identity=("hook", hook.conn_id, f"{time.time_ns()}"),
            root=state_root(),
            **told,
        )
        report = launch(hook, errand)
    if not isinstance(report, dict):
        raise SegexportError("The export waits for jobs although it was told to stay.")
    return report


def running_dag() -> str | None:
    """The DAG whose task this process runs, if it runs one."""
    try:
        return str(get_current_context()["dag"].dag_id)
    except (RuntimeError, KeyError):
        return None

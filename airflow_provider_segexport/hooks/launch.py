"""Puts an export together from a hook and what a task was told, and runs it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.errors import BadMatching
from airflow_provider_segexport.export import Export, Mode, Order, Waiting, World
from airflow_provider_segexport.hooks.state import resolve
from airflow_provider_segexport.ports.places import Place
from airflow_provider_segexport.ports.run_folder import RunFolder, safe

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook

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
    """

    interval_s: float
    leaves: bool = False
    just_back: bool = False
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
        time.sleep(wait)
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
    max_profiles: int = 1_000_000
    reports: str | None = None


def run_folder(errand: Errand) -> RunFolder:
    """The run folder of this task instance."""
    home = resolve(errand.reports) if errand.reports else errand.root / "runs"
    for part in errand.identity:
        home /= safe(part)
    return RunFolder.open(home)


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
        max_profiles=errand.max_profiles,
    )
    sender = hook.sender()
    world = World(sender, run_folder(errand), errand.root, patient or Patient(interval_s=10), resolve)
    try:
        return Export(hook.vendor, hook.settings.access, order, world).run()
    finally:
        sender.close()

"""What an export is asked for, and what it touches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from airflow_provider_segexport.access import Access
from airflow_provider_segexport.contract import Vendor, drive
from airflow_provider_segexport.model import Operation, T
from airflow_provider_segexport.ports.http import Sender
from airflow_provider_segexport.ports.places import Place, Resolve, local
from airflow_provider_segexport.ports.run_folder import RunFolder

Mode = Literal["full", "changes"]
Older = Literal["skip", "fail"]
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
        older: what to do when the ledger knows a newer state of the audience than `as_of`.
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
    older: Older = "skip"
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


@dataclass(frozen=True, slots=True)
class Job:
    """An order at a vendor, with the world it touches."""

    vendor: Vendor
    access: Access
    order: Order
    world: World

    def drive(self, operation: Operation[T]) -> T:
        """Run one of the vendor's operations."""
        return drive(operation, self.world.send, self.world.sleep)

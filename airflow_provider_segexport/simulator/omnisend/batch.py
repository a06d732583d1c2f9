"""A batch with the results of its items, and scripted failures of items."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_segexport.simulator.jobs import Job

Json = dict[str, object]

FAILED = -1


@dataclass(slots=True)
class ItemFault:
    """A scripted failure of items with an address, or of every `every`th item; it applies `times` times."""

    status: int = 503
    email: str | None = None
    every: int | None = None
    times: int = 1
    seen: int = 0

    def applies_to(self, item: object) -> bool:
        """Whether this item fails; counts the item and the failure."""
        if self.times < 1:
            return False
        if self.email is not None:
            fails = json.dumps(self.email) in json.dumps(item)
        else:
            self.seen += 1
            fails = self.seen % (self.every or 1) == 0
        self.times -= fails
        return fails


@dataclass(slots=True)
class Batch:
    """A batch and its results.

    `body` is the compressed request. `outcomes` has a number for each processed item: `FAILED`, or twice the contact's
    number, plus one if the contact is new. `failures` has status and problem by index of the item.
    """

    job: Job
    total: int
    body: bytes
    origin: str
    seconds: float
    stop_after: int | None = None
    outcomes: list[int] = field(default_factory=list)
    failures: dict[int, tuple[int, Json]] = field(default_factory=dict)

    def items(self) -> list[object]:
        """Return the items as they were sent."""
        items: list[object] = json.loads(zlib.decompress(self.body))["items"]
        return items

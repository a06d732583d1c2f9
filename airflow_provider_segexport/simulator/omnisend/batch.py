"""One batch with what became of its items, and the failures that a script gives to items."""

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
    """A scripted failure: of one address, or of each `every`th item, `times` times."""

    status: int = 503
    email: str | None = None
    every: int | None = None
    times: int = 1
    seen: int = 0

    def strikes(self, item: object) -> bool:
        """Tell whether this item fails."""
        if self.times < 1:
            return False
        if self.email is not None:
            hit = json.dumps(self.email) in json.dumps(item)
        else:
            self.seen += 1
            hit = self.seen % (self.every or 1) == 0
        self.times -= hit
        return hit


@dataclass(slots=True)
class Batch:
    """A batch; `outcomes` has twice a contact's number, plus one if it is new, for each item done."""

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

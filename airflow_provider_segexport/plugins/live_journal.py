"""How far a run is: `journal -> batches`, read line by line while another process writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_segexport.model import BatchKind
from airflow_provider_segexport.plugins.audiences import whole
from airflow_provider_segexport.storage.journal import ORDER, State
from airflow_provider_segexport.storage.paths import StoragePath, list_names, read


@dataclass(frozen=True, slots=True)
class BatchState:
    """The last thing known of one batch, and the vendor's job that it became, if it became one."""

    batch_id: str
    state: State
    rows: int
    accepted: int = 0
    rejected: int = 0
    job_id: str = ""

    @property
    def removal(self) -> bool:
        """It takes people out, and delivers nobody."""
        return self.batch_id.startswith(BatchKind.REMOVE)

    @property
    def planned(self) -> bool:
        """It stands in the plan, and is not what was sent again of a batch that does."""
        return "-" not in self.batch_id.removeprefix(BatchKind.REMOVE)


def batch_states(folder: StoragePath) -> dict[str, BatchState]:
    """All batches on record, in the order in which they first went out."""
    found: dict[str, BatchState] = {}
    for line in _lines(folder):
        if one := _sent(line):
            before = found.get(one.batch_id)
            if before is None or ORDER.index(one.state) >= ORDER.index(before.state):
                found[one.batch_id] = one if one.job_id or before is None else replace(one, job_id=before.job_id)
    return found


def _lines(folder: StoragePath) -> Iterator[bytes]:
    for name in list_names(folder):
        if name.startswith("journal") and name.endswith(".jsonl"):
            try:
                yield from read(folder / name).splitlines()
            except OSError:  # gone between the listing and the reading
                continue


def _sent(line: bytes) -> BatchState | None:
    """One line; a torn one, and one of a later version's state, is passed over."""
    try:
        found: Any = json.loads(line)
        state = State(found["state"])
        name = str(found["batch"])
    except (ValueError, KeyError, TypeError):
        return None
    counts: Mapping[str, Any] = found
    accepted, refused = whole(counts.get("accepted")), whole(counts.get("rejected"))
    return BatchState(name, state, whole(counts.get("rows")), accepted, refused, str(counts.get("job_id") or ""))

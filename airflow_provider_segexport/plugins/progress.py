"""How far a run is: `journal -> batches`, read line by line while another process writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_segexport.model import Kind
from airflow_provider_segexport.plugins.cards import whole
from airflow_provider_segexport.ports.journal import ORDER, State
from airflow_provider_segexport.ports.places import Place, names, read


@dataclass(frozen=True, slots=True)
class Sent:
    """The last thing known of one batch, and the vendor's job that it became, if it became one."""

    name: str
    state: State
    rows: int
    accepted: int = 0
    refused: int = 0
    ticket: str = ""

    @property
    def removal(self) -> bool:
        """It takes people out, and delivers nobody."""
        return self.name.startswith(Kind.REMOVE)

    @property
    def planned(self) -> bool:
        """It stands in the plan, and is not what was sent again of a batch that does."""
        return "-" not in self.name.removeprefix(Kind.REMOVE)


def sent(folder: Place) -> dict[str, Sent]:
    """All batches on record, in the order in which they first went out."""
    found: dict[str, Sent] = {}
    for line in _lines(folder):
        if one := _sent(line):
            before = found.get(one.name)
            if before is None or ORDER.index(one.state) >= ORDER.index(before.state):
                found[one.name] = one if one.ticket or before is None else replace(one, ticket=before.ticket)
    return found


def _lines(folder: Place) -> Iterator[bytes]:
    for name in names(folder):
        if name.startswith("journal") and name.endswith(".jsonl"):
            try:
                yield from read(folder / name).splitlines()
            except OSError:  # gone between the listing and the reading
                continue


def _sent(line: bytes) -> Sent | None:
    """One line; a torn one, and one of a later version's state, is passed over."""
    try:
        found: Any = json.loads(line)
        state = State(found["state"])
        name = str(found["batch"])
    except (ValueError, KeyError, TypeError):
        return None
    counts: Mapping[str, Any] = found
    accepted, refused = whole(counts.get("accepted")), whole(counts.get("refused"))
    return Sent(name, state, whole(counts.get("rows")), accepted, refused, str(counts.get("ticket") or ""))

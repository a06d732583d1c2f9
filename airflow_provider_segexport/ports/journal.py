"""What happened to each batch, written down before and after every call: `entries -> states`.

On a local disk one file grows by lines; in object storage, which cannot append, each write is an object of its own.
A torn last line, left by a kill, is passed over: its call was made or not, which is what an intent without a verdict
means anyway.
"""

from __future__ import annotations

import json
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from airflow_provider_segexport.ports.places import Place, as_place, folder, names, read, write


class State(StrEnum):
    """The last thing known of a batch."""

    SENDING = "sending"
    SUBMITTED = "submitted"
    SETTLED = "settled"
    SPLIT = "split"


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact about one batch.

    Attributes:
        ticket: the vendor's job, once submitted.
        accepted, refused: rows with a verdict.
        again: indexes of rows that the vendor asks to send once more.
        part: a file of row verdicts stands in `settled/`.
    """

    batch: str
    state: State
    rows: int
    ticket: str = ""
    accepted: int = 0
    refused: int = 0
    again: tuple[int, ...] = ()
    part: bool = False


@dataclass(slots=True)
class Journal:
    """The journal of one run folder."""

    place: Place
    clock: Callable[[], float] = time.time
    _written: int = 0
    _session: str = field(default="")

    def write(self, entries: Sequence[Entry]) -> None:
        """Append entries; on return they survive the process."""
        if not entries:
            return
        lines = "".join(json.dumps({"at": round(self.clock(), 3), **_plain(entry)}) + "\n" for entry in entries)
        if isinstance(self.place, pathlib.Path):
            folder(as_place(self.place))
            with (self.place / "journal.jsonl").open("a", encoding="utf-8") as file:
                file.write(lines)
            return
        self._session = self._session or f"{int(self.clock() * 1000):015d}"
        write(self.place / f"journal-{self._session}-{self._written:07d}.jsonl", lines.encode())
        self._written += 1

    def states(self) -> dict[str, Entry]:
        """The last entry of each batch."""
        return {entry.batch: entry for entry in self._entries()}

    def _entries(self) -> Iterator[Entry]:
        for name in names(self.place):
            if name.startswith("journal") and name.endswith(".jsonl"):
                for line in read(self.place / name).splitlines():
                    try:
                        found = json.loads(line)
                    except ValueError:
                        continue
                    del found["at"]
                    found["state"] = State(found["state"])
                    found["again"] = tuple(found.get("again", ()))
                    yield Entry(**found)


def _plain(entry: Entry) -> dict[str, Any]:
    """Without what says nothing."""
    return {key: value for key, value in asdict(entry).items() if value not in ("", 0, (), False) or key == "rows"}

"""The files of a lease: which process holds an audience, and which superseded ones have stopped.

    <ledger>/lease/<number>.json            who holds it, until when
    <ledger>/lease/<ms>-<mark>.stopped      a process that was superseded has ended its calls

Each is written whole; the highest number counts.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from airflow_provider_segexport.errors import AudienceBusy
from airflow_provider_segexport.ports.places import Place, listing, read, write

STOPPED = ".stopped"
STOPPED_KEPT_MS = 7 * 86_400_000
"""A confirmed stop is kept for a week: longer than any run waits for it (`export.doubts`)."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds an audience.

    Attributes:
        owner: `dag/task/run/map index`.
        until: epoch seconds after which it is anybody's; 0 when it was given back.
        since: when it was taken.
        words: what the holder waits for, if it has left its place.
        mark: tells one taking process from all others, also from another try of the same owner.
        airflow: the Airflow that will resume the holder, if it has left its place; empty where that is not known.
    """

    owner: str
    until: float
    since: float
    words: str = ""
    mark: str = ""
    airflow: str = ""

    @property
    def in_order(self) -> bool:
        """Whether its process has ended its calls: it gave the audience back, or left it to wait elsewhere."""
        return not self.until or bool(self.words)

    def busy(self, after: float) -> AudienceBusy:
        """The error of a run that must wait for this one, at least for so many seconds."""
        at = datetime.fromtimestamp(self.until, UTC)
        words = f" ({self.words})" if self.words else ""
        return AudienceBusy(
            f"This audience is being written by {self.owner}{words}, which holds it until {at:%Y-%m-%d %H:%M:%S} UTC, "
            "or longer while it runs. This run goes on when that one is done.",
            holder=self.owner,
            after=after,
        )

    def content(self) -> bytes:
        """The file that says so."""
        return json.dumps({name: value for name, value in asdict(self).items() if value or name != "airflow"}).encode()


def lost(successor: str, owner: str) -> str:
    """What a process learns that holds the lease no more; no successor where it never had, or gave it back."""
    if not successor:
        return "The lease of this audience is not held."
    who = "another try of this task" if successor == owner else successor
    return (
        f"The lease of this audience was taken over by {who}, because this process slept too long or was taken for "
        "dead: it sends nothing more. What it has sent is on record, and another try reads it."
    )


def number_of(name: str) -> int:
    """The number of a lease's file; 0 for any other name."""
    return int(name[:-5]) if name.endswith(".json") and name[:-5].isdecimal() else 0


def highest(home: Place) -> int:
    """The newest lease's number, by one listing; 0 where there is none."""
    return max(map(number_of, listing(home)), default=0)


def newest(home: Place) -> tuple[int, Holder | None]:
    """The highest number and what is written there; a file that cannot be read is nobody's."""
    number = highest(home)
    if not number:
        return 0, None
    try:
        return number, Holder(**json.loads(read(home / f"{number:08d}.json")))
    except (FileNotFoundError, ValueError, TypeError):  # given way to a higher number just now, or half written
        return number, None


def holder(place: Place, now: float) -> Holder | None:
    """Who holds the audience whose ledger is at `place`, for people to look at."""
    _, latest = newest(place / "lease")
    return latest if latest is not None and latest.until > now else None


def confirm_stop(home: Place, mark: str, now: float) -> None:
    """Say that a superseded process has ended its calls."""
    write(home / f"{int(now * 1000):015d}-{mark}{STOPPED}", b"")


def has_stopped(home: Place, mark: str) -> bool:
    """Whether the process of that mark has said so."""
    return bool(mark) and any(name.endswith(f"-{mark}{STOPPED}") for name in listing(home))


def tidy(home: Place, number: int, now: float) -> None:
    """Remove the files of lower numbers, which say nothing any more, and confirmed stops that are old."""
    for name in listing(home):
        at = name.partition("-")[0]
        old = name.endswith(STOPPED) and at.isdecimal() and int(at) < now * 1000 - STOPPED_KEPT_MS
        if old or 0 < number_of(name) < number:
            with suppress(OSError):
                (home / name).unlink(missing_ok=True)

"""The files of a lease: which process holds an audience, and which superseded ones have stopped.

    <ledger>/lease/<number>.json            who holds it, until when
    <ledger>/lease/<ms>-<mark>.stopped      a process that was superseded has ended its calls

Each is written whole; the highest number counts.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from airflow_provider_segexport.errors import AudienceLocked, RetryableError
from airflow_provider_segexport.storage.paths import StoragePath, listing, read, write

STOPPED = ".stopped"
STOPPED_KEPT_MS = 7 * 86_400_000
"""A confirmed stop is kept for a week: longer than any run waits for it (`export.doubts`)."""

DAY_S = 86_400.0
MOST_AHEAD_S = 2 * DAY_S
"""No lease ends later than this: a run leaves for a day at most, and a clock may be wrong by another day."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long a lease lasts.

    Attributes:
        ttl_s: seconds for which a holder that says nothing more keeps it.
        skew_s: seconds that the clocks of two workers may be apart.
    """

    ttl_s: float = 120.0
    skew_s: float = 10.0


TIMES = Times()
TTL_S, SKEW_S = TIMES.ttl_s, TIMES.skew_s


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds an audience.

    Attributes:
        owner: `dag/task/run/map index`.
        until: epoch seconds after which it is anybody's; 0 when it was given back.
        since: when it was taken.
        reason: what the holder waits for, if it has left its place.
        token: tells one taking process from all others, also from another try of the same owner.
        airflow: the Airflow that will resume the holder, if it has left its place; empty where that is not known.
        unclean: it has taken the lease over from a holder whose calls may still be under way, and has not waited for
            their end.
    """

    owner: str
    until: float
    since: float
    reason: str = ""
    token: str = ""
    airflow: str = ""
    unclean: bool = False

    @classmethod
    def read(cls, content: bytes) -> Holder:
        """The holder that a file names; what a newer version adds to it is passed over.

        Raises:
            ValueError: the file is damaged, or holds what no version writes.
        """
        try:
            known = json.loads(content)
            texts = {name: known.get(name, "") for name in ("owner", "reason", "token", "airflow")}
            times = {name: float(known[name]) for name in ("until", "since")}
        except (AttributeError, KeyError, OverflowError, RecursionError, TypeError) as error:
            raise ValueError(f"no lease ({type(error).__name__})") from None
        odd = [name for name, text in texts.items() if not isinstance(text, str)]
        odd += [name for name, at in times.items() if isinstance(known[name], str | bool) or not math.isfinite(at)]
        if odd or not texts["owner"]:
            raise ValueError(f"no lease ({', '.join(odd) or 'owner'})")
        unclean = known.get("unclean") is True
        return cls(**texts, until=times["until"], since=times["since"], unclean=unclean)

    @property
    def in_order(self) -> bool:
        """Whether no call is under way: its process gave the audience back, or left it to wait elsewhere."""
        return (not self.until or bool(self.reason)) and not self.unclean

    def busy(self, after: float) -> AudienceLocked:
        """The error of a run that must wait for this one, at least for so many seconds."""
        words = f" ({self.reason})" if self.reason else ""
        return AudienceLocked(
            f"This audience is being written by {self.owner}{words}, which holds it until {shown(self.until)}, "
            "or longer while it runs. This run goes on when that one is done.",
            holder=self.owner,
            retry_after_s=after,
        )

    def content(self) -> bytes:
        """The file that says so."""
        rare = {"airflow", "unclean"}
        return json.dumps({name: value for name, value in asdict(self).items() if value or name not in rare}).encode()


def shown(at: float) -> str:
    """A time for people; as a number where no calendar has it."""
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, OSError, ValueError):
        return f"{at:.0f} s after 1970"


def lost(successor: str, owner: str) -> str:
    """What a process learns that holds the lease no more; no successor where it never had, or gave it back."""
    if not successor:
        return "The lease of this audience is not held."
    who = "another try of this task" if successor == owner else successor
    return (
        f"The lease of this audience was taken over by {who}, because this process slept too long or was taken for "
        "dead: it sends nothing more. What it has sent is on record, and another try reads it."
    )


def unreadable(home: StoragePath, error: OSError) -> RetryableError:
    """The error of a process that cannot find out in time whether it still holds the lease."""
    return RetryableError(
        f"The lease of this audience in {home} can be neither renewed nor read ({type(error).__name__}): "
        "another try takes it again."
    )


def number_of(name: str) -> int:
    """The number of a lease's file; 0 for any other name."""
    return int(name[:-5]) if name.endswith(".json") and name[:-5].isdecimal() else 0


def highest(home: StoragePath) -> int:
    """The newest lease's number, by one listing; 0 where there is none."""
    return max(map(number_of, listing(home)), default=0)


def newest(home: StoragePath) -> tuple[int, Holder | None]:
    """The highest number and what is written there; a file that cannot be read is nobody's."""
    number = highest(home)
    if not number:
        return 0, None
    try:
        return number, Holder.read(read(home / f"{number:08d}.json"))
    except (FileNotFoundError, IsADirectoryError, ValueError):  # given way to a higher number, or half written
        return number, None


def holder(path: StoragePath, now: float) -> Holder | None:
    """Who holds the audience whose ledger is at `path`, for people to look at."""
    _, latest = newest(path / "lease")
    return latest if latest is not None and latest.until > now else None


def confirm_stop(home: StoragePath, mark: str, now: float) -> None:
    """Say that a superseded process has ended its calls."""
    write(home / f"{int(now * 1000):015d}-{mark}{STOPPED}", b"")


def has_stopped(home: StoragePath, mark: str) -> bool:
    """Whether the process of that mark has said so."""
    return bool(mark) and any(name.endswith(f"-{mark}{STOPPED}") for name in listing(home))


def tidy(home: StoragePath, number: int, now: float) -> None:
    """Remove the files of lower numbers, which say nothing any more, and confirmed stops that are old."""
    for name in listing(home):
        at = name.partition("-")[0]
        old = name.endswith(STOPPED) and at.isdecimal() and int(at) < now * 1000 - STOPPED_KEPT_MS
        if old or 0 < number_of(name) < number:
            with suppress(OSError):
                (home / name).unlink(missing_ok=True)

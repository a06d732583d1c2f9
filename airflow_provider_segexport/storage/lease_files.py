"""Reads and writes the files of a lease: its holders, and confirmations of superseded processes.

    <ledger>/lease/<number>.json                     the holder, and until when it holds
    <ledger>/lease/<ms>-<writer token>.stopped       a superseded process has ended its calls

Each file is written atomically. The highest number holds the lease.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_provider_segexport.errors import AudienceLocked, DamagedState, RetryableError
from airflow_provider_segexport.json_values import parse_object
from airflow_provider_segexport.storage.paths import StoragePath, listing, remove, write
from airflow_provider_segexport.storage.sealing import read_file

STOPPED_SUFFIX = ".stopped"
STOPPED_RETENTION_MS = 7 * 86_400_000
"""Milliseconds for which a confirmation stays: a week, longer than any run waits for one (`export.doubts`)."""

DAY_S = 86_400.0
MAX_LEASE_AHEAD_S = 2 * DAY_S
"""Maximum seconds from now to the end of a lease: a run defers for a day, and a clock may be off by a day."""


@dataclass(frozen=True, slots=True)
class Times:
    """The lifetime of a lease.

    Attributes:
        ttl_s: seconds until a lease expires that is not renewed.
        skew_s: seconds by which the clocks of two workers may differ.
    """

    ttl_s: float = 120.0
    skew_s: float = 10.0


TIMES = Times()
TTL_S, SKEW_S = TIMES.ttl_s, TIMES.skew_s

RENEWALS_PER_TTL = 3
"""A lease is renewed after a third of its lifetime."""

CHECKS_PER_TTL = 12
"""The watcher checks a lease twelve times in its lifetime."""

WRITE_VISIBILITY_S = 1.0
"""More seconds than two overlapping writes need to become visible in a store without conditional put."""

RETRY_S = 1.0
"""Seconds between two attempts to read a store that fails, while calls wait."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of a lease.

    Attributes:
        owner: the task instance, `dag/task/run/map index`.
        until: epoch seconds at which the lease expires; 0 if it was released.
        since: epoch seconds of the acquisition.
        reason: what the holder waits for, if it has deferred.
        token: identifies the process, also among attempts of the same owner.
        airflow: id of the Airflow that will resume a deferred holder; empty if unknown.
        unclean: whether the previous holder may have calls in flight that this holder has not waited for.
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
        """Return the holder in a file. Fields that a newer version adds are ignored.

        Raises:
            ValueError: the file is damaged, or not a lease.
        """
        try:
            fields: dict[str, Any] = parse_object(content) or {}
            texts = {name: fields.get(name, "") for name in ("owner", "reason", "token", "airflow")}
            times = {name: float(fields[name]) for name in ("until", "since")}
        except (KeyError, OverflowError, TypeError) as error:
            raise ValueError(f"not a lease ({type(error).__name__})") from None
        invalid = [name for name, text in texts.items() if not isinstance(text, str)]
        invalid += [name for name, at in times.items() if isinstance(fields[name], str | bool) or not math.isfinite(at)]
        if invalid or not texts["owner"]:
            raise ValueError(f"not a lease ({', '.join(invalid) or 'owner'})")
        unclean = fields.get("unclean") is True
        return cls(**texts, until=times["until"], since=times["since"], unclean=unclean)

    @property
    def is_idle(self) -> bool:
        """Whether no call is in flight, because the holder's process released the lease or deferred."""
        return (not self.until or bool(self.reason)) and not self.unclean

    def locked_error(self, retry_after_s: float) -> AudienceLocked:
        """Return the error of a run that must wait for this holder, for `retry_after_s` seconds at least."""
        reason = f" ({self.reason})" if self.reason else ""
        return AudienceLocked(
            f"This audience is being written by {self.owner}{reason}, which holds it until {format_time(self.until)}, "
            "or longer while it runs.",
            holder=self.owner,
            retry_after_s=retry_after_s,
        )

    def content(self) -> bytes:
        """Return the content of the holder's file."""
        optional = {"airflow", "unclean"}
        return json.dumps(
            {name: value for name, value in asdict(self).items() if value or name not in optional}
        ).encode()


def format_time(moment: float) -> str:
    """Return epoch seconds as a UTC time; as a number if they are beyond the calendar."""
    try:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, OSError, ValueError):
        return f"{moment:.0f} s after 1970"


def superseded_message(successor: str, owner: str) -> str:
    """Return the message for a process without the lease. `successor` is empty if no other process has taken it."""
    if not successor:
        return "The lease of this audience is not held."
    holder_now = "another attempt of this task" if successor == owner else successor
    return (
        f"The lease of this audience was taken over by {holder_now}, because this process was suspended too long or "
        "presumed dead. It sends nothing more. The next attempt reads the recorded results of what it has sent."
    )


def unreadable_error(home: StoragePath, error: OSError) -> RetryableError:
    """Return the error of a process that cannot find out in time whether it still holds the lease."""
    return RetryableError(
        f"The lease of this audience in {home} can be neither renewed nor read ({type(error).__name__}). "
        "The next attempt acquires it again."
    )


def number_of(name: str) -> int:
    """Return the number in the name of a lease's file; 0 for any other name."""
    return int(name[:-5]) if name.endswith(".json") and name[:-5].isdecimal() else 0


def highest(home: StoragePath) -> int:
    """Return the highest lease number in the folder; 0 if there is none. It takes one listing."""
    return highest_of(listing(home))


def highest_of(names: Iterable[str]) -> int:
    """Return the highest lease number among the names in the folder; 0 if there is none."""
    return max(map(number_of, names), default=0)


def newest(home: StoragePath) -> tuple[int, Holder | None]:
    """Return the highest number and its holder. The holder is None if there is none, or its file cannot be read."""
    number = highest(home)
    return number, holder_of(home, number)


def holder_of(home: StoragePath, number: int) -> Holder | None:
    """Return the holder of a number; None if there is none, or its file cannot be read."""
    try:
        return Holder.read(read_file(home / f"{number:08d}.json")) if number else None
    except (FileNotFoundError, DamagedState, ValueError):  # replaced by a higher number, or half written
        return None


def holder(path: StoragePath, now: float) -> Holder | None:
    """Return the holder of an audience by its ledger's path, for display; None if it is free."""
    _, latest = newest(path / "lease")
    return latest if latest is not None and latest.until > now else None


def confirm_stop(home: StoragePath, writer_token: str, now: float) -> None:
    """Record that a superseded process has ended its calls.

    Args:
        home: folder of the lease.
        writer_token: token of the process (`Lease.writer_token`).
        now: epoch seconds.
    """
    write(home / f"{int(now * 1000):015d}-{writer_token}{STOPPED_SUFFIX}", b"")


def has_stopped(home: StoragePath, writer_token: str) -> bool:
    """Return whether a process has confirmed that it has ended its calls."""
    return bool(writer_token) and any(name.endswith(f"-{writer_token}{STOPPED_SUFFIX}") for name in listing(home))


def remove_old_files(home: StoragePath, names: Iterable[str], number: int, now: float) -> None:
    """Delete the files of lower numbers, and old confirmations.

    Args:
        home: folder of the lease.
        names: the names in the folder.
        number: number of the newest lease.
        now: epoch seconds.
    """
    old = []
    for name in names:
        stopped_ms = name.partition("-")[0]
        is_old = (
            name.endswith(STOPPED_SUFFIX)
            and stopped_ms.isdecimal()
            and int(stopped_ms) < now * 1000 - STOPPED_RETENTION_MS
        )
        if is_old or 0 < number_of(name) < number:
            old.append(name)
    with suppress(OSError):
        remove(home, old)

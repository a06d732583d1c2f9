"""One writer an audience, over DAGs and machines: `owner -> held, or who holds it`.

    <ledger>/lease/<number>.json     who holds it, until when

Each taking writes a file under the next number, which only one writer can: a hard link on a disk, a conditional put in
object storage. The highest number holds, and is the fencing token: it never starts over, as the file of a lease that
was given back stays until the next one is there. `check` reads the store, so a process that was suspended, or taken
for dead, finds a higher number before its next call leaves.

Times are the holder's own: a renewal counts only when it was written before the time ran out by its wall clock and its
monotonic clock, and others allow for a clock that is `Times.skew_s` apart. Safety does not depend on clocks.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from threading import Event, RLock, Thread

from airflow_provider_segexport.errors import AudienceLocked, RetryableError, Superseded
from airflow_provider_segexport.storage import lease_files as files
from airflow_provider_segexport.storage.lease_files import SKEW_S, TIMES, TTL_S, Holder, Times, highest, holder, newest
from airflow_provider_segexport.storage.paths import StoragePath, create, folder, write

__all__ = ["SKEW_S", "TTL_S", "Holder", "Lease", "Times", "holder", "newest"]

log = logging.getLogger(__name__)

RENEWALS, LOOKS = 3, 12
"""A lease is renewed after a third of its time, and looked at twelve times in it."""

SETTLE_S = 1.0
"""Longer than two writes that overlap may take to become visible, where a store has no conditional put."""

RETRY_S = 1.0
"""Seconds between two looks at a store that does not answer, while calls wait."""

WATCHER_S = 5.0  # so long the end of a run waits for a look at a store that does not answer
MOST_TRIES = 20


class Lease:
    """The lease of one audience, for one owner; safe to use from several threads.

    Args:
        place: the audience's ledger.
        owner: who takes it; the same one may always take it again: a retry, a return from deferral, another worker.
        alive: whether another holder still runs; None where nobody knows, and its time is waited for.
        gone: whether the Airflow of that mark is this one and has no such task instance any more: its run was deleted.
        times: how long it lasts.
        monotonic: seconds that no one sets.

    Attributes:
        number: the fencing token, of the newest taking.
        mark: tells this process from all others.
        unclean: the last holder neither gave the lease back nor left it: calls of it may still be under way.
    """

    def __init__(  # noqa: PLR0913 - each is one thing the world gives
        self,
        path: StoragePath,
        owner: str,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        alive: Callable[[str], bool | None] = lambda _: None,
        gone: Callable[[str, str], bool] = lambda *_: False,
        times: Times = TIMES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home, self._owner = path / "lease", owner
        self._clock, self._sleep, self._monotonic = clock, sleep, monotonic
        self._alive, self._gone = alive, gone
        self._ttl_s, self._skew_s = times.ttl_s, times.skew_s
        self._lock, self._done = RLock(), Event()
        self._watcher: Thread | None = None
        self._held: Holder | None = None
        self._ends_at = 0.0  # monotonic
        self._successor = ""
        self.mark = secrets.token_hex(8)
        self.number = 0
        self.unclean = False

    def acquire(self) -> None:
        """Take it, and keep it until `leave` or `release`.

        Raises:
            AudienceLocked: somebody else holds it.
        """
        with self._lock:
            folder(self._home)
            for _ in range(MOST_TRIES):
                number, latest = self._look()
                if latest is not None and latest.owner != self._owner:
                    self._refuse(number, latest)
                if latest is None or latest.token != self.mark:
                    self.unclean = bool(number) and not (latest is not None and latest.in_order)
                if self._enter(number + 1):
                    files.tidy(self._home, self.number, self._clock())
                    self._keep()
                    return
            raise AudienceLocked(
                "This audience changes hands all the time; another try may find it free.",
                holder="",
                retry_after_s=self._ttl_s,
            )

    def check(self) -> None:
        """Pass while the lease is held, by the store's word: one listing. Asked right before each call leaves.

        A store that cannot be read holds the call back until it can, or until the lease has run out.

        Raises:
            Superseded: it was taken over, because this process slept too long or was taken for dead.
            RetryableError: the store could not be read in time.
        """
        waited = 0.0
        while self._held is not None:
            try:
                if self._still_held():
                    return
                break
            except OSError as error:
                if self._left() <= 0 or waited >= self._ttl_s:
                    raise files.unreadable(self._home, error) from None
                if not waited:
                    log.warning("Waiting for the lease's store (place=%s error=%s).", self._home, type(error).__name__)
                self._sleep(RETRY_S)
                waited += RETRY_S
        raise Superseded(files.lost(self._successor, self._owner))

    def renew(self) -> None:
        """Look whether it is still held, and put off its end.

        Raises:
            Superseded, RetryableError: as `check`.
        """
        with self._lock:
            held = self._held
            if held is None:
                raise Superseded(files.lost(self._successor, self._owner))
            try:
                if not self._renewed(held):
                    raise Superseded(files.lost(self._successor, self._owner))
            except OSError as error:  # the store cannot be reached: there is time until the lease runs out
                if self._left() <= 0:
                    raise files.unreadable(self._home, error) from None
                log.warning("The lease in %s cannot be renewed just now (%s).", self._home, type(error).__name__)

    def wait_for_stop(self, mark: str, seconds: float) -> bool:
        """Wait until the process of that mark has confirmed that it has stopped, or for so many seconds.

        Returns: whether it has.
        """
        waited = 0.0
        while not files.has_stopped(self._home, mark):
            if waited >= seconds:
                return False
            self._sleep(RETRY_S)
            waited += RETRY_S
        return True

    def hold_until(self, until: float, words: str, airflow: str = "") -> None:
        """Keep it without renewing it, for a run that gives its place back: it comes again before then."""
        self._end(until, words, airflow)

    def release(self) -> None:
        """Give it back; or, after it was taken over, confirm that this process has stopped."""
        self._end(0.0, "")

    def heartbeat(self) -> None:
        """Renew it when a part of its time has passed, and look before that whether it was taken over."""
        with self._lock, suppress(RetryableError, OSError):
            held = self._held
            if held is None:
                return
            if self._left() <= self._ttl_s * (1 - 1 / RENEWALS):
                self.renew()
            elif highest(self._home) != self.number:
                self._gave_way(newest(self._home)[1])

    def _refuse(self, number: int, latest: Holder) -> None:
        """Raise while somebody else holds it."""
        left = latest.until + self._skew_s - self._clock()
        if left <= 0:
            return
        alive = self._alive(latest.owner)
        if alive is False or self._gone(latest.owner, latest.airflow):
            log.warning("%s has ended without giving its lease back; it is taken over.", latest.owner)
            return
        if left > files.MOST_AHEAD_S:
            left = self._ttl_s + self._skew_s
            if not alive and self._is_silent(number, latest, left):
                return
        raise latest.busy(after=left)

    def _is_silent(self, number: int, latest: Holder, seconds: float) -> bool:
        """Whether a lease that ends later than any does is not renewed in its time: a clock was wrong, or the file."""
        words = "Watching whether a lease with an impossible end is renewed (place=%s owner=%s until=%s seconds=%.0f)."
        log.warning(words, self._home, latest.owner, files.shown(latest.until), seconds)
        self._sleep(seconds)
        return newest(self._home) == (number, latest)

    def _look(self) -> tuple[int, Holder | None]:
        """The newest lease; one that cannot be read is given the time to be written."""
        number, latest = newest(self._home)
        if number and latest is None:
            self._sleep(SETTLE_S)
            again, latest = newest(self._home)
            if again == number and latest is None:
                log.warning("The lease %08d in %s cannot be read: it counts as nobody's.", number, self._home)
            number = again
        return number, latest

    def _enter(self, number: int) -> bool:
        """Write the lease of this number, if nobody has, and look whether it is the one that counts."""
        now, began = self._clock(), self._monotonic()
        mine = Holder(self._owner, now + self._ttl_s, now, token=self.mark)
        sure = True
        with suppress(FileExistsError):  # it may be ours all the same: a put whose answer was lost is put twice
            sure = create(self._file(number), mine.content())
        if not sure:
            if self._monotonic() - began > SETTLE_S:
                return False  # the put came so late that another writer may hold this number already
            self._sleep(SETTLE_S)
        at, latest = newest(self._home)
        if at != number or latest is None or latest.token != self.mark:
            return False
        self._held, self.number, self._successor = mine, number, ""
        self._ends_at = began + self._ttl_s
        return True

    def _left(self) -> float:
        """Seconds until it runs out, by the clock that says sooner."""
        held = self._held
        return min(held.until - self._clock(), self._ends_at - self._monotonic()) if held else 0.0

    def _still_held(self) -> bool:
        """Whether the store has no higher number; a lease that has half run out is renewed."""
        if self._left() > self._ttl_s / 2 and highest(self._home) == self.number:
            return True
        with self._lock:
            return self._held is not None and self._renewed(self._held)

    def _renewed(self, held: Holder) -> bool:
        """Whether it is still ours, and for how long now."""
        number, latest = newest(self._home)
        if number != self.number or (latest is not None and latest.token != self.mark):
            return self._gave_way(latest)
        now, began = self._clock(), self._monotonic()
        if self._left() > 0:
            longer = replace(held, until=now + self._ttl_s)
            write(self._file(number), longer.content())
            if self._left() > 0:
                self._held, self._ends_at = longer, began + self._ttl_s
                return True
        # Too late to be renewed, for another may have seen it run out: it is taken anew, which only one of us can.
        return self._enter(number + 1) or self._gave_way(newest(self._home)[1])

    def _gave_way(self, latest: Holder | None) -> bool:
        self._held = None
        self._successor = latest.owner if latest is not None else "another run"
        self._done.set()
        return False

    def _keep(self) -> None:
        """Renew it from now on, beside what the process does."""
        self._done.set()
        self._done = Event()
        self._watcher = Thread(target=self._watch, args=(self._done,), name="segexport-lease", daemon=True)
        self._watcher.start()

    def _watch(self, done: Event) -> None:
        while not done.wait(self._ttl_s / LOOKS):
            self.heartbeat()

    def _end(self, until: float, words: str, airflow: str = "") -> None:
        self._done.set()
        if self._watcher is not None:
            self._watcher.join(WATCHER_S)
        with self._lock:
            held, self._held = self._held, None
            try:
                number, latest = newest(self._home)
                if held is not None and number == self.number and latest is not None and latest.token == self.mark:
                    left = replace(held, until=until, reason=words, airflow=airflow, unclean=self.unclean)
                    write(self._file(number), left.content())
                elif self.number:
                    files.confirm_stop(self._home, self.mark, self._clock())
                    self.number = 0
            except OSError as error:
                why = type(error).__name__
                log.warning("The lease in %s could not be given back (%s): it runs out.", self._home, why)

    def _file(self, number: int) -> StoragePath:
        return self._home / f"{number:08d}.json"

"""A lease of an audience: one writer at a time, over all DAGs and machines.

    <ledger>/lease/<number>.json     the holder, and until when it holds

To acquire the lease, a process writes a file under the next number. Only one process can: it uses a hard link on a disk
and a conditional put in object storage. The highest number holds the lease and is the fencing token. It never restarts,
because a released lease's file stays until the next one exists. `check` reads the store, so a process that was
suspended, or presumed dead, finds the higher number before it sends its next call.

A renewal counts only if it was written before the lease expired by the holder's wall clock and its monotonic clock.
Other processes allow for a clock that differs by `Times.skew_s`. Safety does not depend on clocks.
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
from airflow_provider_segexport.storage.exclusive import create_and_list
from airflow_provider_segexport.storage.lease_files import TIMES, Holder, Times, highest, newest
from airflow_provider_segexport.storage.paths import StoragePath, ensure_folder, listing, write

log = logging.getLogger(__name__)

WATCHER_JOIN_S = 5.0  # maximum wait of an ending run for a check that hangs
MAX_ATTEMPTS = 20  # attempts to acquire a lease that other processes acquire again and again


class Lease:
    """The lease of one audience, for one owner. Threads may share it.

    Args:
        path: the audience's ledger.
        owner: the task instance. It may acquire its own lease again: in a retry, after a deferral, on another worker.
        clock: returns epoch seconds.
        sleep: waits for seconds.
        is_task_running: returns whether another holder still runs; None if unknown: the lease must then expire first.
        is_holder_gone: takes a holder and its Airflow's id; returns whether this Airflow has deleted the task instance.
        times: the lease's lifetime.
        monotonic: returns monotonic seconds.

    Attributes:
        number: the fencing token of the newest acquisition; 0 without one.
        writer_token: identifies this process.
        unclean: the last holder neither released the lease nor deferred, so it may have calls in flight.
    """

    def __init__(  # noqa: PLR0913 - keyword-only dependencies
        self,
        path: StoragePath,
        owner: str,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        is_task_running: Callable[[str], bool | None] = lambda _: None,
        is_holder_gone: Callable[[str, str], bool] = lambda *_: False,
        times: Times = TIMES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home, self._owner = path / "lease", owner
        self._clock, self._sleep, self._monotonic = clock, sleep, monotonic
        self._is_task_running, self._is_holder_gone = is_task_running, is_holder_gone
        self._ttl_s, self._skew_s = times.ttl_s, times.skew_s
        self._lock, self._done = RLock(), Event()
        self._watcher: Thread | None = None
        self._held: Holder | None = None
        self._ends_at = self._looked_at = 0.0  # monotonic
        self._successor, self._is_exclusive = "", False
        self.writer_token = secrets.token_hex(8)
        self.number, self.unclean = 0, False

    def acquire(self) -> None:
        """Acquire the lease and renew it in the background until `hold_until` or `release`.

        Raises:
            AudienceLocked: another owner holds it.
        """
        with self._lock:
            ensure_folder(self._home)
            for _ in range(MAX_ATTEMPTS):
                number, latest = self._read_newest()
                if latest is not None and latest.owner != self._owner:
                    self._raise_if_held(number, latest)
                if not self._is_ours(latest):
                    self.unclean = bool(number) and not (latest is not None and latest.is_idle)
                if self._write_number(number + 1):
                    self._start_watcher()
                    return
            raise AudienceLocked(
                "The lease of this audience keeps changing its holder.", holder="", retry_after_s=self._ttl_s
            )

    def check(self) -> None:
        """Check with one listing of the store that the lease is still held. Called right before each call is sent.

        If the store cannot be read, the call waits until it can, or until the lease has expired.

        Raises:
            Superseded: another process took it over, because this one was suspended too long or presumed dead.
            RetryableError: the store could not be read in time.
        """
        waited_s = 0.0
        while self._held is not None:
            try:
                if self._still_held():
                    return
                break
            except OSError as error:
                if self._left_s() <= 0 or waited_s >= self._ttl_s:
                    raise files.unreadable_error(self._home, error) from None
                if not waited_s:
                    log.warning("Waiting for the lease's store (path=%s, error=%s)", self._home, type(error).__name__)
                self._sleep(files.RETRY_S)
                waited_s += files.RETRY_S
        raise Superseded(files.superseded_message(self._successor, self._owner))

    def renew(self) -> None:
        """Check that the lease is still held, and extend it.

        Raises:
            Superseded, RetryableError: as `check`.
        """
        with self._lock:
            try:
                if self._held is None or not self._renewed(self._held):
                    raise Superseded(files.superseded_message(self._successor, self._owner))
            except OSError as error:  # the store cannot be reached; the lease has not expired yet
                if self._left_s() <= 0:
                    raise files.unreadable_error(self._home, error) from None
                cause = type(error).__name__
                log.warning("Renewing a lease failed and is tried again (path=%s error=%s)", self._home, cause)

    def wait_for_stop(self, writer_token: str, timeout_s: float) -> bool:
        """Wait until a superseded process has confirmed that it has stopped, and return whether it has."""
        waited_s = 0.0
        while not files.has_stopped(self._home, writer_token):
            if waited_s >= timeout_s:
                return False
            waited_s += files.RETRY_S
            self._sleep(files.RETRY_S)
        return True

    def hold_until(self, until: float, reason: str, airflow: str = "") -> None:
        """Hold the lease without renewing it, for a run that defers.

        Args:
            until: epoch seconds before which the run resumes.
            reason: what the run waits for.
            airflow: id of the Airflow that resumes it.
        """
        self._end(until, reason, airflow)

    def release(self) -> None:
        """Release the lease; or, if another process took it over, confirm that this one has stopped."""
        self._end(0.0, "")

    def heartbeat(self) -> None:
        """Renew the lease if a third of its lifetime has passed; else check that no other process took it over."""
        with self._lock, suppress(RetryableError, OSError):
            held = self._held
            if held is None:
                return
            if self._left_s() <= self._ttl_s * (1 - 1 / files.RENEWALS_PER_TTL):
                self.renew()
            elif highest(self._home) != self.number:
                self._set_superseded(newest(self._home)[1])

    def _raise_if_held(self, number: int, latest: Holder) -> None:
        """Raise AudienceLocked if another owner holds the lease."""
        left_s = latest.until + self._skew_s - self._clock()
        if left_s <= 0:
            return
        is_running = self._is_task_running(latest.owner)
        if is_running is False or self._is_holder_gone(latest.owner, latest.airflow):
            log.warning("Taking over the lease of a task that has ended (owner=%s)", latest.owner)
            return
        if left_s > files.MAX_LEASE_AHEAD_S:
            left_s = self._ttl_s + self._skew_s
            if not is_running and self._is_abandoned(number, latest, left_s):
                return
        raise latest.locked_error(left_s)

    def _is_abandoned(self, number: int, latest: Holder, seconds: float) -> bool:
        """Wait, and return whether a lease that ends impossibly late (wrong clock, damaged file) is not renewed."""
        message = (
            "Waiting to see if a lease with an impossible end is renewed (path=%s, owner=%s, until=%s, seconds=%.0f)"
        )
        log.warning(message, self._home, latest.owner, files.format_time(latest.until), seconds)
        self._sleep(seconds)
        return self._look() == (number, latest)

    def _look(self) -> tuple[int, Holder | None]:
        """Return the newest number and holder."""
        self._looked_at = self._monotonic()
        return newest(self._home)

    def _read_newest(self) -> tuple[int, Holder | None]:
        """Return the newest number and holder. If the file cannot be read, wait once: it may be half written."""
        number, latest = self._look()
        if number and latest is None:
            self._sleep(files.WRITE_VISIBILITY_S)
            reread, latest = self._look()
            if reread == number and latest is None:
                log.warning("Ignoring a lease that cannot be read (path=%s, number=%d)", self._home, number)
            number = reread
        return number, latest

    def _write_number(self, number: int) -> bool:
        """Write the file of this number, if it does not exist, and return whether this process now holds the lease."""
        now, began = self._clock(), self._monotonic()
        mine = Holder(self._owner, now + self._ttl_s, now, token=self.writer_token)
        created = create_and_list(self._file(number), mine.content())
        names, self._is_exclusive = created.names, created.is_exclusive
        if not created.is_certain:
            if self._monotonic() - self._looked_at > files.WRITE_VISIBILITY_S:
                self.unclean = True  # another writer may have acquired the number in the meantime, and may send
                return False
            self._sleep(files.WRITE_VISIBILITY_S)
            names = listing(self._home)
        if files.highest_of(names) != number or not self._has_written(number):
            return False
        self._held, self.number, self._successor = mine, number, ""
        self._ends_at = began + self._ttl_s
        files.remove_old_files(self._home, names, number, now)
        return True

    def _left_s(self) -> float:
        """Return the seconds until the lease expires, by the clock on which it expires first."""
        held = self._held  # read once, because another thread may find out that the lease is lost
        return min(held.until - self._clock(), self._ends_at - self._monotonic()) if held is not None else 0.0

    def _still_held(self) -> bool:
        """Return whether the store has no higher number. Renews the lease if half of its lifetime has passed."""
        if self._left_s() > self._ttl_s / 2 and highest(self._home) == self.number:
            return True
        with self._lock:
            return self._held is not None and self._renewed(self._held)

    def _renewed(self, held: Holder) -> bool:
        """Renew the lease, and return whether this process holds it."""
        number, latest = self._look()
        if number != self.number or (latest is not None and latest.token != self.writer_token):
            return self._set_superseded(latest)
        now, began = self._clock(), self._monotonic()
        if self._left_s() > 0:
            extended = replace(held, until=now + self._ttl_s)
            write(self._file(number), extended.content())
            if self._left_s() > 0:
                self._held, self._ends_at = extended, began + self._ttl_s
                return True
        # It has expired, and another process may have seen that.
        return self._write_number(number + 1) or self._set_superseded(newest(self._home)[1])

    def _set_superseded(self, latest: Holder | None) -> bool:
        self._held, self._successor = None, latest.owner if latest is not None else "another run"
        self._done.set()
        return False

    def _start_watcher(self) -> None:
        """Renew the lease in a background thread."""
        self._done.set()
        self._done = Event()
        self._watcher = Thread(target=self._watch, args=(self._done,), name="segexport-lease", daemon=True)
        self._watcher.start()

    def _watch(self, done: Event) -> None:
        while not done.wait(self._ttl_s / files.CHECKS_PER_TTL):
            self.heartbeat()

    def _end(self, until: float, reason: str, airflow: str = "") -> None:
        self._done.set()
        if self._watcher is not None:
            self._watcher.join(WATCHER_JOIN_S)
        with self._lock:
            held, self._held = self._held, None
            try:
                if held is not None and highest(self._home) == self.number and self._has_written(self.number):
                    ended = replace(held, until=until, reason=reason, airflow=airflow, unclean=self.unclean)
                    write(self._file(self.number), ended.content())
                elif self.number:
                    files.confirm_stop(self._home, self.writer_token, self._clock())
                    self.number = 0
            except OSError as error:
                log.warning("Releasing a lease failed (path=%s error=%s)", self._home, type(error).__name__)

    def _is_ours(self, latest: Holder | None) -> bool:
        return latest is not None and latest.token == self.writer_token

    def _has_written(self, number: int) -> bool:
        return self._is_exclusive or self._is_ours(files.holder_of(self._home, number))

    def _file(self, number: int) -> StoragePath:
        return self._home / f"{number:08d}.json"

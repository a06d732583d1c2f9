"""One writer an audience, over DAGs and machines: `owner -> held, or who holds it`.

    <ledger>/lease/<number>.json     who holds it, until when

Each taking writes a file under the next number, which only one writer can: a hard link on a disk, a conditional put in
object storage. The highest number holds. So a process that slept past its time finds a higher one, and stops; and the
numbers never start over, as the file of a lease that was given back stays until the next one is there.

No clock is asked but the holder's own: a renewal counts only when it was written before the time ran out, and others
allow for a clock that is `SKEW_S` apart.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from threading import Event, RLock, Thread

from airflow_provider_segexport.errors import AudienceBusy, TryAgain
from airflow_provider_segexport.ports.places import Place, create, folder, names, read, write

log = logging.getLogger(__name__)

TTL_S = 120.0
SKEW_S = 10.0
"""So far apart the clocks of two workers may be."""

RENEWALS, LOOKS = 3, 12
"""A lease is renewed after a third of its time, and looked at twelve times in it: who was superseded knows soon."""

SETTLE_S = 1.0
"""Longer than two writes that overlap may take to become visible, where a store has no conditional put."""

WATCHER_S = 5.0  # so long the end of a run waits for a look at a store that does not answer
MOST_TRIES = 20


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds an audience.

    Attributes:
        owner: `dag/task/run/map index`.
        until: epoch seconds after which it is anybody's.
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


def holder(place: Place, now: float) -> Holder | None:
    """Who holds the audience whose ledger is at `place`, for people to look at."""
    _, found = newest(place / "lease")
    return found if found is not None and found.until > now else None


def newest(home: Place) -> tuple[int, Holder | None]:
    """The highest number and what is written there; a file that cannot be read is nobody's."""
    number = max((int(name[:-5]) for name in names(home) if name[:-5].isdecimal()), default=0)
    if not number:
        return 0, None
    try:
        return number, Holder(**json.loads(read(home / f"{number:08d}.json")))
    except (FileNotFoundError, ValueError, TypeError):  # given way to a higher number just now, or half written
        return number, None


class Lease:
    """The lease of one audience, for one owner; safe to use from several threads.

    Args:
        place: the audience's ledger.
        owner: who takes it; the same one may always take it again: a retry, a return from deferral, another worker.
        alive: whether another holder still runs; None where nobody knows, and its time is waited for.
        gone: whether the Airflow of that mark is this one and has no such task instance any more: its run was deleted.
        ttl_s: so long a holder that says nothing more keeps it.
    """

    def __init__(  # noqa: PLR0913 - each is one thing the world gives
        self,
        place: Place,
        owner: str,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        alive: Callable[[str], bool | None] = lambda _: None,
        gone: Callable[[str, str], bool] = lambda *_: False,
        ttl_s: float = TTL_S,
    ) -> None:
        self._home, self._owner = place / "lease", owner
        self._clock, self._sleep = clock, sleep
        self._alive, self._gone = alive, gone
        self._ttl_s = ttl_s
        self._mark = secrets.token_hex(8)
        self._lock, self._done = RLock(), Event()
        self._watcher: Thread | None = None
        self._held: Holder | None = None
        self._successor = ""
        self.number = 0  # rises with every taking

    def take(self) -> None:
        """Take it, and keep it until `leave` or `release`.

        Raises:
            AudienceBusy: somebody else holds it.
        """
        with self._lock:
            folder(self._home)
            for _ in range(MOST_TRIES):
                number, found = self._look()
                if found is not None and found.owner != self._owner:
                    self._refuse(found)
                if self._enter(number + 1):
                    self._tidy()
                    self._keep()
                    return
            raise AudienceBusy(
                "This audience changes hands all the time; another try may find it free.", holder="", after=self._ttl_s
            )

    def check(self) -> None:
        """Pass while the lease is held; asked before each call.

        Raises:
            TryAgain: it was taken over, because this process slept too long or was taken for dead.
        """
        held = self._held
        if held is not None and self._clock() < held.until - self._ttl_s / 2:
            return
        self.renew()

    def renew(self) -> None:
        """Look whether it is still held, and put off its end.

        Raises:
            TryAgain: as `check`.
        """
        with self._lock:
            held = self._held
            if held is None:
                raise TryAgain(self._lost())
            try:
                if not self._renewed(held):
                    raise TryAgain(self._lost())
            except OSError as error:  # the store cannot be reached: there is time until the lease runs out
                if self._clock() >= held.until:
                    raise TryAgain(
                        f"The lease of this audience in {self._home} can be neither renewed nor read "
                        f"({type(error).__name__}): another try takes it again."
                    ) from None
                log.warning("The lease in %s cannot be renewed just now (%s).", self._home, type(error).__name__)

    def leave(self, until: float, words: str, airflow: str = "") -> None:
        """Keep it without renewing it, for a run that gives its place back: it comes again before then."""
        self._end(until, words, airflow)

    def release(self) -> None:
        """Give it back."""
        self._end(0.0, "")

    def _refuse(self, found: Holder) -> None:
        """Raise while somebody else holds it."""
        left = found.until + SKEW_S - self._clock()
        if left <= 0:
            return
        if self._alive(found.owner) is False or self._gone(found.owner, found.airflow):
            log.warning("%s has ended without giving its lease back; it is taken over.", found.owner)
            return
        at = datetime.fromtimestamp(found.until, UTC)
        words = f" ({found.words})" if found.words else ""
        raise AudienceBusy(
            f"This audience is being written by {found.owner}{words}, which holds it until {at:%Y-%m-%d %H:%M:%S} UTC, "
            "or longer while it runs. This run goes on when that one is done.",
            holder=found.owner,
            after=left,
        )

    def _look(self) -> tuple[int, Holder | None]:
        """The newest lease; one that cannot be read is given the time to be written."""
        number, found = newest(self._home)
        if number and found is None:
            self._sleep(SETTLE_S)
            again, found = newest(self._home)
            if again == number and found is None:
                log.warning("The lease %08d in %s cannot be read: it counts as nobody's.", number, self._home)
            number = again
        return number, found

    def _enter(self, number: int) -> bool:
        """Write the lease of this number, if nobody has, and look whether it is the one that counts."""
        now = self._clock()
        mine = Holder(self._owner, now + self._ttl_s, now, mark=self._mark)
        sure = True
        with suppress(FileExistsError):  # it may be ours all the same: a put whose answer was lost is put twice
            sure = create(self._file(number), _content(mine))
        if not sure:
            self._sleep(SETTLE_S)
        at, found = newest(self._home)
        if at != number or found is None or found.mark != self._mark:
            return False
        self._held, self.number, self._successor = mine, number, ""
        return True

    def _renewed(self, held: Holder) -> bool:
        """Whether it is still ours, and for how long now."""
        number, found = newest(self._home)
        if number != self.number or (found is not None and found.mark != self._mark):
            return self._gave_way(found)
        now = self._clock()
        if now < held.until:
            longer = replace(held, until=now + self._ttl_s)
            write(self._file(number), _content(longer))
            if self._clock() < held.until:
                self._held = longer
                return True
        # Too late to be renewed, for another may have seen it run out: it is taken anew, which only one of us can.
        return self._enter(number + 1) or self._gave_way(newest(self._home)[1])

    def _gave_way(self, found: Holder | None) -> bool:
        self._held = None
        self._successor = found.owner if found is not None else "another run"
        self._done.set()
        return False

    def _lost(self) -> str:
        if not self._successor:
            return "The lease of this audience is not held."
        who = "another try of this task" if self._successor == self._owner else self._successor
        return (
            f"The lease of this audience was taken over by {who}, because this process slept too long or was taken for "
            "dead: it sends nothing more. What it has sent is on record, and another try reads it."
        )

    def _keep(self) -> None:
        """Renew it from now on, beside what the process does."""
        self._done.set()
        self._done = Event()
        self._watcher = Thread(target=self._watch, args=(self._done,), name="segexport-lease", daemon=True)
        self._watcher.start()

    def _watch(self, done: Event) -> None:
        while not done.wait(self._ttl_s / LOOKS):
            self.beat()

    def beat(self) -> None:
        """Renew it when a part of its time has passed, and look before that whether it was taken over."""
        with self._lock, suppress(TryAgain, OSError):
            held = self._held
            if held is None:
                return
            if self._clock() >= held.until - self._ttl_s * (1 - 1 / RENEWALS):
                self.renew()
                return
            number, found = newest(self._home)
            if number != self.number:
                self._gave_way(found)

    def _end(self, until: float, words: str, airflow: str = "") -> None:
        self._done.set()
        if self._watcher is not None:
            self._watcher.join(WATCHER_S)
        with self._lock:
            held, self._held = self._held, None
            if held is None:
                return
            try:
                number, found = newest(self._home)
                if number == self.number and found is not None and found.mark == self._mark:
                    left = replace(held, until=until, words=words, airflow=airflow)
                    write(self._file(number), _content(left))
            except OSError as error:
                why = type(error).__name__
                log.warning("The lease in %s could not be given back (%s): it runs out.", self._home, why)

    def _tidy(self) -> None:
        """Older numbers say nothing any more. One that a sleeper writes again counts no more than before."""
        for name in names(self._home):
            if name[:-5].isdecimal() and int(name[:-5]) < self.number:
                with suppress(OSError):
                    (self._home / name).unlink(missing_ok=True)

    def _file(self, number: int) -> Place:
        return self._home / f"{number:08d}.json"


def _content(held: Holder) -> bytes:
    return json.dumps({name: value for name, value in asdict(held).items() if value or name != "airflow"}).encode()

"""The simulator without its server: vendors, faults and the request log behind one lock."""

from __future__ import annotations

from itertools import islice
from threading import RLock
from typing import TYPE_CHECKING

from .clock import Clock, RunningClock, iso
from .faults import FaultScript
from .registry import VENDORS
from .requestlog import BODY_BYTES, RequestLog
from .settings import ControlError
from .vendor import Context, Json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .faults import Fault
    from .requestlog import Entry
    from .vendor import Vendor
    from .wire import Call, Reply


class Simulation:
    """Holds the accounts; every method may be called from any thread."""

    def __init__(
        self,
        *,
        seed: int = 0,
        latency: float = 0.0,
        clock: Clock | None = None,
        settings: Mapping[str, Mapping[str, object]] | None = None,
        log_body_bytes: int = BODY_BYTES,
    ) -> None:
        self.context = Context(clock or RunningClock(), seed)
        self.latency = latency
        self._settings = settings or {}
        self._log_body_bytes = log_body_bytes
        self._lock = RLock()
        self.reset()

    @property
    def clock(self) -> Clock:
        """The clock that all vendors read."""
        return self.context.clock

    def reset(
        self,
        settings: Mapping[str, Mapping[str, object]] | None = None,
        *,
        seed: int | None = None,
        latency: float | None = None,
        log_body_bytes: int | None = None,
    ) -> None:
        """Go back to the start, with `settings` per vendor over those of the start."""
        wanted = settings or {}
        self._check_names([*wanted, *self._settings])
        with self._lock:
            self.context.seed = self.context.seed if seed is None else seed
            self.latency = self.latency if latency is None else latency
            self._vendors: dict[str, Vendor] = {
                name: kind(self.context, {**self._settings.get(name, {}), **wanted.get(name, {})})
                for name, kind in VENDORS.items()
            }
            self._faults = FaultScript()
            body_bytes = self._log_body_bytes if log_body_bytes is None else log_body_bytes
            self._log = RequestLog(body_bytes)

    def configure(self, settings: Mapping[str, Mapping[str, object]]) -> None:
        """Change settings per vendor while the accounts keep what they hold."""
        self._check_names(settings)
        with self._lock:
            for name, changes in settings.items():
                self._vendors[name].configure(changes)

    def faults(self, lines: Iterable[Mapping[str, object]]) -> None:
        """Append to the fault script."""
        with self._lock:
            self._faults.add(lines)

    def clear_faults(self) -> None:
        """Forget the fault script."""
        with self._lock:
            self._faults.clear()

    def fault_script(self) -> list[Json]:
        """Show the fault script and how many requests each line has fitted."""
        with self._lock:
            return self._faults.as_json()

    def requests(self, after: int = 0, vendor: str | None = None) -> list[Json]:
        """Return what arrived, oldest first."""
        with self._lock:
            return [entry.as_json() for entry in self._log.since(after, vendor)]

    def members(
        self,
        vendor: str,
        audience: str,
        *,
        summary: bool = False,
        offset: int = 0,
        limit: int | None = None,
    ) -> Json:
        """Return an audience: counts by status and, unless `summary`, its people."""
        with self._lock:
            held = self._vendor(vendor).audience(audience)
            shown: Json = {
                "id": held.id,
                "name": held.name,
                "counts": held.counts,
                "mails": held.mails,
            }
            if not summary:
                end = None if limit is None else offset + limit
                shown["members"] = list(islice(held.people(), offset, end))
            return shown

    def seed(self, vendor: str, people: Sequence[Json], audience: str | None = None) -> int:
        """Put people into an account; returns how many."""
        with self._lock:
            return self._vendor(vendor).people(people, audience)

    def act(self, vendor: str, action: str, details: Json | None = None) -> object:
        """Do one of a vendor's own control actions."""
        with self._lock:
            return self._vendor(vendor).act(action, details or {})

    def describe(self) -> Json:
        """Return per vendor what a connection form asks for, and what the account holds."""
        with self._lock:
            vendors = {name: vendor.describe() for name, vendor in self._vendors.items()}
            now = self.clock.now()
            return {"seed": self.context.seed, "time": now, "date": iso(now), "vendors": vendors}

    def arrive(self, call: Call) -> tuple[Entry, Fault | None, bool]:
        """Log a request and ask the fault script about it (`FaultScript.strike`)."""
        with self._lock:
            entry = self._log.add(call)
            fault, is_refused = self._faults.strike(call)
            entry.fault = fault is not None
            return entry, fault, is_refused

    def answer(self, call: Call) -> Reply:
        """Let the vendor's rules answer."""
        with self._lock:
            call.now = self.clock.now()
            vendor = self._vendors[call.vendor]
            vendor.settle()
            return vendor.answer(call)

    def knows(self, entry: Entry) -> bool:
        """Whether a request arrived since the last reset."""
        with self._lock:
            return entry in self._log

    def refuse(self, call: Call) -> Reply:
        """Let the vendor refuse the whole request."""
        with self._lock:
            return self._vendors[call.vendor].refuse(call)

    def has(self, vendor: str) -> bool:
        """Whether there is such a vendor."""
        return vendor in self._vendors

    def _vendor(self, name: str) -> Vendor:
        self._check_names([name])
        vendor = self._vendors[name]
        vendor.settle()
        return vendor

    @staticmethod
    def _check_names(names: Iterable[str]) -> None:
        for name in names:
            if name not in VENDORS:
                raise ControlError(f"no vendor {name!r}; there are: {', '.join(VENDORS)}")

"""The simulator without its HTTP server: vendors, fault script and request log, guarded by one lock."""

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
    """The simulated accounts and the control API's methods; all are thread-safe.

    Args:
        seed: decides ids and keys.
        latency: seconds before each response.
        clock: the time; None for real time.
        settings: settings by vendor.
        log_body_bytes: bytes of a body that the request log keeps.
    """

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
        """The clock that all vendors use."""
        return self.context.clock

    def reset(
        self,
        settings: Mapping[str, Mapping[str, object]] | None = None,
        *,
        seed: int | None = None,
        latency: float | None = None,
        log_body_bytes: int | None = None,
    ) -> None:
        """Return all accounts to their initial state, and clear the fault script and the request log.

        Args:
            settings: settings by vendor, on top of those given at the start; valid until the next reset.
            seed: seed of keys and ids; None keeps the present one.
            latency: delay of each response in real seconds; None keeps the present one.
            log_body_bytes: total size of logged bodies; None for the value given at the start.

        Raises:
            ControlError: for an unknown vendor, an unknown setting or an invalid value.
        """
        overrides = settings or {}
        self._check_names([*overrides, *self._settings])
        with self._lock:
            self.context.seed = self.context.seed if seed is None else seed
            self.latency = self.latency if latency is None else latency
            self._vendors: dict[str, Vendor] = {
                name: create(self.context, {**self._settings.get(name, {}), **overrides.get(name, {})})
                for name, create in VENDORS.items()
            }
            self._faults = FaultScript()
            body_bytes = self._log_body_bytes if log_body_bytes is None else log_body_bytes
            self._log = RequestLog(body_bytes)

    def configure(self, settings: Mapping[str, Mapping[str, object]]) -> None:
        """Change settings by vendor; contacts and jobs are kept, rate limit windows restart."""
        self._check_names(settings)
        with self._lock:
            for name, changes in settings.items():
                self._vendors[name].configure(changes)

    def faults(self, lines: Iterable[Mapping[str, object]]) -> None:
        """Append lines to the fault script."""
        with self._lock:
            self._faults.add(lines)

    def clear_faults(self) -> None:
        """Remove all lines from the fault script."""
        with self._lock:
            self._faults.clear()

    def fault_script(self) -> list[Json]:
        """Return the fault script; `fitted` is the number of requests that matched a line."""
        with self._lock:
            return self._faults.as_json()

    def requests(self, after: int = 0, vendor: str | None = None) -> list[Json]:
        """Return the requests with a number above `after`, oldest first; None selects all vendors."""
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
        """Return an audience or a view: `id`, `name`, `counts` by status, `mails` by kind, and `members`.

        Args:
            vendor: name of the vendor.
            audience: id of the audience, or name of a view.
            summary: leave out `members`.
            offset: number of members to skip.
            limit: maximum number of members; None for all.
        """
        with self._lock:
            view = self._vendor(vendor).audience(audience)
            shown: Json = {
                "id": view.id,
                "name": view.name,
                "counts": view.counts,
                "mails": view.mails,
            }
            if not summary:
                end = None if limit is None else offset + limit
                shown["members"] = list(islice(view.people(), offset, end))
            return shown

    def seed(self, vendor: str, people: Sequence[Json], audience: str | None = None) -> int:
        """Add people to an account, and return their number.

        Args:
            vendor: name of the vendor.
            people: each with `email`, and optionally `status` and `fields`.
            audience: id of the audience; None adds them to the account only.
        """
        with self._lock:
            return self._vendor(vendor).people(people, audience)

    def act(self, vendor: str, action: str, details: Json | None = None) -> object:
        """Run a control action that only this vendor has, and return its result.

        Args:
            vendor: name of the vendor.
            action: name of the action.
            details: arguments of the action; None for none.
        """
        with self._lock:
            return self._vendor(vendor).act(action, details or {})

    def describe(self) -> Json:
        """Return, for each vendor, base URL, credentials, audiences, custom fields and settings."""
        with self._lock:
            vendors = {name: vendor.describe() for name, vendor in self._vendors.items()}
            now = self.clock.now()
            return {"seed": self.context.seed, "time": now, "date": iso(now), "vendors": vendors}

    def arrive(self, call: Call) -> tuple[Entry, Fault | None, bool]:
        """Log a request, and return its entry with the result of `FaultScript.select`."""
        with self._lock:
            entry = self._log.add(call)
            fault, is_refused = self._faults.select(call)
            entry.fault = fault is not None
            return entry, fault, is_refused

    def answer(self, call: Call) -> Reply:
        """Return the vendor's reply to a request."""
        with self._lock:
            call.now = self.clock.now()
            vendor = self._vendors[call.vendor]
            vendor.settle()
            return vendor.answer(call)

    def is_current(self, entry: Entry) -> bool:
        """Whether a request arrived since the last reset."""
        with self._lock:
            return entry in self._log

    def refuse(self, call: Call) -> Reply:
        """Return the reply with which the vendor rejects an entire request."""
        with self._lock:
            return self._vendors[call.vendor].refuse(call)

    def has(self, vendor: str) -> bool:
        """Whether a vendor of this name exists."""
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

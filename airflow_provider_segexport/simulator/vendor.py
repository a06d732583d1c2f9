"""The seam: what the simulator asks of a vendor. One subclass and one row in `registry` each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .routes import Route, RouteTable
from .settings import ControlError
from .wire import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from .clock import Clock
    from .wire import Call, Reply

Json = dict[str, object]


@dataclass(slots=True)
class Context:
    """Values that all vendors of one simulator share; `address` is set when the server listens."""

    clock: Clock
    seed: int = 0
    address: str = ""


@dataclass(frozen=True, slots=True)
class Audience:
    """A list, address book or tag, as the control API shows it."""

    id: str
    name: str
    counts: dict[str, int]
    mails: dict[str, int]
    people: Callable[[], Iterator[Json]]


class Vendor(ABC):
    """One account at one vendor: its state, its rules and its HTTP."""

    name: ClassVar[str]  # the connection type, and the prefix of all its paths

    def __init__(self, context: Context) -> None:
        self.context = context
        self.table = RouteTable(self.routes())

    @property
    def base_url(self) -> str:
        """The URL prefix that replaces the vendor's own scheme and host."""
        return f"{self.context.address}/{self.name}"

    def answer(self, call: Call) -> Reply:
        """Find the route, let `admit` check the call, and run the rules."""
        match = self.table.find(call.method, call.path)
        if match is None:
            call.note("no such path; nearest:")
            call.notes += self.table.near_misses(call.method, call.path)
            return self.not_found(call)
        route, call.params = match
        headers: dict[str, str] = {}
        try:
            self.admit(call, route, headers)
            reply = route.handler(call)
        except RefusedError as refused:
            reply = refused.reply
        reply.headers = reply.headers | headers
        return reply

    def act(self, action: str, details: Json) -> object:
        """Do one of the vendor's own control actions."""
        actions = self.actions()
        if action not in actions:
            raise ControlError(f"{self.name} has no action {action!r}; there are: {', '.join(sorted(actions))}")
        return actions[action](details)

    def settle(self) -> None:  # noqa: B027 - a vendor without jobs has nothing to settle
        """Do the work that has come due."""

    @abstractmethod
    def configure(self, settings: Mapping[str, object]) -> None:
        """Change settings by name; what the account holds stays."""

    @abstractmethod
    def routes(self) -> Sequence[Route]:
        """List the paths below the vendor's prefix."""

    @abstractmethod
    def admit(self, call: Call, route: Route, headers: dict[str, str]) -> None:
        """Refuse wrong credentials and exceeded quotas; fill in headers for whatever reply."""

    @abstractmethod
    def not_found(self, call: Call) -> Reply:
        """Answer a path that the vendor does not have."""

    @abstractmethod
    def refuse(self, call: Call) -> Reply:
        """Answer a request that the vendor refuses whole, as for one malformed row."""

    @abstractmethod
    def describe(self) -> Json:
        """Tell a stranger what to fill into a connection form."""

    @abstractmethod
    def audience(self, audience_id: str) -> Audience:
        """Return one audience; `ControlError` when there is none."""

    @abstractmethod
    def people(self, people: Sequence[Json], audience_id: str | None) -> int:
        """Seed people, each with `email` and optionally `status` and `fields`."""

    @abstractmethod
    def actions(self) -> dict[str, Callable[[Json], object]]:
        """List the vendor's own control actions by name."""

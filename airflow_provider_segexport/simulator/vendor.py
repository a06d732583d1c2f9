"""Base class of the simulated vendors. Each vendor is one subclass and one row in `registry`."""

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
    """Values that all vendors of a simulator share; `address` is the server's URL, set when it listens."""

    clock: Clock
    seed: int = 0
    address: str = ""


@dataclass(frozen=True, slots=True)
class Audience:
    """An audience or a view, as the control API shows it: a list, address book or tag.

    `counts` has the members by status, `mails` the mails that the vendor would have sent, by kind.
    """

    id: str
    name: str
    counts: dict[str, int]
    mails: dict[str, int]
    people: Callable[[], Iterator[Json]]


class Vendor(ABC):
    """A simulated vendor: the state and rules of an account, and its HTTP API."""

    name: ClassVar[str]  # the connection type, and the first segment of all paths

    def __init__(self, context: Context) -> None:
        self.context = context
        self.table = RouteTable(self.routes())

    @property
    def base_url(self) -> str:
        """The URL that replaces the scheme and host of the real vendor."""
        return f"{self.context.address}/{self.name}"

    def answer(self, call: Call) -> Reply:
        """Find the route, check the call with `admit`, and return the handler's reply."""
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
        """Run a control action of this vendor; raise `ControlError` if there is none of this name."""
        actions = self.actions()
        if action not in actions:
            raise ControlError(f"{self.name} has no action {action!r}; there are: {', '.join(sorted(actions))}")
        return actions[action](details)

    def settle(self) -> None:  # noqa: B027 - a vendor without jobs has nothing to settle
        """Finish the jobs that are due."""

    @abstractmethod
    def configure(self, settings: Mapping[str, object]) -> None:
        """Change settings by name; the contents of the account stay."""

    @abstractmethod
    def routes(self) -> Sequence[Route]:
        """Return the routes below the vendor's prefix."""

    @abstractmethod
    def admit(self, call: Call, route: Route, headers: dict[str, str]) -> None:
        """Check credentials and rate limits before the handler runs.

        Args:
            call: the request.
            route: the matching route.
            headers: receives headers that are added to the reply, also to a rejection.

        Raises:
            RefusedError: if the call is rejected.
        """

    @abstractmethod
    def not_found(self, call: Call) -> Reply:
        """Return the reply for a path that does not exist."""

    @abstractmethod
    def refuse(self, call: Call) -> Reply:
        """Return the reply that rejects an entire request, as for one malformed row."""

    @abstractmethod
    def describe(self) -> Json:
        """Return base URL, credentials, audiences, custom fields and settings."""

    @abstractmethod
    def audience(self, audience_id: str) -> Audience:
        """Return an audience or view; raise `ControlError` if there is none of this id."""

    @abstractmethod
    def people(self, people: Sequence[Json], audience_id: str | None) -> int:
        """Seed people, each with `email` and optionally `status` and `fields`, and return their number."""

    @abstractmethod
    def actions(self) -> dict[str, Callable[[Json], object]]:
        """Return the vendor's own control actions by name."""

"""HTTP routes of the control API below `/_sim`; each calls a method of `Simulation`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.routing import Route

from .clock import iso
from .settings import ControlError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from .simulation import Simulation
    from .vendor import Json

    Answer = Callable[["Call"], object]
    Endpoint = Callable[[Request], Awaitable[Response]]


class Call:
    """A control request with its parsed body."""

    def __init__(self, request: Request, body: object) -> None:
        self.path: dict[str, str] = request.path_params
        self.query = request.query_params
        self._body = body

    def object(self) -> Json:
        """Return the body; raise `ControlError` if it is not an object."""
        if isinstance(self._body, dict):
            return self._body
        raise ControlError("the body is not a JSON object")

    def rows(self, name: str) -> list[Json]:
        """Return the list of objects that the body is, or that it has under `name`."""
        rows = self._body.get(name) if isinstance(self._body, dict) else self._body
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            return rows
        raise ControlError(f"the body is neither a list of objects nor an object with such a list in {name!r}")

    def number(self, name: str, default: int | None) -> int | None:
        """Return a query parameter as a whole number, or `default` if it is absent."""
        text = self.query.get(name)
        if text is None:
            return default
        if not text.isdigit():
            raise ControlError(f"{name} is not a whole number: {text!r}")
        return int(text)


def control_routes(simulation: Simulation) -> list[Route]:
    """Return the routes of the control API."""
    control = Control(simulation)
    table: list[tuple[str, str, Answer]] = [
        ("GET", "", control.describe),
        ("GET", "/", control.describe),
        ("POST", "/reset", control.reset),
        ("POST", "/settings", control.configure),
        ("GET", "/clock", control.clock),
        ("POST", "/clock", control.advance),
        ("GET", "/faults", control.faults),
        ("POST", "/faults", control.add_faults),
        ("DELETE", "/faults", control.clear_faults),
        ("GET", "/requests", control.requests),
        ("GET", "/{vendor}/audiences/{audience:path}", control.members),
        ("POST", "/{vendor}/contacts", control.seed),
        ("POST", "/{vendor}/{action}", control.act),
    ]
    return [Route(f"/_sim{path}", _endpoint(answer), methods=[method]) for method, path, answer in table]


def _endpoint(answer: Answer) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            body = await request.json() if await request.body() else {}
        except ValueError as exc:
            return JSONResponse({"error": f"the body is not JSON: {exc}"}, 400)
        try:
            return JSONResponse(await run_in_threadpool(answer, Call(request, body)))
        except ControlError as exc:
            return JSONResponse({"error": str(exc)}, 400)

    return endpoint


class Control:
    """Handlers of the control API, one for each route; each returns the JSON of the response."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def describe(self, _call: Call) -> object:
        """Handle GET /_sim."""
        return self._simulation.describe()

    def reset(self, call: Call) -> object:
        """Handle POST /_sim/reset."""
        body = dict(call.object())
        settings = _settings(body.pop("vendors", {}))
        seed, latency, body_bytes = (body.pop(key, None) for key in ("seed", "latency", "log_body_bytes"))
        if body:
            unknown = ", ".join(body)
            raise ControlError(f"reset has no option {unknown}; there are: vendors, seed, latency, log_body_bytes")
        self._simulation.reset(
            settings,
            seed=_integer("seed", seed),
            latency=None if latency is None else _seconds("latency", latency) / 1000,
            log_body_bytes=_integer("log_body_bytes", body_bytes),
        )
        return self._simulation.describe()

    def configure(self, call: Call) -> object:
        """Handle POST /_sim/settings."""
        self._simulation.configure(_settings(call.object()))
        return self._simulation.describe()

    def clock(self, _call: Call) -> object:
        """Handle GET /_sim/clock."""
        now = self._simulation.clock.now()
        return {"time": now, "date": iso(now)}

    def advance(self, call: Call) -> object:
        """Handle POST /_sim/clock."""
        self._simulation.clock.advance(_seconds("advance", call.object().get("advance")))
        return self.clock(call)

    def faults(self, _call: Call) -> object:
        """Handle GET /_sim/faults."""
        return {"faults": self._simulation.fault_script()}

    def add_faults(self, call: Call) -> object:
        """Handle POST /_sim/faults."""
        self._simulation.faults(call.rows("faults"))
        return self.faults(call)

    def clear_faults(self, call: Call) -> object:
        """Handle DELETE /_sim/faults."""
        self._simulation.clear_faults()
        return self.faults(call)

    def requests(self, call: Call) -> object:
        """Handle GET /_sim/requests."""
        after = call.number("after", 0) or 0
        return {"requests": self._simulation.requests(after, call.query.get("vendor"))}

    def members(self, call: Call) -> object:
        """Handle GET /_sim/<vendor>/audiences/<id>."""
        return self._simulation.members(
            call.path["vendor"],
            call.path["audience"],
            summary=call.query.get("summary", "0") not in ("0", "false"),
            offset=call.number("offset", 0) or 0,
            limit=call.number("limit", None),
        )

    def seed(self, call: Call) -> object:
        """Handle POST /_sim/<vendor>/contacts."""
        people = call.rows("people")
        audience = call.query.get("audience")
        if audience is None and isinstance(call._body, dict):  # noqa: SLF001 - same module
            given = call.object().get("audience")
            audience = None if given is None else str(given)
        return {"seeded": self._simulation.seed(call.path["vendor"], people, audience)}

    def act(self, call: Call) -> object:
        """Handle POST /_sim/<vendor>/<action>."""
        vendor, action = call.path["vendor"], call.path["action"]
        return {"done": self._simulation.act(vendor, action, call.object())}


def _settings(value: object) -> dict[str, Json]:
    if isinstance(value, dict) and all(isinstance(item, dict) for item in value.values()):
        return value
    raise ControlError("settings are an object of objects: {vendor: {setting: value}}")


def _integer(name: str, value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise ControlError(f"{name} is not a whole number: {value!r}")


def _seconds(name: str, value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value)
    raise ControlError(f"{name} is not a number of 0 or more: {value!r}")

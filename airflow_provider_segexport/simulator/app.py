"""ASGI application: passes HTTP requests to the vendors, and applies latency and scripted faults."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount

from .clock import http_date
from .control import control_routes
from .wire import Call, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from .faults import Fault
    from .requestlog import Entry
    from .simulation import Simulation

    Hangup = Callable[[tuple[str, int]], None]


def build_app(simulation: Simulation, hang_up: Hangup) -> ASGIApp:
    """Build the application of control API and vendors; `hang_up(peer)` aborts the connection of a client."""
    vendors = VendorApp(simulation, hang_up)
    return Starlette(routes=[*control_routes(simulation), Mount("", vendors)])


class VendorApp:
    """ASGI application for all paths outside the control API."""

    def __init__(self, simulation: Simulation, hang_up: Hangup) -> None:
        self._simulation = simulation
        self._hang_up = hang_up
        self._in_flight: dict[str, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request, or abort its connection if a fault requires it."""
        request = Request(scope, receive)
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        vendor, _, path = raw.decode("ascii", "replace").lstrip("/").partition("/")
        if not self._simulation.has(vendor):
            text = f"no vendor at /{vendor}/{path}: GET /_sim lists the vendors"
            await JSONResponse({"error": text}, 404)(scope, receive, send)
            return
        self._in_flight[vendor] = self._in_flight.get(vendor, 0) + 1
        try:
            call = await self._call(request, vendor, "/" + path)
            reply = await self._reply(call)
            if reply is None:
                await self._abort(scope, receive)
            else:
                headers = {"date": http_date(call.now), **reply.headers}
                await Response(reply.body, reply.status, headers)(scope, receive, send)
        except ClientDisconnect:
            return  # the client disconnected before it had sent the complete body
        finally:
            self._in_flight[vendor] -= 1

    async def _call(self, request: Request, vendor: str, path: str) -> Call:
        body = await request.body()
        return Call(
            vendor=vendor,
            method=request.method,
            path=path,
            query=dict(request.query_params),
            headers=dict(request.headers),
            body=body,
            now=self._simulation.clock.now(),
            in_flight=self._in_flight[vendor],
        )

    async def _reply(self, call: Call) -> Reply | None:
        """Return the reply, or None if the connection is to be aborted."""
        entry, fault, is_refused = self._simulation.arrive(call)
        if fault and fault.when == "before":
            await asyncio.sleep(fault.delay)
            if fault.drop or not self._simulation.is_current(entry):  # a reset discards requests that still wait
                return self._record(entry, None)
            if fault.has_reply or fault.garble:
                reply = self._simulation.refuse(call) if fault.refuse else Reply()
                return self._record(entry, fault.alter(reply))
        reply = self._simulation.refuse(call) if is_refused else self._simulation.answer(call)
        if self._simulation.latency:
            await asyncio.sleep(self._simulation.latency)
        if fault and fault.when == "after":
            return await self._after(call, entry, fault, reply)
        return self._record(entry, reply)

    async def _after(self, call: Call, entry: Entry, fault: Fault, reply: Reply) -> Reply | None:
        await asyncio.sleep(fault.delay)
        if fault.drop:
            return self._record(entry, None)
        if fault.refuse:
            reply = self._simulation.refuse(call)
        return self._record(entry, fault.alter(reply))

    @staticmethod
    def _record(entry: Entry, reply: Reply | None) -> Reply | None:
        """Write the outcome into the request log before the client receives the reply."""
        entry.outcome = "answered" if reply else "dropped"
        if reply:
            entry.status, entry.reply_bytes = reply.status, len(reply.body)
        return reply

    async def _abort(self, scope: Scope, receive: Receive) -> None:
        self._hang_up(tuple(scope["client"]))
        while (await receive())["type"] != "http.disconnect":
            pass
